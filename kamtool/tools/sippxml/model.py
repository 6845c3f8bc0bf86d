"""What a scenario says: its steps in order, each with the line on which it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Action:
    """One child of `<action>`; `kind` is its element (`exec` has its attribute behind it, as `exec
    int_cmd`).
    """

    kind: str
    attributes: dict[str, str]
    line: int


@dataclass(slots=True)
class Step:
    """What all steps have: where to go on, which timer begins or ends, what is counted."""

    line: int
    next: str = ""
    test: str = ""
    chance: float = 1.0
    condition: str = ""
    condition_inverse: bool = False
    start_rtd: str = ""
    rtd: str = ""
    repeat_rtd: bool = False
    actions: list[Action] = field(default_factory=list)


@dataclass(slots=True)
class Send(Step):
    """A message to send. `retrans` is T1 in seconds, 0 when it is sent once."""

    text: str = ""
    text_line: int = 0
    retrans: float = 0.0
    lost: float = 0.0
    start_txn: str = ""
    ack_txn: str = ""


@dataclass(slots=True)
class Recv(Step):
    """A message to wait for: `response` or `request` is set, a regular expression with `regexp_match`."""

    response: str = ""
    request: str = ""
    optional: Literal["", "true", "global"] = ""
    regexp_match: bool = False
    auth: bool = False
    rrs: bool = False
    timeout: float = 0.0
    ontimeout: str = ""
    lost: float = 0.0
    response_txn: str = ""


@dataclass(slots=True)
class Pause(Step):
    """A time in which the call does nothing: `distribution` and its parameters, in seconds."""

    distribution: str = ""
    parameters: dict[str, float] = field(default_factory=dict)
    variable: str = ""


@dataclass(slots=True)
class Nop(Step):
    """Nothing but actions and a jump."""


@dataclass(slots=True)
class Label(Step):
    """Where `next` leads."""

    id: str = ""


@dataclass(slots=True)
class Timewait(Step):
    """The end of the call; late messages are answered as before for so many seconds."""

    seconds: float = 0.0


@dataclass(slots=True)
class SendCmd(Step):
    """A command to the twin, or to the one named `dest` (third-party call control)."""

    text: str = ""
    text_line: int = 0
    dest: str = ""


@dataclass(slots=True)
class RecvCmd(Step):
    """A command to wait for."""

    timeout: float = 0.0
    ontimeout: str = ""


@dataclass(slots=True)
class Scenario:
    """A whole file. `warnings` tells what is read but does nothing here (media)."""

    name: str
    file: str
    steps: list[Step]
    globals: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    start: list[Action] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_server(self) -> bool:
        """Whether the first thing of the scenario is to wait for a message."""
        first = next((step for step in self.steps if isinstance(step, Send | Recv)), None)
        return isinstance(first, Recv)

    @property
    def is_begun_by_command(self) -> bool:
        """Whether a twin's command begins each call."""
        kinds = Send | Recv | SendCmd | RecvCmd
        return isinstance(next((step for step in self.steps if isinstance(step, kinds)), None), RecvCmd)

    @property
    def first_command(self) -> type[SendCmd] | type[RecvCmd] | None:
        """What the first command is, None without one: who sends first connects, the other listens."""
        first = next((step for step in self.steps if isinstance(step, SendCmd | RecvCmd)), None)
        return type(first) if first is not None else None
