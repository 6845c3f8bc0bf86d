"""Scenarios as a volley steps them, and the calls in them: the pure twin of `_stages.pxi`."""

from __future__ import annotations

from collections.abc import Sequence

SEND, RECV, PAUSE, NOP, END = range(5)
NUMBER, CALL_ID, LENGTH, CSEQ, TO_TAG, LAST, FIELD, ROUTES, NEXT_URL, PROOF = range(10)
CALL, RINGING = 0, 1
"""The measures that every volley has; those of its methods come after them."""
MEASURES = 16

Address = tuple[str, int]
Operation = bytes | tuple[int, object, bool]
"""Octets as they are, or what is put there, its argument, and whether it is a line that an empty value
takes away."""


class Stage:
    """One step. `after` is where it leads, -1 for the next one."""

    def __init__(
        self, kind: int, after: int = -1, *, head: Sequence[Operation] = (), body: Sequence[Operation] = (),
        starts: bool = False, is_ack: bool = False, retrans: float = 0.0, measure: int = -1,
        status: int = -1, method: bytes = b"", methods: Sequence[bytes] = (), optional: bool = False,
        final: bool = False, provisional: bool = False, auth: bool = False, rrs: bool = False,
        seconds: float = 0.0,
    ) -> None:  # fmt: skip
        if not -1 <= measure < MEASURES:
            raise ValueError(f"no measure {measure}")
        self.kind, self.after, self.head, self.body = kind, after, tuple(head), tuple(body)
        self.starts, self.is_ack, self.retrans, self.measure = starts, is_ack, retrans, measure
        self.status, self.method, self.methods, self.optional = status, method, tuple(methods), optional
        self.final, self.provisional, self.auth = final, provisional, auth
        self.rrs, self.seconds = rrs, seconds


class Script:
    """A scenario at one socket: what is sent is appended to `out`. The last stage is an END."""

    def __init__(self, stages: Sequence[Stage], out: list[tuple[bytes, Address]], target: Address) -> None:
        if not stages or stages[-1].kind != END or any(not -1 <= one.after < len(stages) for one in stages):
            raise ValueError("a script ends with an END, and leads nowhere else")
        self.stages, self.out, self.target = list(stages), out, target
        self.counts = [0] * len(self.stages)


class Shot:
    """One call. It was meant to begin at `began`, and did at `begun`."""

    __slots__ = (
        "ack", "address", "again_at", "armed", "at", "began", "begun", "call_id", "challenge", "clocks",
        "cseq", "done", "interval", "last", "next_url", "number", "own", "paused", "resend", "ringing",
        "routes", "row", "script", "sent", "since", "taken", "wakes_at",
    )  # fmt: skip

    def __init__(self, script: Script, number: int, call_id: bytes, address: Address, row: int) -> None:
        self.script, self.number, self.call_id, self.address, self.row = script, number, call_id, address, row
        self.at = self.cseq = 0
        self.began = self.begun = self.since = self.again_at = self.interval = self.wakes_at = 0.0
        self.done = self.armed = self.paused = self.own = self.ringing = self.taken = False
        self.last = self.sent = self.resend = self.ack = self.challenge = self.routes = self.next_url = b""
        self.clocks: dict[int, tuple[float, float]] = {}
