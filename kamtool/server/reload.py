"""Another cfg into a running server: read beside the old one, taken over as a whole or not at all.

Whatever is under way ends on the program it began with: transactions and waiting messages are given the old
one; what arrives afterwards meets the new one. No message sees parts of both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ConfigErrors, KamtoolError, RpcError, UsageError
from kamtool.script.program import Program, Script
from kamtool.script.render import render
from kamtool.server.changes import Changes, compare

if TYPE_CHECKING:
    from kamtool.server.rpc import RpcTable
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.reload")

REFUSED = 500
"""The code of an RPC answer that says why a cfg was refused."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did, or would do."""

    changes: tuple[str, ...]
    """Parameters that took other values."""
    warnings: tuple[ConfigError, ...]
    seconds: float
    text: Any = None


@dataclass(slots=True)
class _Ready:
    """A cfg that can take over."""

    script: Script
    plain: Program
    traced: Program | None
    changes: Changes
    calls: list[Callable[[], None]] = field(default_factory=list)


class Reloader:
    """Reads the cfg again with `read` and puts it into the server. `read` raises ConfigErrors."""

    def __init__(self, server: Server, read: Callable[[], Script]) -> None:
        self.server, self.read = server, read
        self.on_reloaded: list[Callable[[Script], None]] = []
        """Called with the script that has taken over."""
        self._lock = asyncio.Lock()

    def register(self, table: RpcTable) -> None:
        table.register("core.reload", self.rpc_reload, workers="all")

    async def reload(self, *, dry: bool = False) -> Reloaded:
        """Take over the cfg as it is now; with `dry` only see whether that would do.

        Raises ConfigErrors with all that is wrong, and what `read` raises: the server is as it was then.
        """
        async with self._lock:
            began = time.monotonic()
            # Reading and compiling take long: a thread does them, and messages go on meanwhile.
            loop = asyncio.get_running_loop()
            ready = await loop.run_in_executor(None, self._prepare)
            watch = self.server.observers
            while watch.watching and ready.traced is None:  # somebody came to watch meanwhile
                ready.traced = await loop.run_in_executor(None, watch.traced, ready.script)
            self._ask_modules(ready)
            if not dry:
                self._take_over(ready)
            script = ready.script
            seconds = time.monotonic() - began
            return Reloaded(tuple(ready.changes.said), script.warnings, seconds, script.text)

    def _prepare(self) -> _Ready:
        server = self.server
        script = self.read()
        changes = compare(server.script, script, server.modules)
        if changes.refused:
            raise _all(changes.refused, script)
        try:
            return _Ready(script, script.link(server), server.observers.traced(script), changes)
        except ConfigErrors:
            raise
        except ConfigError as error:
            raise _all([error], script) from error

    def _ask_modules(self, ready: _Ready) -> None:
        refused: list[ConfigError] = []
        for name, module in self.server.modules.items():
            try:
                call = module.reload(ready.plain, ready.changes.params.get(name, {}))
            except ConfigError as error:
                refused.append(error)
            else:
                ready.calls += [call] if call is not None else []
        if refused:
            raise _all(refused, ready.script)

    def _take_over(self, ready: _Ready) -> None:
        """All at once: nothing here waits."""
        server = self.server
        old = server.program
        for tx in server.transactions.by_label.values():
            if tx.program is None:
                tx.program = old
            for ctx in (tx.ctx, tx.prepared):
                if ctx is not None and ctx.program is None:
                    ctx.program = old
        server.script, server.settings = ready.script, ready.script.settings
        server.reloads += 1
        server.observers.take_over(ready.plain, ready.traced)
        for name, values in ready.changes.params.items():
            server.modules[name].__dict__.update(values)
        for call in ready.calls:
            call()
        server.settings_changed()
        for told in self.on_reloaded:
            told(ready.script)

    # For others ---------------------------------------------------------------------------------------

    async def reload_and_log(self) -> None:
        """What SIGHUP does: the outcome is in the log."""
        try:
            done = await self.reload()
        except ConfigError as error:
            log.error("the cfg was not reloaded, the old one goes on:\n%s", render(error))
        except (KamtoolError, OSError) as error:
            log.error("the cfg was not reloaded, the old one goes on: %s", error)
        else:
            log.warning("reloaded in %.2f s%s", done.seconds, "".join(f"; {each}" for each in done.changes))

    async def rpc_reload(self, mode: str = "") -> dict[str, Any]:
        """Read the cfg again and take it over; `check` as argument only tells whether that would do.

        A cfg with mistakes is refused as a whole, and so is one with changes that need a restart: the old
        one goes on. Messages and transactions that are under way end on the old one.
        """
        if mode not in ("", "check"):
            raise RpcError(400, f"the only argument is `check`, not {mode!r}")
        try:
            done = await self.reload(dry=mode == "check")
        except ConfigError as error:
            raise RpcError(REFUSED, render(error)) from error
        except UsageError as error:
            raise RpcError(404, str(error)) from error
        except OSError as error:
            raise RpcError(404, f"cannot read the cfg: {error.strerror or error}") from error
        return {
            "reloaded": int(not mode), "reloads": self.server.reloads, "changes": list(done.changes),
            "warnings": [render(warning, done.text) for warning in done.warnings],
            "milliseconds": round(done.seconds * 1000),
        }  # fmt: skip


def _all(errors: list[ConfigError], script: Script) -> ConfigErrors:
    found = ConfigErrors(errors)
    found.text = script.text
    return found
