"""Destinations and the sets they stand in."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from kamtool.errors import ParseError
from kamtool.sip.uri import SipUri

INACTIVE, TRYING, DISABLED, PROBING = 1, 2, 4, 8
CLOSED = INACTIVE | DISABLED

NUMBERS = ("weight", "rweight", "maxload")


@dataclass(slots=True, eq=False)
class Destination:
    """One gateway: where it is, what state it is in, and what it carries."""

    uri: str
    flags: int
    priority: int
    body: str
    attributes: dict[str, str]
    parsed: SipUri
    loaded_flags: int = 0
    addresses: frozenset[str] = frozenset()
    count: int = 0
    """Failures in a row while it is open, successes in a row while it is closed."""
    load: int = 0
    average: float = 0.0
    deviation: float = 0.0
    estimate: float = 0.0
    slowest: float = 0.0
    timeouts: int = 0

    @property
    def is_open(self) -> bool:
        return not self.flags & CLOSED

    def number(self, name: str) -> int:
        """An attribute that is a number; 0 when there is none."""
        text = self.attributes.get(name, "0")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def letters(self) -> str:
        """The state as `dispatcher.list` shows it: AX, IP, TP, DX."""
        first = "D" if self.flags & DISABLED else "I" if self.flags & INACTIVE else "A"
        first = "T" if self.flags & TRYING and first == "A" else first
        return first + ("P" if self.flags & PROBING else "X")

    def measured(self, milliseconds: float, alpha: float) -> None:
        """Take in how long an answer to a ping took."""
        if not self.average:
            self.average = self.estimate = milliseconds
        else:
            difference = milliseconds - self.average
            self.average += difference / 64
            self.deviation += (abs(difference) - self.deviation) / 64
            self.estimate = self.estimate * alpha + milliseconds * (1 - alpha)
        self.slowest = max(self.slowest, milliseconds)


def destination(uri: str, flags: int = 0, priority: int = 0, body: str = "") -> Destination:
    """A destination as a row writes it. Raises ParseError."""
    parsed = SipUri.parse(uri if uri.lower().startswith(("sip:", "sips:")) else f"sip:{uri}")
    attributes = {}
    for part in body.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            attributes[name] = value
    made = Destination(str(parsed) if uri != str(parsed) else uri, flags, priority, body, attributes, parsed)
    made.loaded_flags = flags
    try:
        made.addresses = frozenset((str(ip_address(parsed.host.strip("[]"))),))
    except ValueError:
        made.addresses = frozenset()
    if made.number("weight") > 100:
        raise ParseError(f"weight={made.attributes['weight']} is more than 100")
    return made


@dataclass(slots=True)
class Set:
    """The destinations of one set, the highest priority first; of equals the last written first."""

    id: int
    destinations: list[Destination] = field(default_factory=list)
    next: int = 0
    weights: list[int] = field(default_factory=list)
    next_weight: int = 0
    relative: list[int] = field(default_factory=list)
    next_relative: int = 0

    def add(self, new: Destination) -> None:
        at = next((i for i, d in enumerate(self.destinations) if d.priority <= new.priority), None)
        self.destinations.insert(len(self.destinations) if at is None else at, new)

    def prepare(self) -> None:
        """Lay out the slots of the weights again, at random, after destinations or states changed."""
        self.weights = _slots([each.number("weight") for each in self.destinations])
        shares = [each.number("rweight") if each.is_open else 0 for each in self.destinations]
        total = sum(shares)
        self.relative = _slots([share * 100 // total for share in shares]) if total else []

    def from_place(self, start: int, use_default: bool) -> Iterator[Destination]:
        """The open ones from a place on, round and round; with `use_default` the last one only at the end."""
        count = len(self.destinations)
        ring = count - 1 if use_default and count > 1 else count
        for step in range(ring):
            each = self.destinations[(start + step) % ring]
            if each.is_open:
                yield each
        if ring < count and self.destinations[-1].is_open:
            yield self.destinations[-1]


def _slots(weights: Iterable[int]) -> list[int]:
    """A hundred slots, of which each place has its weight and the last with one has what is left."""
    slots: list[int] = []
    last = -1
    for place, weight in enumerate(weights):
        slots += [place] * weight
        last = place if weight else last
    if last < 0:
        return []
    slots = slots[:100] + [last] * (100 - len(slots))
    random.shuffle(slots)
    return slots
