"""The Debug Adapter Protocol: an editor's debugger on a running server. Its threads are parked messages.

Messages are JSON behind a Content-Length header, over stdio or TCP. The adapter is a process of its own and a
client of the server's control socket, as the prompt is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kamtool.debug.client import Gone
from kamtool.debug.crowd import Crowd
from kamtool.debug.dap_scopes import Scopes
from kamtool.debug.dap_stops import Stops
from kamtool.debug.words import Mistake
from kamtool.errors import UsageError

LARGEST = 16 << 20
Json = dict[str, Any]

CAPABILITIES = {
    "supportsConfigurationDoneRequest": True, "supportsFunctionBreakpoints": True,
    "supportsConditionalBreakpoints": True, "supportsHitConditionalBreakpoints": True,
    "supportsLogPoints": True, "supportsSetVariable": True, "supportsStepBack": True,
    "supportsEvaluateForHovers": True, "supportsTerminateRequest": True, "supportsCompletionsRequest": True,
    "supportsLoadedSourcesRequest": True, "supportTerminateDebuggee": False,
    "exceptionBreakpointFilters": [
        {"filter": "error", "label": "Statements that fail", "default": False},
        {"filter": "reply", "label": "Responses 4xx to 6xx", "default": False},
    ],
}  # fmt: skip


class Malformed(Exception):
    """What came is no DAP message: the connection ends."""


async def read(reader: asyncio.StreamReader) -> Json | None:
    """The next message, None at the end. Raises Malformed."""
    length = -1
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:
            raise Malformed("a header without end") from error
        if not line:
            return None
        name, _, value = line.decode("ascii", "replace").partition(":")
        if not name.strip():
            break
        if name.strip().lower() == "content-length":
            length = int(value) if value.strip().isdigit() else -1
    if not 0 <= length <= LARGEST:
        raise Malformed("no Content-Length")
    try:
        found = json.loads(await reader.readexactly(length))
    except (ValueError, RecursionError, asyncio.IncompleteReadError) as error:
        raise Malformed(str(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("arguments") or {}, dict):
        raise Malformed("not a message")
    return found


class Adapter(Stops, Scopes):
    """One editor. `write` puts bytes on its way."""

    def __init__(self, socket: Path, write: Callable[[bytes], None], worker: int | None = None) -> None:
        super().__init__()
        self.socket, self._write = socket, write
        self.client = Crowd(worker)
        self.client.on_event = self.heard
        self._sequence = 0
        self.done = False

    # The protocol

    def send(self, kind: str, **fields: Any) -> None:
        """One message to the editor."""
        self._sequence += 1
        body = json.dumps({"seq": self._sequence, "type": kind, **fields}).encode()
        self._write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def event(self, name: str, **body: Any) -> None:
        """Something happened."""
        self.send("event", event=name, body=body)

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Serve until the editor leaves or says what is no message."""
        try:
            while not self.done and (message := await read(reader)) is not None:
                if message.get("type") == "request":
                    await self.answer(message)
        except Malformed as error:
            self.event("output", category="stderr", output=f"malformed message: {error}\n")
        finally:
            await self.client.close()

    async def answer(self, message: Json) -> None:
        """Answer one request."""
        command = str(message.get("command"))
        method: Callable[[Json], Awaitable[Json | None]] | None = getattr(self, f"on_{command}", None)
        fields = {"request_seq": message.get("seq", 0), "command": command}
        try:
            if method is None:
                raise Mistake(f"there is no request {command!r}")
            body = await method(message.get("arguments") or {})
        except (Mistake, UsageError) as mistake:
            hint = f" ({mistake.hint})" if mistake.hint else ""
            self.send("response", success=False, message=f"{mistake}{hint}", **fields)
        except Gone:
            self.send("response", success=False, message="the server has gone", **fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.send("response", success=False, message=f"{command}: wrong arguments: {error}", **fields)
        else:
            self.send("response", success=True, body=body or {}, **fields)
            if command in ("attach", "launch"):
                self.event("initialized")

    # Coming and going

    async def on_initialize(self, arguments: Json) -> Json:
        """What this adapter can do."""
        self.first_line = 1 if arguments.get("linesStartAt1", True) else 0
        return CAPABILITIES

    async def on_attach(self, arguments: Json) -> None:
        """Attach to the server that runs; `socket` names another control socket."""
        hello = await self.client.attach(Path(arguments.get("socket") or self.socket))
        self.paths = hello["paths"]
        self.names = await self.client.call("names")
        await self.client.call("options", history=32)

    async def on_launch(self, arguments: Json) -> None:
        """The server is started by `kamtool serve`, not by an editor; so this attaches, too."""
        await self.on_attach(arguments)

    async def on_configurationDone(self, arguments: Json) -> None:  # noqa: N802
        """All breakpoints are set."""

    async def on_disconnect(self, arguments: Json) -> None:
        """Leave; what is parked goes on."""
        self.done = True
        await self.client.close()

    on_terminate = on_disconnect


def serve(socket: Path, where: str, worker: int | None = None) -> int:
    """Serve editors over stdio, or on `HOST:PORT` until interrupted; the exit code."""
    with contextlib.suppress(KeyboardInterrupt):
        if where == "stdio":
            asyncio.run(_over_stdio(socket, worker))
        else:
            host, colon, port = where.rpartition(":")
            if not colon or not port.isdigit():
                raise UsageError(f"{where!r} is no address", hint="--dap 127.0.0.1:4711, or --dap for stdio")
            asyncio.run(_over_tcp(socket, host.strip("[]") or "127.0.0.1", int(port), worker))
    return 0


async def _over_stdio(socket: Path, worker: int | None) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    out = sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    await Adapter(socket, write, worker).run(reader)


async def _over_tcp(socket: Path, host: str, port: int, worker: int | None) -> None:
    if host not in ("127.0.0.1", "::1", "localhost"):
        # Whoever can connect can read and change calls: there is no password in this protocol.
        raise UsageError(
            f"{host} is not this machine", hint="--dap 127.0.0.1:4711, and ssh -L from elsewhere"
        )

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await Adapter(socket, writer.write, worker).run(reader)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(connected, host, port)
    shown = ", ".join(str(each.getsockname()[1]) for each in server.sockets)
    print(f"waiting for an editor on {host}:{shown}", file=sys.stderr, flush=True)
    async with server:
        await server.serve_forever()
