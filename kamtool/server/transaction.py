"""One transaction: its machines, its branches, and the timers they run by (RFC 3261 §17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kamtool.script.context import Context
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import Response
from kamtool.sip.transaction import (
    INVITE_SERVER_ROWS,
    NON_INVITE_SERVER_ROWS,
    PROCEEDING,
    TRYING,
    Durations,
    Machine,
    Table,
    durations,
)

Key = str | tuple[Any, ...]
"""What a transaction is known by, or a dialog."""
Local = Callable[[int, Response | None], None]
"""Who gets the final status of a request made here, and its response unless that was made here too."""

Restore = Callable[[Response], list[tuple[int, int, bytes]]]
"""The edits that a response gets before it goes upstream."""

NOWHERE = Flow("udp", Address("", 0), Address("", 0))


class ClientTransaction(Machine):
    """One branch: the request as it was sent, where, and what has come back."""

    status: int = 0
    reason: str = ""
    reply: Response | None = None
    edits: Sequence[tuple[int, int, bytes]] = ()
    is_local: bool = False
    replied: bool = False
    dropped: bool = False
    on_reply: str = ""
    on_branch_failure: str = ""
    cancel: ClientTransaction | None = None
    cancelled: bool = False
    cancel_headers: tuple[tuple[str, str], ...] = ()
    targets: tuple[Any, ...] = ()
    recorded: tuple[Any, Socket] | None = None
    """Where there are `targets`: what record_route() asked for, and the socket the request came in by."""
    branch_flags: int = 0
    ruid: str = ""
    path: str = ""
    instance: str = ""

    def __init__(
        self, rows: Table, durations: Durations, method: str, flow: Flow, data: bytes, uri: str
    ) -> None:
        self.rows, self.durations = rows, durations
        self.method, self.flow, self.data, self.uri = method, flow, data, uri


class ServerTransaction(Machine):
    """One request as it came, its branches, and the last response that was sent for it.

    `label` is our Via's branch but for the number of the branch. `status` is the last one sent upstream, 0
    before. `ctx` is the request's context; it is let go with the final response. `alive` counts the machines
    of this transaction that have not ended.
    """

    ctx: Context | None = None
    status: int = 0
    last: bytes = b""
    alive: int = 1
    leg: int = 0
    to_tag: str = ""
    on_failure: str = ""
    on_reply: str = ""
    on_branch: str = ""
    on_branch_failure: str = ""
    error: int = 0
    cancelled: bool = False
    released: bool = False
    failing: bool = False
    """t_relay could send nothing, and the failure_route is to run when the route has ended."""
    suspended: bool = False
    continued: bool = False
    """t_continue has run: a route that leaves it unanswered then is an error, not a wish."""
    in_failure_route: bool = False
    script_running: bool = False
    disable_6xx: bool = False
    no_e2e_reason: bool = False
    no_failover: bool = False
    no_internal_reply: bool = False
    auto_100: bool = True
    drop_replies: str = ""
    relayed_uri: tuple[str | None, str | None] = (None, None)
    prepared: Context | None = None
    dialog: Key = ()
    timers: Settings | None = None
    local: Local | None = None
    watchers: tuple[Watcher, ...] = ()
    relayed: Response | None = None
    """While a 2xx goes on as it came but for our Via, that response: nobody need read the octets again."""
    restore: tuple[Restore, ...] = ()
    """What gives responses back what the request was changed in: From, To, CSeq (RFC 3261 §8.2.6.2)."""
    program: Any = None
    """The program it ends on, once a reload has put another into the server; None: the server's."""

    def __init__(self, durations: Durations, label: str, key: Key, method: str, reply_flow: Flow) -> None:
        # It begins where figures 7 and 8 do: the request has come.
        if method == "INVITE":
            self.rows, self.state = INVITE_SERVER_ROWS, PROCEEDING
        else:
            self.rows, self.state = NON_INVITE_SERVER_ROWS, TRYING
        self.durations = durations
        self.label, self.key, self.method, self.reply_flow = label, key, method, reply_flow
        self.branches: list[ClientTransaction] = []

    @property
    def is_answered(self) -> bool:
        """Whether the final response is out."""
        return self.status >= 200


class Settings:
    """The timers of a transaction in seconds, and the tables of durations that follow from them.

    `wait` zero means what RFC 3261 says: T4 or 64*T1, as it is.
    """

    def __init__(
        self, *, t1: float = 0.5, t2: float = 4.0, t4: float = 5.0, fr: float = 30.0, fr_inv: float = 120.0,
        wait: float = 0.0, max_inv: float = 180.0, max_noninv: float = 32.0,
    ) -> None:  # fmt: skip
        self.t1, self.t2, self.t4, self.fr, self.fr_inv, self.wait = t1, t2, t4, fr, fr_inv, wait
        self.max_inv, self.max_noninv = max_inv, max_noninv
        self._tables = tuple(self._table(invite, reliable) for invite in (0, 1) for reliable in (0, 1))

    def _table(self, invite: int, reliable: int) -> Durations:
        limit = self.max_inv if invite else self.max_noninv
        return durations(
            reliable=bool(reliable), t1=self.t1, t2=self.t2, t4=self.t4, fr=min(self.fr, limit),
            fr_inv=min(self.fr_inv, limit), wait=self.wait,
        )  # fmt: skip

    def but(self, **changes: float) -> Settings:
        """A copy with some values changed."""
        mine = {
            "t1": self.t1, "t2": self.t2, "t4": self.t4, "fr": self.fr, "fr_inv": self.fr_inv,
            "wait": self.wait, "max_inv": self.max_inv, "max_noninv": self.max_noninv,
        }  # fmt: skip
        return Settings(**{**mine, **changes})

    def durations(self, invite: bool, reliable: bool) -> Durations:
        """The table for one kind of transaction; the same object each time."""
        return self._tables[2 * invite + reliable]


class Watcher(Protocol):
    """What a module that was told of a new transaction (`on_created`) may put into its `watchers`."""

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """A response went upstream."""

    def failing(self, tx: ServerTransaction, branch: int) -> None:
        """Every branch has failed, `branch` with the best response; the failure_route has not run yet."""


class User(Protocol):
    """What the transaction user (the relay) hears from the layer."""

    def timed_out(self, tx: ServerTransaction, branch: int) -> None: ...
    def send_failed(self, tx: ServerTransaction, branch: int) -> None: ...
    def slow(self, tx: ServerTransaction) -> None: ...
    def send_elsewhere(self, tx: ServerTransaction, data: bytes) -> bool: ...
    def never_acknowledged(self, tx: ServerTransaction) -> None: ...
    def ended(self, tx: ServerTransaction) -> None: ...
