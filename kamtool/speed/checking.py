"""The many requests that pass the checks of a script, seen from what was parsed. The pure twin."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.speed.index import Index
from kamtool.speed.scanners import split_uri

COMMON = frozenset({"UDP", "TCP", "TLS", "WS", "WSS"})


def plain_request(index: Index, rare: int, with_from: bool, with_to: bool) -> bool:
    """Whether a request has a `sip:` R-URI, a well-known transport in its Via, and none of the `rare`
    headers, a sum of `1 << id`; and SIP URIs in From and To, as far as they are asked about.
    """
    if not index.uri.startswith("sip:") or index.via_transport not in COMMON:
        return False
    for number in range(index.row_count):
        known = index.row(number).id
        if known < 64 and rare >> known & 1:
            return False
    return (not with_from or _is_sip(index.from_address)) and (not with_to or _is_sip(index.to_address))


def _is_sip(uri: str) -> bool:
    try:
        split_uri(uri)
    except ParseError:
        return False
    return True
