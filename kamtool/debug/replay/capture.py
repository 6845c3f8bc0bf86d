"""A recording made of a capture, which has only the messages: the rest is made up, and that is said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kamtool.debug.record.file import FLOW, Entry, Recording, in_json
from kamtool.sip.flow import Address

SWEEP = 0.05
LACKS = (
    "database rows (every query finds none)", "DNS answers (every name leads nowhere)", "calls over RPC",
    "the server's random numbers (its tags and branches are others)",
)  # fmt: skip
_VIA = re.compile(rb"(?:via|v)[ \t]*:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*", re.IGNORECASE)


class Seen(NamedTuple):
    """A message of a capture. Times are seconds since the epoch."""

    at: float
    transport: str
    source: Address
    target: Address
    data: bytes


def recording_of(seen: Sequence[Seen], ours: Address | None = None) -> Recording:
    """The messages that came to the server: to `ours`, else to where the first request went."""
    if ours is None:
        first = next((each for each in seen if not each.data.startswith(b"SIP/")), None)
        ours = first.target if first is not None else Address("127.0.0.1", 5060)
    begin = seen[0].at if seen else 0.0
    about: dict[str, Any] = {
        "now": 1000.0, "day": begin, "seed": "capture", "hosts": {}, "hashseed": "", "from_capture": True,
    }  # fmt: skip
    transports = sorted({each.transport for each in seen if each.target == ours} | {"udp"})
    sockets = [[transport, list(ours), None, ""] for transport in transports]
    entries = [Entry("M", 1000.0, in_json({"sockets": sockets}))]
    entries += _entries(seen, ours, begin)
    return Recording(about, entries)


def _entries(seen: Iterable[Seen], ours: Address, begin: float) -> Iterable[Entry]:
    flows: dict[tuple[str, Address], int] = {}
    swept = 1000.0
    for each in seen:
        if each.target != ours:
            continue
        at = 1000.0 + max(each.at - begin, 0.0)
        while swept + SWEEP < at:
            swept += SWEEP
            yield Entry("S", swept, b"")
        key = (each.transport, each.source)
        if key not in flows:
            flows[key] = len(flows)
            connection = 0 if each.transport == "udp" else len(flows)
            facts = [flows[key], each.transport, list(ours), list(each.source), connection]
            yield Entry("F", at, in_json(facts))
        yield Entry("I", at, FLOW.pack(flows[key]) + each.data)


def with_our_via(response: bytes, sent: bytes) -> bytes:
    """A captured response, its top Via that of the request which this server sent."""
    mine, theirs = _VIA.search(sent), _VIA.search(response)
    if mine is None or theirs is None:
        return response
    return response[: theirs.start()] + mine[0] + response[theirs.end() :]
