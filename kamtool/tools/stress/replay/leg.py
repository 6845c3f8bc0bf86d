"""One peer's part in a dialog while it is played again."""

from __future__ import annotations

from dataclasses import dataclass, field

from kamtool.tools.captured import Captured
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.replay.capture import Key, Part

T1 = 0.5


@dataclass(slots=True, eq=False)
class Leg:
    """One peer's part in the dialog as it is now."""

    part: Part
    endpoint: Endpoint
    call_id: bytes
    waiting: list[tuple[float, Captured]] = field(default_factory=list)
    """Requests that are due and wait for an answer to the one before."""
    pending: dict[Key, Sent] = field(default_factory=dict)
    established: bool = False
    to_tag: bytes | None = None
    uri: bytes = b""
    routes: bytes = b""
    challenge: bytes = b""
    ack: bytes = b""
    replied: dict[bytes, bytes] = field(default_factory=dict)
    """What was last answered to a request, by its top Via and CSeq."""
    shift: int = 0
    """How far our CSeq is ahead of the captured: once for each challenge that the capture does not have."""
    needless: set[Key] = field(default_factory=set)
    """Captured requests that only met a challenge that did not come."""
    unchallenged: set[Key] = field(default_factory=set)
    """Requests that the captured server challenged and the target did not."""
    invite: int = 0
    """The CSeq of the INVITE that was accepted last."""


@dataclass(slots=True, eq=False)
class Sent:
    """A request that waits for its final answer."""

    data: bytes
    due: float
    left: float
    one: Captured
    interval: float = T1
    done: bool = False
    proves: bool = False
    """Whether it meets a challenge that the capture does not have."""
