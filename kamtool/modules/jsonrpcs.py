"""Answer JSON-RPC: over a FIFO, over a unix datagram socket, and from the script."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from kamtool.errors import ConfigError
from kamtool.module import ANY, REQUEST_ROUTE, Host, Module, Param, Value, function, pv
from kamtool.server import control
from kamtool.server.admission import Admission
from kamtool.server.rpc import RpcTable

if TYPE_CHECKING:
    from kamtool.modules.xhttp import Xhttp
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.jsonrpcs")

HTTP, FIFO, DATAGRAM, TCP = 1, 2, 4, 8
REPLY: Final = "jsonrpcs.reply"


class Jsonrpcs(Module):
    """Lets `kamctl`, `kamcli` and scripts call the RPC of this server with JSON-RPC 2.0.

    It listens on a FIFO and on a datagram socket; over HTTP it answers where event_route[xhttp:request] calls
    jsonrpc_dispatch(). A datagram socket on UDP answers this machine alone, and the addresses in `trusted`;
    HTTP also who gave a password.
    As Kamailio, it answers also a request without `id`.
    """

    alone = True

    pretty_format = Param(1, "answer with indented JSON")
    transport = Param(0, "what to open: 1 http, 2 FIFO, 4 datagrams, summed; 0 is FIFO and datagrams")
    fifo_name = Param("kamailio_rpc.fifo", "the FIFO to read; relative to /run/kamailio, or `-Y`")
    fifo_mode = Param(0o660, "its permissions")
    fifo_user = Param("", "its owner: a name or a number", either=True)
    fifo_group = Param("", "its group: a name or a number", either=True)
    fifo_reply_dir = Param("/tmp/", "the folder of the FIFOs that clients make for their answers")
    dgram_socket = Param(
        "kamailio_rpc.sock",
        "the datagram socket: a path, relative to /run/kamailio, or `-Y`, or `udp:host:port`",
    )
    trusted = Param(
        "",
        "addresses and networks that are answered over `udp:` and HTTP too, e.g. `10.0.0.5, 10.1.0.0/16`",
        repeat=True,
    )
    dgram_workers = Param(1, "accepted; one server answers all")
    dgram_mode = Param(0o660, "its permissions")
    dgram_user = Param("", "its owner: a name or a number", either=True)
    dgram_group = Param("", "its group: a name or a number", either=True)
    dgram_timeout = Param(2000, "accepted; an answer that cannot be sent at once is dropped")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._fifo: int | None = None
        self._datagram: socket.socket | None = None
        self._datagram_path: Path | None = None
        self._decoder = FifoRequests()
        self.admission = Admission("jsonrpcs", ())

    @property
    def table(self) -> RpcTable:
        table: RpcTable = cast("Server", self.server).rpc
        return table

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """`trusted` names addresses."""
        Admission("jsonrpcs", self.trusted)
        return ()

    async def start(self) -> None:
        """Open what `transport` names."""
        self.admission = Admission("jsonrpcs", self.trusted)
        wanted = self.transport or FIFO | DATAGRAM
        try:
            if wanted & FIFO and self.fifo_name:
                self._open_fifo(self._place(self.fifo_name))
            if wanted & DATAGRAM and self.dgram_socket:
                await self._open_datagram(self.dgram_socket)
        except OSError as error:
            where = error.filename or "its sockets"
            raise ConfigError(f"jsonrpcs cannot open {where}: {error.strerror or error}") from error

    def _place(self, name: str) -> Path:
        path = cast("Server", self.server).options.runtime_folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return path

    def _open_fifo(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            if not stat.S_ISFIFO(path.lstat().st_mode):
                raise FileExistsError(17, "exists and is no FIFO", str(path))
            path.unlink()
        os.mkfifo(path, 0o600)
        self._give(path, self.fifo_mode, self.fifo_user, self.fifo_group)
        # Open for writing too: else the end of each writer would be an end of file for us.
        self._fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._fifo_path = path
        asyncio.get_running_loop().add_reader(self._fifo, self._fifo_ready)

    async def _open_datagram(self, name: str) -> None:
        if name.startswith("udp:"):
            self._datagram = await _bind_udp(name[4:])
            self.admission.tell(*self._datagram.getsockname()[:2])
        else:
            path = self._place(name)
            self._datagram = control.bind(path, socket.SOCK_DGRAM)
            self._give(path, self.dgram_mode, self.dgram_user, self.dgram_group)
            self._datagram_path = path
        asyncio.get_running_loop().add_reader(self._datagram, self._datagram_ready)

    def _give(self, path: Path, mode: int, user: str, group: str) -> None:
        control.give(path, str(user), str(group))
        path.chmod(mode)

    async def stop(self) -> None:
        """Close and remove the FIFO and the socket."""
        loop = asyncio.get_running_loop()
        if self._fifo is not None:
            loop.remove_reader(self._fifo)
            os.close(self._fifo)
            self._fifo_path.unlink(missing_ok=True)
        if self._datagram is not None:
            loop.remove_reader(self._datagram)
            self._datagram.close()
            if self._datagram_path is not None:
                self._datagram_path.unlink(missing_ok=True)

    async def answer(self, request: bytes) -> bytes | None:
        """The response to a request. Kamailio's clients expect one without having set an `id`, too."""
        request, has_id = _with_id(request)
        response = await control.answer(self.table, request)
        if response is None or (has_id and not self.pretty_format):
            return response
        told = json.loads(response)
        if not has_id:
            del told["id"]
        form: dict[str, Any] = {"indent": "\t", "separators": (",", ":\t")} if self.pretty_format else {}
        return json.dumps(told, ensure_ascii=False, **form).encode("utf-8", "surrogateescape")

    def _datagram_ready(self) -> None:
        assert self._datagram is not None
        with suppress(OSError):
            request, sender = self._datagram.recvfrom(control.LARGEST_REQUEST)
            if isinstance(sender, tuple) and not self.admission.admits(sender[0]):
                return
            self.server.spawn(self._answer_datagram(request, sender), "jsonrpcs")

    async def _answer_datagram(self, request: bytes, sender: Any) -> None:
        response = await self.answer(request)
        if response is not None and sender and self._datagram is not None:
            with suppress(OSError):  # the client has gone, or does not read
                self._datagram.sendto(response, sender)

    def _fifo_ready(self) -> None:
        assert self._fifo is not None
        with suppress(OSError):
            for request in self._decoder.feed(os.read(self._fifo, 65_536)):
                self.server.spawn(self._answer_fifo(request), "jsonrpcs")

    async def _answer_fifo(self, request: dict[str, Any]) -> None:
        name = request.get("reply_name", "")
        response = await self.answer(json.dumps(request).encode())
        # Only a plain name in our own folder: a request must not make us write elsewhere.
        if response is None or not isinstance(name, str) or name in ("", ".", "..") or "/" in name:
            return
        await _write_fifo(os.path.join(self.fifo_reply_dir, name), response + b"\n")

    @function("jsonrpc_exec", routes=ANY)
    async def jsonrpc_exec(self, ctx: Context, command: str) -> int:
        """Carry out a JSON-RPC request; `$jsonrpl(code)`, `(text)` and `(body)` hold the answer."""
        response = await self.answer(command.encode("utf-8", "surrogateescape")) or b""
        refused = b'"error"' in response and "error" in json.loads(response)
        ctx.scratch[REPLY] = {
            "code": 500 if refused else 200,
            "text": "Internal Error" if refused else "OK",
            "body": response.decode("utf-8", "surrogateescape"),
        }
        return 1

    @function("jsonrpc_dispatch", routes=REQUEST_ROUTE)
    async def jsonrpc_dispatch(self, ctx: Context) -> bool:
        """Answer the JSON-RPC request in an HTTP request's body; false outside event_route[xhttp:request].

        Answered is who asks from this machine, from an address in `trusted`, or with a password that
        `www_authorize` found right, and with nothing but a password a web page in a browser; all others get
        403. The script may ask for more.
        """
        xhttp = self.server.modules.get("xhttp")
        if xhttp is None or ctx.route_name != "xhttp:request":
            log.error("jsonrpc_dispatch: only in event_route[xhttp:request], with the module xhttp")
            return False
        if not self._may_command(ctx):
            cast("Xhttp", xhttp).reply(ctx, 403, "Forbidden", "text/plain", b"Forbidden\r\n")
            return False
        response = await self.answer(ctx.msg.body) or b""
        refused = b'"error"' in response and "error" in json.loads(response)
        status, reason = (500, "Internal Server Error") if refused else (200, "OK")
        return cast("Xhttp", xhttp).reply(ctx, status, reason, "application/json", response)

    def _may_command(self, ctx: Context) -> bool:
        if ctx.authorized:
            return True
        # Any page that a browser of this machine shows can post here; the browser says whose page it is.
        origin = ctx.msg.header("Origin")
        if origin is not None:
            log.warning(
                "jsonrpcs: a page of %.80r in a browser at %s needs a password", origin, ctx.flow.remote
            )
            return False
        return self.admission.admits(ctx.flow.remote.host)

    @pv("jsonrpl", inner_required=True, form="code|text|body")
    def jsonrpl(self, ctx: Context, name: str) -> Value:
        """The answer to the last `jsonrpc_exec`: `code`, `text` or `body`."""
        answer: dict[str, Value] = ctx.scratch.get(REPLY) or {}
        return answer.get(name)


def _with_id(request: bytes) -> tuple[bytes, bool]:
    """The request with an `id`, and whether it had one (what is no single request has none to miss)."""
    try:
        asked = json.loads(request)
    except (ValueError, RecursionError):
        return request, True
    if not isinstance(asked, dict) or "id" in asked:
        return request, True
    return json.dumps({**asked, "id": 0}).encode(), False


async def _bind_udp(place: str) -> socket.socket:
    """A UDP socket at `host:port`. Raises ConfigError or OSError."""
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"jsonrpcs: {place!r} is no address", hint="udp:127.0.0.1:8090", code="KT1202")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


class FifoRequests:
    """Cuts what is written to the FIFO into JSON objects; one may come in many lines and pieces."""

    def __init__(self) -> None:
        self._text = ""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that `data` completes. What can never become JSON is dropped."""
        self._text = (self._text + data.decode("utf-8", "replace")).lstrip()
        found = []
        while self._text:
            if not self._text.startswith("{"):
                self._text = "{" + self._text.partition("{")[2] if "{" in self._text else ""
                continue
            try:
                request, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError:
                if self._is_hopeless():
                    continue
                break
            except (ValueError, RecursionError):  # a number of thousands of digits, a thousand lists in lists
                self._text = self._text.partition("\n")[2].lstrip()
                continue
            found.append(request)
            self._text = self._text[end:].lstrip()
        return found

    def _is_hopeless(self) -> bool:
        """Drop a request that an empty line ends before it is whole, or that is too long."""
        _, empty_line, rest = self._text.partition("\n\n")
        if empty_line:
            self._text = rest.lstrip()
        elif len(self._text) > control.LARGEST_REQUEST:
            self._text = ""
        return bool(empty_line)


async def _write_fifo(path: str, data: bytes) -> None:
    """Write to a FIFO that a client reads, waiting a little for it. Never blocks, never makes a file."""
    for _ in range(20):
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        try:
            if stat.S_ISFIFO(os.fstat(fifo).st_mode):
                await _write_all(fifo, data)
        finally:
            os.close(fifo)
        return


async def _write_all(fifo: int, data: bytes) -> None:
    for _ in range(100):
        with suppress(BlockingIOError):
            data = data[os.write(fifo, data) :]
        if not data:
            return
        await asyncio.sleep(0.05)
