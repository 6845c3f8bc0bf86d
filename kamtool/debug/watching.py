"""Standing watches over a server, which no client holds: a history to explain calls by, coverage, profile."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError, UsageError

if TYPE_CHECKING:
    from kamtool.debug.coverage.counting import Counting
    from kamtool.debug.profile.timing import Timing
    from kamtool.debug.story.chronicle import Chronicle
    from kamtool.server.server import Server

NOT_FOUND, CONFLICT = 404, 409
MOST = 100_000


class Watching:
    """The standing watches of one server. Nothing is loaded or kept before the first one is asked for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.chronicle: Chronicle | None = None
        self._teller: Any = None
        self.counting: Counting | None = None
        self.timing: Timing | None = None
        for name, method, workers in (
            ("debug.history", self.history, "sum"), ("debug.explain", self.explain, "join"),
            ("debug.why", self.why, "join"), ("debug.coverage", self.coverage, "join"),
            ("debug.profile", self.profile, "join"),
        ):  # fmt: skip
            server.rpc.register(name, method, workers=workers)

    async def history(self, keep: int | None = None) -> dict[str, int]:
        """Keep the last KEEP runs of routes for `kamtool explain` and `why`; 0 keeps none."""
        if keep is not None:
            if not 0 <= keep <= MOST:
                raise RpcError(400, f"between 0 and {MOST} can be kept, not {keep}")
            await self._keep(keep)
        chronicle = self.chronicle
        return {
            "keep": chronicle.recorder.keeping if chronicle else 0,
            "kept": len(chronicle.recorder.visits) if chronicle else 0,
        }

    async def _keep(self, keep: int) -> None:
        if not keep:
            if self.chronicle is not None:
                self.chronicle.stop()
            self.chronicle = self._teller = None
            return
        if self.chronicle is not None:
            self.chronicle.recorder.keep(keep)
            return
        from kamtool.debug.story.chronicle import Chronicle
        from kamtool.debug.story.telling import Teller

        self.chronicle = Chronicle(self.server, keep)
        self._teller = Teller(self.server, self.chronicle)
        await self.chronicle.start()

    def explain(self, call_id: str) -> list[dict[str, Any]]:
        """The story of every request of a call: its answer, the line that decided it and by which value."""
        chronicle = self._kept()
        keys = chronicle.requests(call_id)
        if not keys:
            raise RpcError(NOT_FOUND, f"nothing is kept of the call {call_id!r}")
        return [self._teller.story(key) for key in keys]

    def why(self, status: str, last: int = 1) -> list[dict[str, Any]]:
        """The stories of the last LAST requests that were answered with STATUS (403, 4xx; 0: not at all)."""
        chronicle = self._kept()
        wish = status.lower()
        found = []
        for key in reversed(chronicle.requests()):
            final = chronicle.final(key)
            text = str(final.status if final else 0)
            if len(text) == len(wish) and all(
                mine in ("x", has) for mine, has in zip(wish, text, strict=True)
            ):
                found.append(self._teller.story(key))
                if len(found) >= last:
                    break
        if not found:
            raise RpcError(NOT_FOUND, f"no request that is kept was answered with {status}")
        return found

    async def coverage(self, command: str = "show") -> dict[str, Any]:
        """`on`: count which statements run; `show`: what was counted; `off`: the same, and count no more."""
        from kamtool.debug.coverage.counting import Counting

        if command == "on" and self.counting is None:
            self.counting = Counting(self.server)
            await self.counting.start()
        _known(command)
        if self.counting is None:
            raise RpcError(CONFLICT, "nothing is counted: `kamtool cov start` begins")
        counted = self.counting.coverage().facts() if command != "on" else {}
        if command == "off":
            self.counting.stop()
            self.counting = None
        return counted

    async def profile(self, command: str = "show") -> dict[str, Any]:
        """`on`: time every statement; `show`: what was measured; `off`: the same, and measure no more."""
        from kamtool.debug.profile.timing import Timing

        if command == "on" and self.timing is None:
            self.timing = Timing(self.server)
            await self.timing.start()
        _known(command)
        if self.timing is None:
            raise RpcError(CONFLICT, "nothing is measured: `kamtool prof` begins")
        measured = self.timing.profile.facts() if command != "on" else {}
        if command == "off":
            self.timing.stop()
            self.timing = None
        return measured

    def stop(self, coverage: Path | None) -> None:
        """Write what was counted, and what an earlier run has counted of the same text."""
        if self.counting is None or coverage is None:
            return
        from kamtool.debug.coverage.record import Coverage

        with _alone_in(coverage.absolute().parent):  # several workers end at the same time
            earlier = Coverage({})
            with suppress(UsageError):
                earlier = Coverage.read(coverage)
            earlier.merged(self.counting.coverage(), newest=True).write(coverage)

    def _kept(self) -> Chronicle:
        if self.chronicle is None:
            raise RpcError(
                CONFLICT, "this server keeps no history: `kamtool serve --history 1000`, or now "
                "`kamtool rpc debug.history 1000`"
            )  # fmt: skip
        return self.chronicle


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other process that asks for this is in it at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _known(command: str) -> None:
    if command not in ("on", "off", "show"):
        raise RpcError(400, f"{command!r} is not on, off or show")
