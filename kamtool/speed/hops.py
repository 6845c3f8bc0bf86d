"""Max-Forwards, one down (RFC 3261 §16.6, step 3). The pure twin."""

from __future__ import annotations

from kamtool.speed.index import Index


def fewer_hops(index: Index, limit: int) -> list[tuple[int, int, bytes]] | None:
    """The edit that makes Max-Forwards one less, and less than `limit`; None when it is 0 or not there."""
    value = index.max_forwards
    if not value:
        return None
    return [(index.max_forwards_start, index.max_forwards_end, b"%d" % (min(value, limit) - 1))]
