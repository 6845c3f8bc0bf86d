"""An upgrade without a lost packet: the running server gives its sockets to a new one and drains.

The new one asks on the control socket (`core.hand_over`) and gets the listening sockets (SCM_RIGHTS), and one
more, by which it can pass messages back. It starts beside the old one and reads nothing. Once it is ready it
says `go`: the old one reads no more, tells what it has in memory and which calls are under way, and drains;
what arrives for those calls meanwhile, the new one passes back. What was not read yet waits in the sockets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import marshal
import os
import signal
import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import UsageError
from kamtool.server.workers_dispatch import CALL_ID, flat, unflat
from kamtool.sip.flow import Address, Socket

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.handover")

METHOD = "core.hand_over"
FDS_AT_ONCE = 200
PATIENCE = 60.0
LARGEST = 70_000
Rows = list[list[tuple[str, str, int]]]


# The old server


async def give(
    server: Server, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Give everything to who asks on this connection, then stop. Nothing changes until it says `go`."""
    bound = server.team.bound if server.team is not None else [server.transports.bound()]
    rows: Rows = [[(s.transport, *s.address) for s, _ in own] for own in bound]
    here, there = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_DGRAM)
    try:
        writer.write(json.dumps({"workers": rows}).encode() + b"\n")
        await writer.drain()
        _send_fds(writer, [there.fileno(), *(each.fileno() for own in bound for _, each in own)])
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        if line.strip() != b"go":
            log.warning("who asked for the sockets has gone: this server goes on")
            here.close()
            return
        await _all_pause(server)
        here.setblocking(False)
        asyncio.get_running_loop().add_reader(here.fileno(), _passed_back, server, here)
        blob = marshal.dumps(await _legacy(server))
        writer.write(len(blob).to_bytes(8, "big") + blob)
        await writer.drain()
    finally:
        there.close()
    log.warning("another process has taken over: this one drains")
    os.kill(os.getpid() if server.team is None else os.getppid(), signal.SIGTERM)


def _send_fds(writer: asyncio.StreamWriter, numbers: list[int]) -> None:
    with sockets.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as raw:
        for at in range(0, len(numbers), FDS_AT_ONCE):
            sockets.send_fds(raw, [b"F"], numbers[at : at + FDS_AT_ONCE])


async def _all_pause(server: Server) -> None:
    server.transports.pause()
    if server.link is not None:
        for other in server.link.others:
            await server.link.ask(other, "pause", None)


async def _legacy(server: Server) -> dict[str, Any]:
    """What the heir has to know: the calls under way, how our branches begin, what modules remember."""
    call_ids = under_way(server)
    if server.link is not None:
        for other in server.link.others:
            call_ids += await server.link.ask(other, "under way", None)
    prefix = server.team.group_prefix if server.team is not None else server.transactions.prefix
    states = {name: list(module.state()) for name, module in server.modules.items()}
    return {"prefix": prefix.encode(), "call_ids": call_ids, "states": states}


def under_way(server: Server) -> list[bytes]:
    """The Call-IDs of all transactions."""
    found = set()
    for tx in server.transactions.by_label.values():
        if tx.ctx is not None:
            found.add(tx.ctx.msg.call_id.encode("utf-8", "surrogateescape"))
        for client in tx.branches[:1]:
            if match := CALL_ID.search(client.data):
                found.add(match[1])
    return list(found)


def _passed_back(server: Server, here: sockets.socket) -> None:
    while True:
        try:
            data, *rest = marshal.loads(here.recv(LARGEST))
        except BlockingIOError:
            return
        except (OSError, EOFError, ValueError):
            asyncio.get_running_loop().remove_reader(here.fileno())
            here.close()
            return
        server.receive(data, unflat(*rest))


# The new one


@dataclass(slots=True)
class Estate:
    """What a running server has given: its sockets, and the connection on which it waits for `go`."""

    wire: sockets.socket
    back: sockets.socket
    rows: Rows = field(default_factory=list)
    given: list[list[sockets.socket]] = field(default_factory=list)

    def bound(self, wanted: list[Socket], worker: int = 0) -> list[tuple[Socket, sockets.socket]]:
        """Those of `wanted` that were given to this worker, as (Socket, socket)."""
        have = dict(zip(map(_place, self.rows[worker]), self.given[worker], strict=True))
        return [(s, have[s.transport, s.address]) for s in wanted if (s.transport, s.address) in have]

    async def take(self, server: Server) -> None:
        """Say `go`, learn what the old server knows, and begin to read."""
        self.wire.setblocking(True)
        legacy = await asyncio.get_running_loop().run_in_executor(None, self._legacy)
        for name, items in legacy["states"].items():
            if name in server.modules:
                server.modules[name].take_state(items)
        told = (legacy["prefix"], legacy["call_ids"])
        self.begin(server, told)
        if server.link is not None:
            server.link.publish("resume", told)

    def begin(self, server: Server, told: Any) -> None:
        """Read from now on; what belongs to the old server's calls goes back to it."""
        heir = Heir(server.receive, self.back, *told)
        heir.ended = lambda: server.receive_by(heir.own)
        server.receive_by(heir.message)
        server.transports.resume()

    def _legacy(self) -> dict[str, Any]:
        self.wire.sendall(b"go\n")
        with self.wire.makefile("rb") as stream:
            size = int.from_bytes(stream.read(8), "big")
            blob = stream.read(size)
        if len(blob) != size or not size:
            raise UsageError("the old server ended while it handed over", exit_code=5)
        legacy: dict[str, Any] = marshal.loads(blob)
        return legacy


def _place(row: Any) -> tuple[str, Address]:
    transport, host, port = row
    return transport, Address(host, port)


class Heir:
    """The way in of a server while the one before it still drains."""

    def __init__(
        self, own: Callable[[bytes, Any], None], back: sockets.socket, prefix: bytes, call_ids: list[bytes]
    ) -> None:
        self.own, self.back, self.prefix, self.call_ids = own, back, prefix, set(call_ids)
        self.ended: Callable[[], None] = lambda: None
        back.setblocking(False)

    def message(self, data: bytes, flow: Any) -> None:
        """One message: to the old server when it belongs to a call that was under way there."""
        if flow.transport == "udp" and self._is_theirs(data):
            try:
                self.back.send(marshal.dumps((data, *flat(flow))))
            except BlockingIOError:
                return  # as a full socket of its own would: it comes again
            except OSError:
                self.ended()
            else:
                return
        self.own(data, flow)

    def _is_theirs(self, data: bytes) -> bool:
        if data[:4] == b"SIP/":
            return self.prefix in data
        found = CALL_ID.search(data)
        return found is not None and found[1] in self.call_ids


def ask(path: Path) -> Estate:
    """The sockets of the server on this control socket. Raises UsageError."""
    wire = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    wire.settimeout(PATIENCE)
    text, numbers = b"", []
    try:
        wire.connect(str(path))
        wire.sendall(json.dumps({"jsonrpc": "2.0", "method": METHOD, "id": 1}).encode() + b"\n")
        while True:
            data, fds, _, _ = sockets.recv_fds(wire, 65_536, 253)
            numbers += fds
            text += data
            if not data:
                raise UsageError(f"the server at {path} gives nothing away", exit_code=5)
            line, ended, _ = text.partition(b"\n")
            if ended:
                answer = json.loads(line)
                if "workers" not in answer:
                    raise UsageError(f"the server at {path} cannot hand over", exit_code=1)
                if len(numbers) == 1 + sum(map(len, answer["workers"])):
                    break
    except OSError as error:
        raise UsageError(
            f"no server to take over from at {path}: {error.strerror or error}", exit_code=5
        ) from error
    given = [sockets.socket(fileno=number) for number in numbers]
    estate = Estate(wire, given.pop(0), answer["workers"])
    for own in estate.rows:
        estate.given.append([given.pop(0) for _ in own])
    return estate


def listen_to_worker_0(server: Server, estate: Estate | None) -> None:
    """Let worker 0 speak for all: of a server that gives away, and of one that takes over."""
    link = server.link
    if link is None:
        return

    async def pause(sender: int, value: Any) -> bool:
        server.transports.pause()
        return True

    async def tell(sender: int, value: Any) -> list[bytes]:
        return under_way(server)

    link.answer("pause", pause)
    link.answer("under way", tell)
    if estate is not None:
        link.on("resume", lambda sender, told: estate.begin(server, told))


def close(estate: Estate | None) -> None:
    """The old server may end: nothing of it is needed any more."""
    if estate is not None:
        with suppress(OSError):
            estate.wire.close()
