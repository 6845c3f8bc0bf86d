"""Answer kamcmd: the control plane in binrpc."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, RpcError
from kamtool.module import Host, Module, Param, rpc
from kamtool.modules.ctl import binrpc
from kamtool.server import control
from kamtool.server.admission import Admission
from kamtool.server.rpc import INVALID_PARAMS, RpcTable

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.ctl")

DEFAULT = "kamailio_ctl"
"""In the runtime folder, where the cfg names no socket."""
LEAST_BODY = 64
CODES = {INVALID_PARAMS: 400}
"""What Kamailio says where JSON-RPC has a code of its own; anything else of JSON-RPC is 500."""
Ends = tuple[str, str, str, str, str]


class Ctl(Module):
    """Lets `kamcmd` and other clients of binrpc call the RPC of this server.

    Whoever is answered may do everything, and binrpc knows no password. So `tcp:` and `udp:` answer this
    machine alone, whatever they are bound to, and the addresses in `trusted`; others are turned away.
    """

    alone = True

    binrpc = Param(
        "",
        "where to listen: `unix:/path`, `unixd:/path` (datagrams), `tcp:host:port`, `udp:host:port`;"
        " `unix:/run/kamailio/kamailio_ctl`, or in the folder of `-Y`, when none is named",
        repeat=True,
    )
    trusted = Param(
        "",
        "addresses and networks that are answered over `tcp:` and `udp:` too, e.g. `10.0.0.5, 10.1.0.0/16`",
        repeat=True,
    )
    mode = Param(0o600, "the permissions of unix sockets")
    user = Param("", "the owner of unix sockets, by name or number")
    group = Param("", "the group of unix sockets, by name or number")
    autoconversion = Param(0, "accepted; texts and numbers are always brought into the shape a method wants")
    fifo = Param("", "refused: the text protocol of old; jsonrpcs has a FIFO", repeat=True)
    binrpc_max_body_size = Param(32, "the kilobytes of the largest answer, 64 at least")
    binrpc_struct_max_body_size = Param(8, "accepted; a struct may be as large as the answer")
    binrpc_buffer_size = Param(1024, "accepted; buffers grow as they need")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._files: list[Path] = []
        self._clients: dict[asyncio.Task[None], Ends] = {}
        self.admission = Admission("ctl", ())
        self.listening: list[tuple[str, str, str]] = []
        """Transport, address, port, as `ctl.listen` shows them."""

    @property
    def table(self) -> RpcTable:
        table: RpcTable = cast("Server", self.server).rpc
        return table

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """The sockets are named as ctl names them."""
        self._check()
        return ()

    def _check(self) -> None:
        if self.__dict__["fifo"]:
            raise ConfigError(
                "ctl does not speak the old FIFO protocol",
                hint='modparam("jsonrpcs", "fifo_name", …) is what came after it', code="KT1202",
            )  # fmt: skip
        Admission("ctl", self.trusted)
        for where in self.binrpc:
            kind, colon, place = where.partition(":")
            if colon and not kind.startswith("unix") and not _is_network(kind, place):
                raise ConfigError(
                    f"ctl cannot listen on {where!r}", hint="unix:/path or tcp:host:port", code="KT1201"
                )

    async def start(self) -> None:
        """Open the sockets."""
        self._check()
        self.admission = Admission("ctl", self.trusted)
        folder = cast("Server", self.server).options.runtime_folder
        for where in self.binrpc or [f"unixs:{folder / DEFAULT}"]:
            try:
                await self._listen(where)
            except OSError as error:
                raise ConfigError(
                    f"ctl cannot listen on {where}: {error.strerror or error}", code="KT1202"
                ) from error

    async def _listen(self, where: str) -> None:
        kind, colon, place = where.partition(":")
        if kind in ("unix", "unixs", "unixd") or not colon:
            await self._listen_unix(Path(place if colon else where), datagrams=kind == "unixd")
            return
        host, _, port = place.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if kind == "tcp":
            self._servers.append(await asyncio.start_server(self._came, host, int(port)))
        else:
            await self._open_datagrams(local_addr=(host, int(port)))
        self.listening.append((kind, host, port))
        self.admission.tell(host, port)

    async def _listen_unix(self, path: Path, *, datagrams: bool) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        made = control.bind(path, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM, self.mode)
        self._files.append(path)
        control.give(path, self.user, self.group)
        if datagrams:
            await self._open_datagrams(sock=made)
        else:
            self._servers.append(await asyncio.start_unix_server(self._connected, sock=made))
        self.listening.append(("unix_dgram" if datagrams else "unix_stream", str(path), ""))

    async def _open_datagrams(self, **where: Any) -> None:
        from kamtool.modules.ctl.datagrams import Datagrams

        loop = asyncio.get_running_loop()
        endpoint, _ = await loop.create_datagram_endpoint(lambda: Datagrams(self), **where)
        self._datagrams.append(endpoint)

    async def stop(self) -> None:
        """Close the sockets and remove their files."""
        for server in self._servers:
            server.close()
        for endpoint in self._datagrams:
            endpoint.close()
        for path in self._files:
            path.unlink(missing_ok=True)
        tasks = list(self._clients)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def answer(self, packet: bytes) -> bytes:
        """The packet that answers one whole packet."""
        cookie = binrpc.cookie_of(packet)
        try:
            request = binrpc.decode(packet)
            result = await self.table.call(request.method, request.params)
            answer = binrpc.reply(cookie, result)
        except RpcError as error:
            return binrpc.fault(cookie, CODES.get(error.code, max(error.code, 0) or 500), error.message)
        except Exception:
            # As on the control socket: what rises here is our mistake.
            log.exception("a call failed")
            return binrpc.fault(cookie, 500, "the server failed; its log says why")
        if len(answer) > max(self.binrpc_max_body_size, LEAST_BODY) << 10:
            return binrpc.fault(cookie, 500, "the answer is larger than binrpc_max_body_size")
        return answer

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer and self.admission.admits(peer[0]):
            await self._connected(reader, writer)
        else:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = _ends(writer)
        try:
            if len(self._clients) <= binrpc.MOST_CLIENTS:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or kept silent
        finally:
            del self._clients[task]
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while piece := await asyncio.wait_for(reader.read(65_536), control.PATIENCE):
            data += piece
            try:
                while data and (size := binrpc.packet_size(data)) and len(data) >= size:
                    writer.write(await self.answer(data[:size]))
                    data = data[size:]
                if data and binrpc.packet_size(data) > control.LARGEST_REQUEST:
                    raise RpcError(400, "the request is too long")
            except RpcError as error:
                writer.write(binrpc.fault(b"", error.code, error.message))
                return
            await asyncio.wait_for(writer.drain(), control.PATIENCE)

    @rpc("ctl.listen")
    def listen(self) -> list[str]:
        """The sockets where binrpc is answered, four texts each: protocol, transport, address, port."""
        return [text for socket in self.listening for text in ("binrpc", *socket)]

    @rpc("ctl.connections")
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @rpc("ctl.who")
    def who(self) -> list[str]:
        """The clients that are connected, six texts each: protocol, transport, from, to with their ports."""
        return [text for ends in self._clients.values() for text in ("binrpc", *ends)]


def _ends(writer: asyncio.StreamWriter) -> Ends:
    """A connection: its transport, and address and port of both its ends."""
    peer, here = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    if isinstance(here, tuple):
        return "tcp", peer[0], str(peer[1]), here[0], str(here[1])
    return "unix_stream", peer or "<anonymous unix socket>", "", here or "", ""


def _is_network(kind: str, place: str) -> bool:
    return kind in ("tcp", "udp") and place.rpartition(":")[2].isdigit()
