"""When a UDP socket is read: at every wake-up, or, once those come thick, at a steady beat.

A wake-up costs a process tens of microseconds, more than the message that it came for. Where wake-ups
follow each other closely, datagrams are left to gather and are read at a beat, so that several share one:
what network cards do with interrupts. It delays a message by a beat at most, and by nothing where traffic
is thin, or so thick that the server hardly sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST = 0.001
"""Seconds; the clock of the loop has no finer grain."""
CLOSE_SECONDS = 0.002
"""Wake-ups nearer to each other than this, above 550 a second when they come at random, are worth a beat."""
AWAKE_SECONDS = 30e-6
"""What comes sooner after the last work than this found us awake."""
FEW, MANY, ENOUGH = 3, 10, 24
"""Datagrams a beat: for fewer it is made longer, for more shorter; so many share a wake-up without it."""
SURE, MOST = 32, 48


class Beat:
    """The choice for one socket, made anew with each reading; `seconds` until the next, `longest` at most."""

    __slots__ = ("_clock", "_score", "_woken_at", "_worked_until", "longest", "seconds")

    def __init__(self, longest: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.longest = longest
        self._clock = clock
        self.seconds = min(CLOSE_SECONDS, longest)
        self._score = 0
        self._woken_at = self._worked_until = 0.0

    def woken(self) -> bool:
        """We were woken; true when from now on a beat is the better.

        The score rises when two of three gaps are short: with random arrivals, at 1.1 in CLOSE_SECONDS.
        """
        now = self._clock()
        gap, self._woken_at = now - self._woken_at, now
        if now - self._worked_until < AWAKE_SECONDS:
            return False
        if gap < CLOSE_SECONDS:
            self._score += 1
            return self._score >= SURE
        self._score = max(0, self._score - 2)
        return False

    def worked(self) -> None:
        """What woke us has been dealt with."""
        self._worked_until = self._clock()

    def beaten(self, count: int) -> bool:
        """A beat found `count` datagrams; true to go on so, false to be woken again."""
        if count >= ENOUGH:
            self._score = SURE - 8
            return False
        if count == 0:
            self._score -= 4
            if self._score <= 0:
                self._score = 0
                return False
            return True
        self._score = min(MOST, self._score + 1)
        if count < FEW:
            self.seconds = min(self.seconds * 2, self.longest)
        elif count > MANY:
            self.seconds = max(self.seconds / 2, min(SHORTEST, self.longest))
        return True
