"""Standing watches over a server, which no client holds: a history, so that calls can be explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError

if TYPE_CHECKING:
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
        for name, method in (
            ("debug.history", self.history), ("debug.explain", self.explain), ("debug.why", self.why),
        ):  # fmt: skip
            server.rpc.register(name, method)

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

    def _kept(self) -> Chronicle:
        if self.chronicle is None:
            raise RpcError(
                CONFLICT, "this server keeps no history: `kamtool serve --history 1000`, or now "
                "`kamtool rpc debug.history 1000`"
            )  # fmt: skip
        return self.chronicle
