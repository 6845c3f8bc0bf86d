"""What goes over the control socket to a tracer: frames, small for the server to make.

A frame is a head and its data. Flows and statements are told once and then go by their numbers.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from kamtool.speed.tape import HEAD as HEAD

MESSAGE_OUT, MESSAGE_IN, FLOW, PLACE, ROUTE, FACTS, DROPPED, END_OF_PAST, END_OF_BATCH = range(9)
RECORDS = 16
"""From here on: what kamtool.transport.records tells of TLS connections. In the place of a statement stands
how many octets went that way before it, modulo 2^32.
"""
ATTACH = b'"trace.attach"'
"""What the first line of a client holds that wants to trace."""


class Said(NamedTuple):
    """What FACTS say of a run of a route beside the CSeq and the route, which stand in the head."""

    status: int
    call_id: str
    method: str
    path: Sequence[int]
    replied: Sequence[int]
    error: str


_FACTS = struct.Struct("<HHHHH")
_LONGEST, _MOST = 0xFFFF, 1000


def facts(status: int, call_id: bytes, method: str, path: bytes, replied: Sequence[int], error: str) -> bytes:
    """The octets of a frame FACTS; `path` is numbers of 32 bits already."""
    said = method.encode("utf-8", "surrogateescape")
    codes = array("H", replied[:_MOST]).tobytes()
    lead = _FACTS.pack(status, min(len(call_id), _LONGEST), min(len(said), _LONGEST), len(path), len(codes))
    parts = (lead, call_id[:_LONGEST], said[:_LONGEST], path, codes)
    return b"".join((*parts, error.encode("utf-8", "replace")) if error else parts)


def read_facts(data: bytes) -> Said:
    """What `facts` was given. Raises struct.error, ValueError."""
    status, *sizes = _FACTS.unpack_from(data)
    at, parts = _FACTS.size, []
    for size in sizes:
        parts.append(data[at : at + size])
        if len(parts[-1]) < size:
            raise ValueError("facts without an end")
        at += size
    call_id, method, path, codes = parts
    return Said(
        status, call_id.decode("utf-8", "surrogateescape"), method.decode("utf-8", "surrogateescape"),
        array("I", path), array("H", codes), data[at:].decode("utf-8", "replace"),
    )  # fmt: skip
