"""The client's end of a debugging session: calls and what happens unasked. It needs no server code."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kamtool.debug.words import Mistake
from kamtool.errors import UsageError

LARGEST_LINE = 64 << 20


class Gone(Exception):
    """The server hung up."""


class Client:
    """One attached session. `on_event(name, facts)` is called for what happens unasked, `""` at the end."""

    def __init__(self) -> None:
        self.on_event: Callable[[str, dict[str, Any]], None] = lambda name, facts: None
        self.hello: dict[str, Any] = {}
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.gone = False

    async def attach(self, path: Path) -> dict[str, Any]:
        """Attach to the server behind a control socket. Raises UsageError."""
        try:
            if os.stat(path).st_uid not in (os.getuid(), 0) and os.getuid() != 0:
                raise UsageError(f"{path} belongs to somebody else", exit_code=6)
            reader, self._writer = await asyncio.open_unix_connection(str(path), limit=LARGEST_LINE)
        except PermissionError:
            raise UsageError(
                f"no permission to use {path}", exit_code=6, hint="the control socket is for its owner"
            ) from None
        except OSError as error:
            raise UsageError(
                f"no server answers at {path}: {error.strerror or error}", exit_code=5,
                hint="start one with `kamtool serve`, or name its control socket with -s",
            ) from None  # fmt: skip
        self._reading = asyncio.ensure_future(self._read(reader))
        try:
            self.hello = await self.call("debug.attach")
        except Mistake as refused:
            raise UsageError(f"{path}: {refused.message}", exit_code=6, hint=refused.hint) from None
        except Gone:
            raise UsageError(f"the server at {path} hung up", exit_code=5) from None
        return self.hello

    async def call(self, command: str, /, **arguments: Any) -> Any:
        """Ask for something. Raises Mistake as the session refused, Gone when it has ended."""
        if self.gone or self._writer is None:
            raise Gone
        self._count += 1
        number = self._count
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        asked = {"jsonrpc": "2.0", "id": number, "method": command, "params": arguments}
        self._writer.write(json.dumps(asked).encode() + b"\n")
        return await answer

    async def close(self) -> None:
        """Leave; what this session had parked goes on."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._heard(json.loads(line))
        except (OSError, ValueError):
            pass  # what the server says is cut off: it is gone
        finally:
            self.gone = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Gone())
            self._waiting.clear()
            self.on_event("", {})

    def _heard(self, said: dict[str, Any]) -> None:
        if "method" in said:
            self.on_event(said["method"], said["params"])
            return
        waiting = self._waiting.pop(said.get("id"), None)  # type: ignore[arg-type]  # None finds nothing
        if waiting is None or waiting.done():
            return
        if "error" in said:
            error = said["error"]
            waiting.set_exception(Mistake(error["message"], error.get("data") or ""))
        else:
            waiting.set_result(said["result"])
