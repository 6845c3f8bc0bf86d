"""One tracked dialog: its two sides, its state, and what scripts attached to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

UNCONFIRMED: Final = 1
EARLY: Final = 2
ANSWERED: Final = 3
"""A 2xx went back, its ACK has not come yet."""
CONFIRMED: Final = 4
ENDED: Final = 5

BYE_SEEN, IN_TRANSACTION, CHANGED_VARIABLES = 4, 512 | 1024, 128
"""What `dflags` shows, by Kamailio's numbers."""

TIMEOUT_BYE, KEEP_CALLER, KEEP_CALLEE, NO_RESET = 1, 2, 4, 8
"""The bits of `iflags`."""

Side = Literal["caller", "callee"]


@dataclass(slots=True)
class Party:
    """One side, as requests from here must address it. `routes` is its route set, nearest hop first."""

    tag: str = ""
    contact: str = ""
    cseq: int = 0
    routes: str = ""
    socket: str = ""
    failed: int = 0
    """Keep-alives in a row that found nobody."""


@dataclass(slots=True)
class Profile:
    """A dialog's place in a profile; `key` names it among all servers."""

    name: str
    value: str
    key: str = ""


@dataclass(slots=True, eq=False)
class Dialog:
    """A call. Moments that end in `_epoch` are seconds since 1970, `deadline` is on the server's clock."""

    hash_entry: int
    hash_id: int
    call_id: str
    from_uri: str
    to_uri: str
    request_uri: str
    caller: Party
    callee: Party | None = None
    state: int = UNCONFIRMED
    init_epoch: float = 0.0
    start_epoch: float = 0.0
    end_epoch: float = 0.0
    lifetime: int = 0
    deadline: float = 0.0
    waits_in: int = -1
    """The second in whose list of deadlines it stands."""
    dflags: int = 0
    sflags: int = 0
    iflags: int = 0
    timeout_route: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    profiles: list[Profile] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    """What other modules remember; keys begin with the module's name."""
    kept_at: float = 0.0
    """When it was last asked whether it is still there."""
    stored: bool = False
    changed: bool = False

    def side(self, name: Side) -> Party:
        """One of the sides; the callee's is empty until it has answered."""
        if name == "caller":
            return self.caller
        return self.callee or Party()

    def direction(self, from_tag: str, to_tag: str) -> Side | None:
        """Who sent a request with these tags; None when neither did. A side not known yet fits any tag."""
        caller, callee = self.caller.tag, self.callee.tag if self.callee else ""
        if from_tag == caller and (not callee or to_tag in ("", callee)):
            return "caller"
        if to_tag == caller and (not callee or from_tag == callee):
            return "callee"
        return None

    @property
    def is_alive(self) -> bool:
        """Answered and not ended."""
        return self.state in (ANSWERED, CONFIRMED)

    def change(self, flag: int = 0) -> None:
        """Note that the database knows less than we do."""
        self.changed = True
        self.dflags |= flag
