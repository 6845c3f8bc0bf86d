"""Messages that somebody watches, kept as octets: the pure twin of `_tape`.

What goes in costs a copy of the message and a head of fixed size, no object a field. A `Tape` is given away
piece by piece; a `Ring` keeps the last so many octets. Both wrap themselves around the functions by which
messages come and go. `Steps` keeps which statements of a script ran for a message.
"""

from __future__ import annotations

import struct
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from kamtool.speed.cutting import KEEPALIVE_BYTES

HEAD = struct.Struct("<BdIII")
"""Of a frame: kind (of a message 1 when it came in, else 0), time of day, number of the flow, number of the
statement that sent it (0 for none), octets that follow.
"""


class Flowing(Protocol):
    """What is asked of a flow."""

    @property
    def connection(self) -> int: ...


Row = tuple[float, bool, int, bytes]
"""The time of day, whether it came in, the number of its flow, the message."""


class Noting:
    """Notes messages. `number_of` is asked for the number of a flow once, `numbers` has it from then on by
    `id(flow)`: who numbers must hold the flow. `dropped` counts messages for which there was no room.
    """

    def __init__(self, limit: int, number_of: Callable[[Any], int]) -> None:
        self.limit, self.number_of = limit, number_of
        self.numbers: dict[int, int] = {}
        self.dropped = 0
        self.place = 0
        """The statement that runs, and the Call-ID of the message it runs for."""
        self.call_id = b""

    def note(self, at: float, inbound: bool, flow: Flowing, data: bytes) -> None:
        """A message that goes by, at a time of day, 0.0 for now."""
        raise NotImplementedError

    def __call__(self, seen: tuple[float, bool, Any, bytes]) -> None:
        """The same, as a watcher of the tap."""
        self.note(*seen)

    def number_anew(self) -> None:
        """Forget which flow has which number."""
        self.numbers.clear()

    def receiving(self, plain: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
        """`plain`, which takes a message that came, once that is noted."""

        def receive(data: bytes, flow: Any) -> None:
            self.note(0.0, True, flow, data)
            plain(data, flow)

        return receive

    def sending(
        self, plain: Callable[[Any, bytes], bool], is_http: Callable[[Any], bool]
    ) -> Callable[[Any, bytes], bool]:
        """`plain`, which sends; what it sent is noted, unless `is_http` says that it leaves as HTTP."""

        def send(flow: Any, data: bytes) -> bool:
            sent = plain(flow, data)
            if sent and len(data) > KEEPALIVE_BYTES and not (flow.connection and is_http(flow)):
                self.note(0.0, False, flow, data)
            return sent

        return send


class Tape(Noting):
    """Frames in the order of what happened, given away by `take`.

    While more than `limit` octets wait, messages are dropped and counted.
    """

    def __init__(self, limit: int, number_of: Callable[[Any], int]) -> None:
        super().__init__(limit, number_of)
        self._octets = bytearray()

    def __len__(self) -> int:
        """The octets that wait."""
        return len(self._octets)

    def note(self, at: float, inbound: bool, flow: Flowing, data: bytes) -> None:
        number = self.numbers.get(id(flow)) or self.number_of(flow)
        if len(self._octets) + HEAD.size + len(data) > self.limit:
            self.dropped += 1
            return
        place = self.place if self.place and not inbound and self.call_id in data else 0
        self._octets += HEAD.pack(1 if inbound else 0, at or time.time(), number, place, len(data))
        self._octets += data

    def put(self, kind: int, at: float, number: int, place: int, data: bytes) -> None:
        """A frame of another kind; there is room for it whatever the limit."""
        self._octets += HEAD.pack(kind, at, number, place, len(data))
        self._octets += data

    def take(self) -> bytes | memoryview:
        """What has gathered; it is gone from here."""
        taken, self._octets = bytes(self._octets), bytearray()
        return taken


class Ring(Noting):
    """The last messages that `limit` octets can hold, heads included. `forgotten` counts those that went."""

    def __init__(self, limit: int, number_of: Callable[[Any], int]) -> None:
        super().__init__(limit, number_of)
        self.forgotten = self.size = 0
        self._rows: deque[Row] = deque()

    def __len__(self) -> int:
        """The messages that are kept."""
        return len(self._rows)

    def note(self, at: float, inbound: bool, flow: Flowing, data: bytes) -> None:
        number = self.numbers.get(id(flow)) or self.number_of(flow)
        size = HEAD.size + len(data)
        while self._rows and self.size + size > self.limit:
            self.size -= HEAD.size + len(self._rows.popleft()[3])
            self.forgotten += 1
        if size > self.limit:
            self.forgotten += 1
            return
        self.size += size
        self._rows.append((at or time.time(), bool(inbound), number, data))

    def __iter__(self) -> Iterator[Row]:
        """What is kept, the oldest first."""
        return iter(list(self._rows))


class Visit:
    """One run of a route. `path` has the numbers of its statements, 32 bits each; the list `replied` is for
    whoever asks.
    """

    def __init__(self, call_id: bytes, route: int, outer: int, place: int) -> None:
        self.call_id, self.route, self.outer, self.place = call_id, route, outer, place
        self.replied: list[int] = []
        self._path = array("I")

    @property
    def path(self) -> bytes:
        return self._path.tobytes()


class Steps:
    """Which statement runs, for its tape, and which have run for a message, up to `longest`.

    `number_of` is asked for the number of a statement once: who numbers must hold the statement.
    """

    def __init__(self, tape: Tape, number_of: Callable[[Any], int], longest: int) -> None:
        self.tape, self.number_of, self.longest = tape, number_of, longest
        self._numbers: dict[int, int] = {}
        self._visits: dict[int, Visit] = {}
        self._current = 0
        """The id of the context that runs."""

    def at(self, action: object, ctx: object) -> None:
        """A statement is about to run for a context."""
        number = self._numbers.get(id(action))
        if number is None:
            number = self._numbers[id(action)] = self.number_of(action)
        self.tape.place = number
        visit = self._visits.get(id(ctx))
        if visit is not None:
            self._current, self.tape.call_id = id(ctx), visit.call_id
            if len(visit._path) < self.longest:
                visit._path.append(number)

    def begin(self, ctx: object, call_id: bytes, route: int) -> None:
        """A route begins for a context, perhaps within the statement of another."""
        self._visits[id(ctx)] = Visit(call_id, route, self._current, self.tape.place)

    def of(self, ctx: object) -> Visit | None:
        """What has run for a context so far."""
        return self._visits.get(id(ctx))

    def end(self, ctx: object) -> Visit | None:
        """The route has ended. A statement that it was a part of runs on: what is sent now is that one's."""
        visit = self._visits.pop(id(ctx), None)
        outer = self._visits.get(visit.outer) if visit is not None else None
        if visit is None or outer is None:
            self._current = self.tape.place = 0
        else:
            self._current, self.tape.place, self.tape.call_id = visit.outer, visit.place, outer.call_id
        return visit


class Passing:
    """Calls `to`, which may change."""

    def __init__(self, to: Callable[[Any, Any], Any]) -> None:
        self.to = to

    def __call__(self, one: Any, other: Any) -> Any:
        return self.to(one, other)
