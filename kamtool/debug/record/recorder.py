"""What stands between a server and the world while it is recorded.

The server's clock stands still while something is dealt with, and its random octets come from a seed that the
recording names: so the same things done again have the same effects, byte for byte.
"""

from __future__ import annotations

import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool import __version__
from kamtool.debug.offline.wire import Chance
from kamtool.debug.record.file import FLOW, HEAD, MAGIC, in_json, packed
from kamtool.errors import UsageError
from kamtool.sip.flow import Flow
from kamtool.store.database import Database

if TYPE_CHECKING:
    from kamtool.server.server import Server

HASHSEED = "PYTHONHASHSEED"
EVERY = 0.5
"""Seconds between two writes: a server that dies takes so much of its recording with it."""
TIMERS = ("t1", "t2", "t4", "sweep", "sweep_most")
"""Options of the server that a replay must have too."""


class Recorder:
    """Records one server. Make it before the server, `attach` it, and `close` it at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
            )  # it holds messages and rows
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb", 0)
        self.now = time.monotonic()
        self._offset = time.time() - self.now
        self._seed = os.urandom(32).hex()
        self._pieces: list[bytes] = []
        self._flows: dict[Flow, bytes] = {}
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.trouble = ""
        self._write_at = 0.0
        self._timers = 0
        self._thread = threading.Thread(target=self._write, name="kamtool-record", daemon=True)
        self._thread.start()
        self._chance = Chance(lambda: self.now + self._offset, self._seed)
        self._chance.look()
        random.seed(f"numbers {self._seed}")
        self._real = time.monotonic
        self._inside = self._chance()
        self._inside.__enter__()

    # The clock

    def clock(self) -> float:
        """The server's time: that of what is dealt with."""
        return self.now

    # Entries

    def _add(self, kind: bytes, data: bytes = b"") -> None:
        self._pieces.append(packed(kind, self.now, data))

    def _happens(self, kind: bytes, data: bytes = b"") -> None:
        self.now = self._real()
        self._pieces.append(packed(kind, self.now, data))

    def _flow(self, flow: Flow) -> bytes:
        number = self._flows.get(flow)
        if number is None:
            number = self._flows[flow] = FLOW.pack(len(self._flows))
            facts = [
                FLOW.unpack(number)[0],
                flow.transport,
                list(flow.local),
                list(flow.remote),
                flow.connection,
            ]
            self._add(b"F", in_json(facts))
        return number

    # Wiring

    def attach(self, server: Server, cfg: str, defines: dict[str, Any]) -> None:
        """Stand between this server, which has not started, and the world."""
        self._about(server, cfg, defines)
        self._messages(server)
        self._timers_of(server)
        self._asked(server)
        self._stores(server)

    def started(self, server: Server) -> None:
        """The server runs: these are its sockets."""
        sockets = [
            [
                each.transport,
                list(each.address),
                list(each.advertised) if each.advertised else None,
                each.name,
            ]
            for each in server.sockets
        ]
        self._happens(b"M", in_json({"sockets": sockets}))

    def _about(self, server: Server, cfg: str, defines: dict[str, Any]) -> None:
        about = {
            "version": __version__, "cfg": cfg, "defines": defines, "seed": self._seed, "now": self.now,
            "day": self.now + self._offset, "hashseed": os.environ.get(HASHSEED, ""),
            "hosts": server.transports.resolver._hosts, "python": sys.version.split()[0],
            "text": dict(server.script.text.files),
            "timers": {name: getattr(server.options, name) for name in TIMERS},
        }  # fmt: skip
        self._queue.put(MAGIC + json.dumps(about).encode() + b"\n")

    def _messages(self, server: Server) -> None:
        receive, send = server.receive, server.transports.send
        add, flow_of, real, head = self._pieces.extend, self._flow, self._real, HEAD.pack
        # The transports keep the flows of their peers: most are known by what they are, without a comparison.
        known: dict[int, tuple[Flow, bytes]] = {}

        def number_of(flow: Flow) -> bytes:
            if len(known) > 10_000:
                known.clear()
            number = flow_of(flow)
            known[id(flow)] = (flow, number)
            return number

        def received(data: bytes, flow: Flow) -> None:
            held = known.get(id(flow))
            self.now = now = real()
            number = held[1] if held is not None else number_of(flow)
            add((head(b"I", len(data) + 4, now), number, data))
            receive(data, flow)

        def sent(flow: Flow, data: bytes) -> bool:
            held = known.get(id(flow))
            number = held[1] if held is not None else number_of(flow)
            add((head(b"O", len(data) + 4, self.now), number, data))
            return send(flow, data)

        server.receive = received
        transports = server.transports
        transports.tcp.receive = received
        transports.send = sent  # type: ignore[method-assign]
        server.transactions.send = sent
        closed = transports.tcp._closed

        def lost(flow: Flow, reason: str) -> None:
            self._happens(b"C", flow_of(flow) + reason.encode())
            closed(flow, reason)

        transports.tcp._closed = lost

    def _timers_of(self, server: Server) -> None:
        sweep, every = server.sweeps.part, server.every

        def swept() -> None:
            self._happens(b"S")
            sweep()
            if self.now >= self._write_at:
                self._write_at = self.now + EVERY
                self._hand_over()

        def at_times(seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
            number = self._timers
            self._timers += 1

            def tick() -> Awaitable[None] | None:
                self._happens(b"K", FLOW.pack(number))
                return callback()

            every(seconds, tick)

        server.sweeps.part = swept  # type: ignore[method-assign]
        server.every = at_times  # type: ignore[method-assign]

    def _asked(self, server: Server) -> None:
        questions = server.transports.resolver.questions
        query, call = questions.query, server.rpc.call

        async def asked(name: str, kind: str) -> tuple[list[Any], float]:
            try:
                records, ttl = await query(name, kind)
            except Exception as error:
                self._happens(b"D", in_json([name, kind, None, str(error)]))
                raise
            self._happens(b"D", in_json([name, kind, [each.to_text() for each in records], ttl]))
            return records, ttl

        async def called(method: str, params: Any = ()) -> Any:
            if not method.startswith(("debug.", "system.")):
                self._happens(b"R", in_json([method, params]))
            return await call(method, params)

        questions.query = asked
        server.rpc.call = called  # type: ignore[method-assign,assignment]

    def _stores(self, server: Server) -> None:
        open_one = server.databases.open
        seen: set[int] = set()

        async def opened(url: str) -> Database:
            database = await open_one(url)
            if id(database) not in seen:
                seen.add(id(database))
                self._store(database)
            return database

        server.databases.open = opened  # type: ignore[method-assign]

    def _store(self, database: Database) -> None:
        def waiting(name: str) -> None:
            method = getattr(database, name)

            async def asked(*arguments: Any, **more: Any) -> Any:
                key = question(name, arguments)
                try:
                    answer = await method(*arguments, **more)
                except Exception as error:
                    self._happens(b"Q", in_json([key, None, str(error)]))
                    raise
                self._happens(b"Q", in_json([key, answer, ""]))
                return answer

            setattr(database, name, asked)

        def at_once(name: str) -> None:
            method = getattr(database, name)

            def asked(*arguments: Any) -> Any:
                answer = method(*arguments)
                self._add(b"Q", in_json([question(name, arguments), answer, ""]))
                return answer

            setattr(database, name, asked)

        for name in ("query", "table", "write_all", "flush"):
            waiting(name)
        for name in ("read", "generation"):
            at_once(name)

    # Writing

    def _hand_over(self) -> None:
        if self._pieces:
            self._queue.put(b"".join(self._pieces))
            self._pieces.clear()

    def _write(self) -> None:
        while (piece := self._queue.get()) is not None:
            try:
                if not self.trouble:
                    self._file.write(piece)
            except OSError as error:
                self.trouble = f"{self.path}: {error.strerror}: the recording ends here"

    def close(self) -> None:
        """Write what is left. The clock and chance are the system's again."""
        self._hand_over()
        self._queue.put(None)
        self._thread.join()
        self._file.close()
        self._inside.__exit__(None, None, None)


def question(name: str, arguments: Sequence[Any]) -> str:
    """By which the answer of a database is found again."""
    if name == "write_all":
        arguments = [[sql, list(row)] for sql, row in arguments[0]]
    return in_json([name, list(arguments)]).decode()
