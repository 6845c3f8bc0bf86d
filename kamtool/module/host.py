"""What a module may ask of the server that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kamtool.module.kinds import Value, Variable
from kamtool.sip.flow import Socket

if TYPE_CHECKING:
    from kamtool.module.base import Module


class Host(Protocol):
    """What every module may ask of the server that runs it; `kamtool.server.server.Server` is one."""

    modules: dict[str, Module]
    quirks: bool
    """Whether Kamailio's ways are wanted also where they break an RFC (KAMTOOL_QUIRKS)."""
    own_uris: dict[str, bool]
    """Of some URIs, by their text, whether they mean us; emptied when that may have changed."""

    @property
    def stats(self) -> dict[str, int]:
        """Counters by `group:name`, e.g. `core:rcv_requests`. What a message does is `count`ed."""

    def count(self, name: str, by: int = 1) -> None:
        """So many more of this."""

    def now(self) -> float:
        """Seconds on the loop's clock."""

    def every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call `callback` every so many seconds until the server stops."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` in the server's task group; what it raises is logged."""

    def is_myself(self, host: str, port: int | None = None, transport: str = "") -> bool:
        """Whether a URI with this host (IPv6 bracketed or not), port (0: any) and transport means us."""

    def socket(self, transport: str, address: tuple[str, int]) -> Socket | None:
        """The listening socket with this address, None when there is none."""

    def variable(self, text: str) -> Variable:
        """Compile `$avp(x)` as found in a modparam. Raises ConfigError."""

    def variables(self, texts: Sequence[str]) -> Callable[[Any], tuple[Value, ...]]:
        """Compile pseudo-variables as found in a modparam: one function that reads them all."""

    def format(self, text: str) -> Callable[[Any], str]:
        """Compile a format string as found in a modparam. Raises ConfigError."""
