"""What goes over the control socket to a tracer: frames, small for the server to make.

A frame is a head and its data. Flows and statements are told once and then go by their numbers.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence

HEAD = struct.Struct("<BdIII")
"""Kind, time of day, number of the flow, number of the statement (0 for none), octets that follow.

Of a TLS record the fourth is how many octets went that way before it, modulo 2^32.
"""
MESSAGES, FLOW, PLACE, FACTS, DROPPED, END_OF_PAST, END_OF_BATCH = range(7)
RECORDS = 16
"""From here on: what kamtool.transport.records tells of TLS connections."""
ATTACH = b'"trace.attach"'
"""What the first line of a client holds that wants to trace."""


def columns(
    times: Iterable[float], ways: Iterable[bool], flows: Iterable[int], places: Iterable[int],
    messages: Sequence[bytes],
) -> bytes:  # fmt: skip
    """The frame MESSAGES up to the octets of the messages, which follow: a column each of times, ways (1 is
    in), flows, statements, lengths. Nothing is done message by message in Python: it is the server that pays.
    """
    lengths = array("I", map(len, messages))
    body = b"".join((
        array("d", times).tobytes(), bytes(ways), array("I", flows).tobytes(), array("I", places).tobytes(),
        lengths.tobytes(),
    ))  # fmt: skip
    return HEAD.pack(MESSAGES, 0.0, len(messages), 0, len(body) + sum(lengths)) + body


def rows(count: int, body: bytes) -> Iterator[tuple[float, bool, int, int, bytes]]:
    """What `columns` was given, of what stands behind the head. Raises ValueError, struct.error."""
    begin = count * ROW
    if begin > len(body):
        raise ValueError("columns without an end")
    at = 0
    found: list[Sequence[float]] = []
    for kind, size in (("d", 8), ("B", 1), ("I", 4), ("I", 4), ("I", 4)):
        found.append(struct.unpack_from(f"={count}{kind}", body, at))
        at += count * size
    for moment, way, flow, place, size in zip(*found, strict=True):
        end = begin + int(size)
        if end > len(body):
            raise ValueError("a message without an end")
        yield moment, bool(way), int(flow), int(place), body[begin:end]
        begin = end


ROW = 8 + 1 + 4 + 4 + 4
