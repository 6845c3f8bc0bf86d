"""Pipes: how many messages may pass in an interval. ratelimit numbers them, pipelimit names them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

NOP, RED, TAILDROP, FEEDBACK, NETWORK = "NOP", "RED", "TAILDROP", "FEEDBACK", "NETWORK"
ALGORITHMS = (NOP, RED, TAILDROP, FEEDBACK, NETWORK)
"""In the order of their numbers in `rl.get_pipes`."""

PASS, DROP, UNLIMITED = 1, -1, 2


@dataclass(slots=True)
class Pipe:
    """One pipe: its limit, and what this interval and the last have counted."""

    algorithm: str
    limit: int
    counter: int = 0
    last_counter: int = 0
    load: int = 0
    unused: int = 0
    is_own: bool = False
    """Made by the script, not by the cfg or the table."""

    def tick(self, allowed: int, waiting: int) -> None:
        """Begin a new interval. `allowed` messages are the limit of one, `waiting` octets are queued."""
        if self.algorithm == NETWORK:
            self.load = 1 if waiting > self.limit else -1
        elif allowed > 0:
            self.load = self.counter // allowed
        self.unused = 0 if self.counter else self.unused + 1
        self.last_counter, self.counter = self.counter, 0


def _mixed() -> list[int]:
    order = list(range(100))
    random.shuffle(order)
    return order


@dataclass(slots=True)
class Control:
    """What FEEDBACK steers by: the share of requests to drop, from the load of the CPU (a PID controller)."""

    ki: float = -25.0
    kp: float = 0.0
    kd: float = 0.0
    load: float = 0.0
    drop_rate: float = 0.0
    _sum: float = 0.0
    _last: float = 0.0
    order: list[int] = field(default_factory=_mixed)

    def tick(self, wanted: float) -> None:
        """Take in the load; `wanted` is the share of the CPU that the limit allows."""
        error = wanted - self.load
        # Below the limit with nothing dropped there is nothing to win: the sum must not run away.
        if error < 0 or self.drop_rate > 0:
            self._sum = min(0.0, self._sum + error) if self.ki < 0 else max(0.0, self._sum + error)
        output = self.kp * error + self.ki * self._sum + self.kd * (error - self._last)
        self._last = error
        self.drop_rate = min(100.0, max(0.0, output))


def push(pipe: Pipe, interval: int, control: Control, *, per_second: bool = False) -> int:
    """Count one message: PASS, DROP, or UNLIMITED for a pipe without an algorithm."""
    pipe.counter += 1
    if pipe.algorithm == TAILDROP:
        return PASS if pipe.counter <= pipe.limit * (interval if per_second else 1) else DROP
    if pipe.algorithm == RED:
        return PASS if not pipe.load or pipe.counter % pipe.load == 0 else DROP
    if pipe.algorithm == FEEDBACK:
        return DROP if control.order[pipe.counter % 100] < control.drop_rate else PASS
    if pipe.algorithm == NETWORK:
        return DROP if pipe.load > 0 else PASS
    return UNLIMITED


class Machine:
    """What the machine says of its load."""

    def __init__(self) -> None:
        self._busy = self._total = 0

    def cpu(self) -> float:
        """The share of the CPUs that was busy since the last call, 0 to 1."""
        try:
            fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return 0.0
        total, busy = sum(fields), sum(fields) - fields[3] - fields[4]
        passed, worked = total - self._total, busy - self._busy
        first, self._total, self._busy = not self._total, total, busy
        return 0.0 if first or passed <= 0 else worked / passed

    @staticmethod
    def waiting(ports: set[int]) -> int:
        """The octets that wait to be read from UDP sockets on these ports."""
        octets = 0
        for name in ("/proc/net/udp", "/proc/net/udp6"):
            try:
                lines = Path(name).read_text().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                words = line.split()
                if int(words[1].rpartition(":")[2], 16) in ports:
                    octets += int(words[4].partition(":")[2], 16)
        return octets
