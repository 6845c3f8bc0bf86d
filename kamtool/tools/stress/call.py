"""One call of a run: where it stands in its scenario, and what it must remember to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamtool.tools.stress.endpoint import Endpoint

Value = str | float | bool | None


class Call:
    """Mutable and small: a run holds as many as it has calls in flight. Times are seconds on the engine's
    clock.
    """

    __slots__ = (
        "ack",
        "address",
        "again_at",
        "armed",
        "at",
        "began",
        "begun",
        "call_id",
        "challenge",
        "clocks",
        "cseq",
        "done",
        "endpoint",
        "first_line",
        "interval",
        "last",
        "next_url",
        "number",
        "own",
        "paused",
        "program",
        "resend",
        "routes",
        "row",
        "rtds",
        "sent",
        "since",
        "vars",
    )

    def __init__(
        self,
        number: int,
        call_id: bytes,
        endpoint: Endpoint,
        address: tuple[str, int] | None,
        program: Any,
        row: int,
    ) -> None:
        self.number, self.call_id, self.endpoint, self.address = number, call_id, endpoint, address
        self.program, self.row = program, row
        self.at = self.cseq = 0
        self.began = self.begun = 0.0
        """When it was meant to begin, and when it did."""
        self.since = self.again_at = self.interval = 0.0
        self.done = self.armed = self.paused = self.own = False
        self.last = self.sent = self.resend = self.ack = b""
        self.clocks: dict[str, tuple[float, float]] = {}
        """By method: when its request was meant to leave, and when it left."""
        self.vars: dict[str, Value] | None = None
        self.rtds: dict[str, tuple[float, float]] | None = None
        self.challenge = self.routes = self.next_url = self.first_line = b""
