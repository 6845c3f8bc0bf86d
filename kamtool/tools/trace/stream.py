"""The client's end of a trace: frames from a running server become messages."""

from __future__ import annotations

import json
import struct
from collections import deque
from dataclasses import dataclass

from kamtool.errors import ParseError
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured, Place
from kamtool.tools.pcap.streams import Record
from kamtool.tools.trace.frames import (
    DROPPED,
    END_OF_BATCH,
    END_OF_PAST,
    FACTS,
    FLOW,
    HEAD,
    MESSAGE_IN,
    PLACE,
    RECORDS,
    ROUTE,
    Said,
    read_facts,
)  # fmt: skip
from kamtool.transport import records

LARGEST_FRAME = 64 << 20
FIRST_ROUTES = ("request_route", "reply_route")
REMEMBERED = 512
"""Messages that may still be told what the script did for them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a script did for a message."""

    key: tuple[str, int, str]
    status: int
    route: str
    path: list[Place]
    replied: list[int]
    error: str

    def told(self, seen: Captured) -> bool:
        """Tell them to a message; false when they are another's."""
        if not seen.inbound or seen.key != self.key or seen.status != self.status:
            return False
        is_first = self.route in FIRST_ROUTES
        if is_first and seen.route in FIRST_ROUTES:
            return False  # the same once more: this is about an earlier copy
        # A branch_route ends before the request_route that it is part of does.
        seen.path = self.path + seen.path if is_first else seen.path + self.path
        seen.route = self.route if is_first else seen.route or self.route
        seen.replied = (self.replied or [seen.replied])[-1]
        seen.error = self.error or seen.error
        return True


class Recent:
    """The last messages, and what is known of messages that one worker ran and another has yet to show."""

    def __init__(self) -> None:
        self.messages: deque[Captured] = deque(maxlen=REMEMBERED)
        self.waiting: deque[Facts] = deque(maxlen=REMEMBERED)

    def add(self, messages: list[Captured]) -> None:
        self.messages.extend(messages)
        if self.waiting:
            waiting = [each for each in self.waiting if not self._tell(each, messages)]
            self.waiting = deque(waiting, maxlen=REMEMBERED)

    def learn(self, facts: Facts, batch: list[Captured]) -> None:
        """They are of the last message that came in by that name, now or before, or of one to come."""
        if not self._tell(facts, batch) and not self._tell(facts, self.messages):
            self.waiting.append(facts)

    @staticmethod
    def _tell(facts: Facts, messages: list[Captured] | deque[Captured]) -> bool:
        return any(facts.told(seen) for seen in reversed(messages))


class Frames:
    """Octets in, messages out. `dropped` and `forgotten` count what the server could not give."""

    def __init__(self, recent: Recent | None = None) -> None:
        self.dropped = self.forgotten = 0
        self.is_live = False
        """Whether the past, if any was asked for, is over."""
        self.records: list[Record] = []
        """What was told of TLS connections since somebody last took it from here."""
        self._buffer = bytearray()
        self._flows: dict[int, tuple[str, Address, Address, int]] = {}
        self._places: dict[int, Place] = {}
        self._routes: dict[int, str] = {}
        self._batch: list[Captured] = []
        self._recent = recent or Recent()

    def feed(self, data: bytes) -> list[Captured]:
        """The messages of the batches that `data` completes. Raises ParseError."""
        self._buffer += data
        found: list[Captured] = []
        at = 0
        buffer = self._buffer
        while len(buffer) - at >= HEAD.size:
            kind, moment, number, place, size = HEAD.unpack_from(buffer, at)
            if size > LARGEST_FRAME:
                raise ParseError(f"a frame of {size} octets")
            end = at + HEAD.size + size
            if len(buffer) < end:
                break
            body = bytes(buffer[at + HEAD.size : end])
            at = end
            try:
                self._frame(kind, moment, number, place, body, found)
            except (KeyError, ValueError, TypeError, IndexError, struct.error) as error:
                raise ParseError(f"a frame of kind {kind} that says nothing: {error}") from error
        del buffer[:at]
        return found

    def _frame(
        self, kind: int, moment: float, number: int, place: int, body: bytes, found: list[Captured]
    ) -> None:
        if kind <= MESSAGE_IN:
            self._batch.append(self._message(moment, kind == MESSAGE_IN, number, place, body))
        elif kind == END_OF_BATCH:
            found += self._batch
            self._recent.add(self._batch)
            self._batch = []
        elif kind == FLOW:
            transport, here, port, there, port2, connection = json.loads(body)
            self._flows[number] = transport, Address(here, port), Address(there, port2), connection
        elif kind == PLACE:
            self._places[number] = Place(*json.loads(body))
        elif kind == ROUTE:
            self._routes[number] = body.decode("utf-8", "replace")
        elif kind == FACTS:
            self._recent.learn(self._facts(number, place, read_facts(body)), self._batch)
        elif kind == DROPPED:
            self.dropped += number
        elif kind == END_OF_PAST:
            self.is_live, self.forgotten = True, number
        elif RECORDS <= kind <= RECORDS + records.END:
            _, here, there, connection = self._flows[number]
            self.records.append(Record(moment, kind - RECORDS, here, there, connection, place, body))
        else:
            raise ValueError(kind)

    def _message(self, at: float, inbound: bool, number: int, place: int, data: bytes) -> Captured:
        transport, here, there, connection = self._flows[number]
        source, target = (there, here) if inbound else (here, there)
        sent_by = self._places[place] if place else None
        return Captured(at, transport, source, target, data, inbound, connection, sent_by=sent_by)

    def _facts(self, cseq: int, route: int, said: Said) -> Facts:
        return Facts(
            (said.call_id, cseq, said.method), said.status, self._routes[route],
            [self._places[number] for number in said.path], list(said.replied), said.error,
        )  # fmt: skip
