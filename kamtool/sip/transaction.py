"""The four transaction machines of RFC 3261 §17 with RFC 6026's Accepted states, as tables.

A `Machine` knows neither bytes, sockets nor a clock. `step(event, now)` moves it and returns its effects as a
set of bits, so a step makes no object:

    SEND      send what the event was about: the request of a new client, the response of the user
    REPEAT    send the last thing again
    ACK       acknowledge the final response (§17.1.1.3)
    PASS      hand the message to the transaction user
    TIMEOUT   tell the user that nothing (more) came
    FAILED    tell the user that the message could not be sent
    TERMINATED   the machine is done; forget it
    ARM_RETRANSMIT, ARM_EXPIRY   `retransmit_at` and `interval`, or `expire_at` and `wait`, have been set

A machine has at most two deadlines: its next retransmission (timers A, E, G) and its expiry (all others).
The owner calls `step(RETRANSMIT, now)` or `step(EXPIRE, now)` when one has passed; a deadline that has
moved since is simply not that one any more, so nothing is ever cancelled.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

SEND: Final = 1
REPEAT: Final = 2
ACK: Final = 4
PASS: Final = 8
TIMEOUT: Final = 16
FAILED: Final = 32
TERMINATED: Final = 64
ARM_RETRANSMIT: Final = 128
ARM_EXPIRY: Final = 256
ARMED: Final = ARM_RETRANSMIT | ARM_EXPIRY


class State(IntEnum):
    """The circles of figures 5 to 8. `CANCELLING` is §9.1's wait for the end of a cancelled INVITE."""

    IDLE = 0
    CALLING = 1
    TRYING = 2
    PROCEEDING = 3
    CANCELLING = 4
    ACCEPTED = 5
    COMPLETED = 6
    CONFIRMED = 7
    TERMINATED = 8


class Event(IntEnum):
    """The arrows: what the network, the user or the clock did."""

    REQUEST = 0  # a server's request, the first or a retransmission; a client's user sends its request
    PROVISIONAL = 1  # 1xx, received by a client or sent by a server's user
    SUCCESS = 2  # 2xx
    FAILURE = 3  # 300-699
    ACKED = 4  # an ACK arrived
    CANCEL = 5  # a client's user has sent CANCEL
    RETRANSMIT = 6  # timer A, E or G fired
    EXPIRE = 7  # timer B, C, D, F, H, I, J, K, L or M fired
    ERROR = 8  # the transport could not send


# Plain numbers of the same value: compiled code has them in the instruction, and a machine keeps such a one.
REQUEST: Final = 0
PROVISIONAL: Final = 1
SUCCESS: Final = 2
FAILURE: Final = 3
ACKED: Final = 4
CANCEL: Final = 5
RETRANSMIT: Final = 6
EXPIRE: Final = 7
ERROR: Final = 8

IDLE: Final = 0
CALLING: Final = 1
TRYING: Final = 2
PROCEEDING: Final = 3
CANCELLING: Final = 4
ACCEPTED: Final = 5
COMPLETED: Final = 6
CONFIRMED: Final = 7
_ENDED: Final = 8

Transitions = dict[tuple[int, int], tuple[int, str]]
"""(State, Event): (State, what is done)."""

INVITE_CLIENT: Transitions = {  # RFC 3261 figure 5, RFC 6026 §7.2; timer C from §16.6, §16.7
    (IDLE,       REQUEST):     (CALLING,    "send arm_a arm_b"),
    (CALLING,    RETRANSMIT):  (CALLING,    "repeat double"),
    (CALLING,    EXPIRE):      (_ENDED,     "timeout"),
    (CALLING,    ERROR):       (_ENDED,     "failed"),
    (CALLING,    PROVISIONAL): (PROCEEDING, "pass quiet arm_c"),
    (CALLING,    SUCCESS):     (ACCEPTED,   "pass quiet arm_m"),
    (CALLING,    FAILURE):     (COMPLETED,  "ack pass quiet arm_d"),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, "pass arm_c"),
    (PROCEEDING, SUCCESS):     (ACCEPTED,   "pass arm_m"),
    (PROCEEDING, FAILURE):     (COMPLETED,  "ack pass arm_d"),
    (PROCEEDING, EXPIRE):      (PROCEEDING, "timeout"),
    (PROCEEDING, CANCEL):      (CANCELLING, "arm_b"),
    (CANCELLING, PROVISIONAL): (CANCELLING, "pass"),
    (CANCELLING, SUCCESS):     (ACCEPTED,   "pass arm_m"),
    (CANCELLING, FAILURE):     (COMPLETED,  "ack pass arm_d"),
    (CANCELLING, EXPIRE):      (_ENDED,     "timeout"),
    (ACCEPTED,   SUCCESS):     (ACCEPTED,   "pass"),
    (ACCEPTED,   EXPIRE):      (_ENDED,     ""),
    (COMPLETED,  FAILURE):     (COMPLETED,  "ack"),
    (COMPLETED,  ERROR):       (_ENDED,     "failed"),
    (COMPLETED,  EXPIRE):      (_ENDED,     ""),
}  # fmt: skip

NON_INVITE_CLIENT: Transitions = {  # RFC 3261 figure 6
    (IDLE,       REQUEST):     (TRYING,     "send arm_e arm_f"),
    (TRYING,     RETRANSMIT):  (TRYING,     "repeat double_to_t2"),
    (TRYING,     EXPIRE):      (_ENDED,     "timeout"),
    (TRYING,     ERROR):       (_ENDED,     "failed"),
    (TRYING,     PROVISIONAL): (PROCEEDING, "pass"),
    (TRYING,     SUCCESS):     (COMPLETED,  "pass quiet arm_k"),
    (TRYING,     FAILURE):     (COMPLETED,  "pass quiet arm_k"),
    (PROCEEDING, RETRANSMIT):  (PROCEEDING, "repeat every_t2"),
    (PROCEEDING, EXPIRE):      (_ENDED,     "timeout"),
    (PROCEEDING, ERROR):       (_ENDED,     "failed"),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, "pass"),
    (PROCEEDING, SUCCESS):     (COMPLETED,  "pass quiet arm_k"),
    (PROCEEDING, FAILURE):     (COMPLETED,  "pass quiet arm_k"),
    (COMPLETED,  EXPIRE):      (_ENDED,     ""),
}  # fmt: skip

# RFC 6026 §7.1: an error of the transport does not end an INVITE server transaction: retransmissions of the
# INVITE must go on being absorbed. So no row for ERROR changes the state.
INVITE_SERVER: Transitions = {  # RFC 3261 figure 7, RFC 6026 §7.1
    (IDLE,       REQUEST):     (PROCEEDING, "pass"),
    (PROCEEDING, REQUEST):     (PROCEEDING, "repeat"),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, "send"),
    (PROCEEDING, SUCCESS):     (ACCEPTED,   "send arm_l"),
    (PROCEEDING, FAILURE):     (COMPLETED,  "send arm_g arm_h"),
    (PROCEEDING, ERROR):       (PROCEEDING, "failed"),
    (ACCEPTED,   SUCCESS):     (ACCEPTED,   "send"),
    (ACCEPTED,   ACKED):       (ACCEPTED,   "pass"),
    (ACCEPTED,   ERROR):       (ACCEPTED,   "failed"),
    (ACCEPTED,   EXPIRE):      (_ENDED,     ""),
    (COMPLETED,  REQUEST):     (COMPLETED,  "repeat"),
    (COMPLETED,  RETRANSMIT):  (COMPLETED,  "repeat double_to_t2"),
    (COMPLETED,  ACKED):       (CONFIRMED,  "quiet arm_i"),
    (COMPLETED,  ERROR):       (COMPLETED,  "failed"),
    (COMPLETED,  EXPIRE):      (_ENDED,     "timeout"),
    (CONFIRMED,  EXPIRE):      (_ENDED,     ""),
}  # fmt: skip

NON_INVITE_SERVER: Transitions = {  # RFC 3261 figure 8
    (IDLE,       REQUEST):     (TRYING,     "pass"),
    (TRYING,     PROVISIONAL): (PROCEEDING, "send"),
    (TRYING,     SUCCESS):     (COMPLETED,  "send arm_j"),
    (TRYING,     FAILURE):     (COMPLETED,  "send arm_j"),
    (PROCEEDING, REQUEST):     (PROCEEDING, "repeat"),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, "send"),
    (PROCEEDING, SUCCESS):     (COMPLETED,  "send arm_j"),
    (PROCEEDING, FAILURE):     (COMPLETED,  "send arm_j"),
    (PROCEEDING, ERROR):       (_ENDED,     "failed"),
    (COMPLETED,  REQUEST):     (COMPLETED,  "repeat"),
    (COMPLETED,  ERROR):       (_ENDED,     "failed"),
    (COMPLETED,  EXPIRE):      (_ENDED,     ""),
}  # fmt: skip

_TIMERS = "abcdefghijklm"
_T2: Final = 13
_RETRANSMITTING = frozenset("aeg")
_BITS = {"send": SEND, "repeat": REPEAT, "ack": ACK, "pass": PASS, "timeout": TIMEOUT, "failed": FAILED}
_QUIET: Final = 1
_START: Final = 2
_DOUBLE: Final = 3
_DOUBLE_TO_T2: Final = 4
_EVERY_T2: Final = 5
_PACE = {"quiet": _QUIET, "double": _DOUBLE, "double_to_t2": _DOUBLE_TO_T2, "every_t2": _EVERY_T2}

Durations = tuple[float, ...]
"""How long timers A to M run, then T2. A zero means: not at all, or for an expiry, at once."""

Table = tuple[int, ...]
"""A row for each state and event, EVENTS to a state. Its bits, from the lowest: the effects (9), what becomes
of the retransmissions (3), the place of the timer to expire and one (4; 0: none), the next state.
NO_ROW where the figure has none."""

NO_ROW: Final = -1
EVENTS: Final = 9
_EFFECTS: Final = 511
_PACE_AT: Final = 9
_EXPIRY_AT: Final = 12
_STATE_AT: Final = 16


def durations(
    *,
    reliable: bool,
    t1: float = 0.5,
    t2: float = 4.0,
    t4: float = 5.0,
    fr: float = 0.0,
    fr_inv: float = 180.0,
    wait: float = 0.0,
) -> Durations:
    """The timers of RFC 3261 table 4, in seconds.

    `fr` replaces the 64*T1 in which a final response (or an ACK) must come, `fr_inv` is timer C, and `wait`,
    when it is given, replaces the time for which a finished transaction absorbs retransmissions
    (D, I, J, K, L and M). On a reliable transport nothing is repeated and D, I, J and K are zero.
    """
    patience, linger = fr or 64 * t1, wait or 64 * t1
    if reliable:
        a, d, i, j, k = 0.0, 0.0, 0.0, 0.0, 0.0
    else:  # Timer D is "at least 32 seconds" (§17.1.1.2): as long as the server may repeat its answer.
        a, d, i, j, k = t1, linger, wait or t4, linger, wait or t4
    return (a, patience, fr_inv, d, a, patience, a, patience, i, j, k, linger, linger, t2)


def _row(target: int, actions: str) -> int:
    effects = TERMINATED if target == _ENDED else 0
    pace, expiry = 0, -1
    for word in actions.split():
        if word.startswith("arm_"):
            timer = word[-1]
            if timer in _RETRANSMITTING:
                pace = _START
            else:
                expiry = _TIMERS.index(timer)
        elif word in _PACE:
            pace = _PACE[word]
        else:
            effects |= _BITS[word]
    return target << _STATE_AT | expiry + 1 << _EXPIRY_AT | pace << _PACE_AT | effects


def _table(transitions: Transitions) -> Table:
    rows = {key: _row(*value) for key, value in transitions.items()}
    return tuple(rows.get((state, event), NO_ROW) for state in State for event in Event)


INVITE_CLIENT_ROWS: Final = _table(INVITE_CLIENT)
# Figure 5 ends with timer B. But a 2xx that comes after a proxy's 408 still opens a dialog, of which the
# caller must learn (§16.7 step 5), and RFC 6026 §8 lets nobody forward what belongs to no transaction.
PROXY_CLIENT: Transitions = {**INVITE_CLIENT, (CALLING, EXPIRE): (CANCELLING, "timeout quiet arm_d")}
PROXY_CLIENT_ROWS: Final = _table(PROXY_CLIENT)
# Against §16.7 step 2, for phones that repeat their 180 for ever: not all of them restart timer C.
STEADY_CLIENT_ROWS: Final = _table({**PROXY_CLIENT, (PROCEEDING, PROVISIONAL): (PROCEEDING, "pass")})
NON_INVITE_CLIENT_ROWS: Final = _table(NON_INVITE_CLIENT)
INVITE_SERVER_ROWS: Final = _table(INVITE_SERVER)
NON_INVITE_SERVER_ROWS: Final = _table(NON_INVITE_SERVER)


class Machine:
    """One transaction's state and deadlines. Subclasses choose the rows.

    `expire_at` and `retransmit_at` are zero when that timer is not running. The class attributes are the
    resting values: a new machine sets only what differs.
    """

    state: int = IDLE
    expire_at: float = 0.0
    retransmit_at: float = 0.0
    interval: float = 0.0
    wait: float = 0.0

    def __init__(self, rows: Table, durations: Durations) -> None:
        self.rows, self.durations = rows, durations

    def step(self, event: int, now: float) -> int:
        """Move by one arrow of the figure and return the effects. An arrow the figure lacks does nothing."""
        row = self.rows[self.state * EVENTS + event]
        if row == NO_ROW:
            return 0
        self.state = row >> _STATE_AT
        effects, pace = row & _EFFECTS, row >> _PACE_AT & 7
        expiry = (row >> _EXPIRY_AT & 15) - 1
        if pace == _QUIET:
            self.retransmit_at = 0.0
        elif pace:
            effects |= self._pace(pace, now)
        if expiry >= 0:
            wait = self.durations[expiry]
            if wait <= 0.0:
                self.state = _ENDED
                return effects | TERMINATED
            self.wait = wait
            self.expire_at = now + wait
            effects |= ARM_EXPIRY
        return effects

    def restart_c(self, now: float) -> int:
        """Timer C from now on; the effect."""
        self.wait = self.durations[2]
        self.expire_at = now + self.wait
        return ARM_EXPIRY

    def _pace(self, pace: int, now: float) -> int:
        if pace == _START:
            self.interval = self.durations[0]
            if self.interval <= 0.0:
                return 0
        elif pace == _DOUBLE:
            self.interval *= 2
        elif pace == _DOUBLE_TO_T2:
            self.interval = min(2 * self.interval, self.durations[_T2])
        else:
            self.interval = self.durations[_T2]
        self.retransmit_at = now + self.interval
        return ARM_RETRANSMIT

    @property
    def ended(self) -> bool:
        return self.state == _ENDED


class InviteClient(Machine):
    """RFC 3261 §17.1.1."""

    def __init__(self, durations: Durations) -> None:
        super().__init__(INVITE_CLIENT_ROWS, durations)


class NonInviteClient(Machine):
    """RFC 3261 §17.1.2."""

    def __init__(self, durations: Durations) -> None:
        super().__init__(NON_INVITE_CLIENT_ROWS, durations)


class InviteServer(Machine):
    """RFC 3261 §17.2.1, RFC 6026 §7.1."""

    def __init__(self, durations: Durations) -> None:
        super().__init__(INVITE_SERVER_ROWS, durations)


class NonInviteServer(Machine):
    """RFC 3261 §17.2.2."""

    def __init__(self, durations: Durations) -> None:
        super().__init__(NON_INVITE_SERVER_ROWS, durations)


def received(status: int) -> int:
    """The arrow that a response with this status is."""
    return FAILURE if status >= 300 else SUCCESS if status >= 200 else PROVISIONAL
