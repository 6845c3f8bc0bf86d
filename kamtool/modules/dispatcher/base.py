"""What all parts of dispatcher share: the sets, and how a destination changes its state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamtool.modules.dispatcher.choosing import Chooser
from kamtool.modules.dispatcher.destination import DISABLED, INACTIVE, PROBING, TRYING, Destination, Set
from kamtool.modules.dispatcher.load import Loads

if TYPE_CHECKING:
    from kamtool.module import Host
    from kamtool.sip.flow import Socket

USER_ONLY, FAILOVER = 1, 2
LETTERS = {"a": 0, "i": INACTIVE, "t": TRYING, "d": DISABLED}


class Sets:
    """The sets by number. What a change of state sets off is told by `turned`."""

    server: Host
    sets: dict[int, Set]
    chooser: Chooser
    loads: Loads
    flags: int
    force_dst: int
    xavp_dst: str
    xavp_ctx: str
    xavp_dst_mode: int
    xavp_ctx_mode: int
    ds_probing_threshold: int
    ds_inactive_threshold: int

    async def read_again(self) -> str:
        """Read the list again; what is wrong with it, "" when nothing."""
        raise NotImplementedError

    def turned(self, each: Destination, *, up: bool) -> None:
        """A destination has become open or closed."""
        raise NotImplementedError

    def socket_of(self, each: Destination) -> Socket | None:
        """The socket that its attributes name, else the default one."""
        raise NotImplementedError

    def all(self, group: int = -1) -> Iterator[tuple[int, Destination]]:
        """Every destination with the number of its set, of all sets or of one."""
        for number, found in self.sets.items():
            if group in (-1, number):
                for each in found.destinations:
                    yield number, each

    def find(self, group: int, uri: str) -> list[Destination]:
        """The destinations of a set with this URI."""
        found = self.sets.get(group)
        return [each for each in found.destinations if each.uri == uri] if found else []

    @staticmethod
    def flags_of(state: str) -> int | None:
        """The flags that `ip`, `a`, `TP` … stand for; None for others."""
        text = state.lower()
        flags = LETTERS.get(text[:1])
        if flags is None or text[1:] not in ("", "p"):
            return None
        return flags | (PROBING if text[1:] else 0)

    def change(self, each: Destination, flags: int) -> None:
        """Bring a destination into a state, counting failures and successes where thresholds ask for it."""
        was_open = each.is_open
        if flags & TRYING:
            flags = self._failed(each, flags)
        elif not flags & (INACTIVE | DISABLED):
            flags = self._answered(each, flags)
        else:
            each.count = 0
        each.flags = flags
        if each.is_open != was_open:
            for group in self.sets.values():
                if each in group.destinations:
                    group.prepare()
            self.turned(each, up=each.is_open)

    def _failed(self, each: Destination, flags: int) -> int:
        if not each.is_open:
            each.count = 0
            return (each.flags & ~PROBING) | (flags & PROBING)
        each.count += 1
        if each.count < self.ds_probing_threshold:
            return flags
        each.count = 0
        return (flags & ~TRYING) | INACTIVE

    def _answered(self, each: Destination, flags: int) -> int:
        if each.flags & INACTIVE:
            each.count += 1
            if each.count < self.ds_inactive_threshold:
                return flags | INACTIVE
        each.count = 0
        return flags
