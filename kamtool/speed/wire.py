"""New messages from old ones: splices, forwarding, responses; untouched octets stay. Pure twin."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from kamtool.speed.index import Index
from kamtool.speed.names import CALL_ID, CSEQ, FROM, RECORD_ROUTE, TIMESTAMP, TO, VIA

Edit = tuple[int, int, bytes]


def splice(data: bytes, edits: Sequence[Edit]) -> bytes:
    """`data` with each `data[start:end]` replaced; edits in any order, sorted by `start`, stably.

    Insertions at one point keep their order, deletions that overlap are merged, and what is inserted inside a
    deleted span stays. Raises ValueError for an edit outside the data.
    """
    size = len(data)
    for start, end, _ in edits:
        if not 0 <= start <= end <= size:
            raise ValueError(f"no such span: {start}:{end} in {size} octets")
    pieces, at = [], 0
    for start, end, text in sorted(edits, key=itemgetter(0)):
        if start > at:
            pieces.append(data[at:start])
        pieces.append(text)
        at = max(at, end)
    pieces.append(data[at:])
    return b"".join(pieces)


def _source(index: Index, received: bytes, rport: int) -> list[Edit]:
    """What RFC 3261 §18.2.1 and RFC 3581 §4 write on the top Via; the peer's own is overwritten."""
    edits = []
    if index.via_insert >= 0:
        if received and index.received_start >= 0:
            edits.append((index.received_start, index.received_end, b";received=" + received))
        elif received:
            edits.append((index.via_insert, index.via_insert, b";received=" + received))
        if rport and index.rport_start >= 0:
            edits.append((index.rport_start, index.rport_end, b";rport=%d" % rport))
        elif rport:
            edits.append((index.via_insert, index.via_insert, b";rport=%d" % rport))
    return edits


def forward(
    index: Index,
    prefix: bytes,
    uri: bytes | None = None,
    max_forwards: int = -1,
    received: bytes = b"",
    rport: int = 0,
    edits: Sequence[Edit] = (),
) -> bytes:
    """The request as it leaves: `prefix` (our Via, Record-Route) before its Vias, `uri` as the Request-URI.

    `max_forwards` below 0 leaves that header alone; where there is none it is added. `received` and `rport`
    go on the Via of the previous hop. `edits` are what else changes.
    """
    line = max(index.via_line, 0)
    own: list[Edit] = [(line, line, prefix)]
    if uri is not None and index.uri_start >= 0:
        own.append((index.uri_start, index.uri_end, uri))
    if max_forwards >= 0:
        if index.max_forwards_start >= 0:
            own.append((index.max_forwards_start, index.max_forwards_end, b"%d" % max_forwards))
        else:
            own.append((line, line, b"Max-Forwards: %d\r\n" % max_forwards))
    own += _source(index, received, rport)
    return splice(index.data, [*own, *edits])


def relay(index: Index, edits: Sequence[Edit] = ()) -> bytes:
    """The response as it goes on: without its top Via, and with `edits` applied."""
    cut = [(index.via_start, index.via_end, b"")] if index.via_start >= 0 else []
    return splice(index.data, [*cut, *edits])


_COPIED = frozenset({VIA, FROM, TO, CALL_ID, CSEQ})


def respond(
    index: Index,
    status: int,
    status_line: bytes,
    to_tag: bytes = b"",
    received: bytes = b"",
    rport: int = 0,
    extra: bytes = b"",
    body: bytes = b"",
) -> bytes:
    """The response to a request (RFC 3261 §8.2.6): its Vias, From, To, Call-ID and CSeq as they came.

    Record-Route is copied into 101 to 299 (§12.1.1), Timestamp into 100 (§8.2.6.1). `to_tag` is added where
    To has none. `extra` are header lines with their line ends.
    """
    data, pieces = index.data, [status_line, b"\r\n"]
    source = _source(index, received, rport)
    for row in index._rows:
        if row.id not in _COPIED and not (
            (row.id == RECORD_ROUTE and 101 <= status <= 299) or (row.id == TIMESTAMP and status == 100)
        ):
            continue
        if row.id == VIA and row.start == index.via_line:
            shifted = [(start - row.start, end - row.start, text) for start, end, text in source]
            pieces.append(splice(data[row.start : row.end], shifted))
        elif row.id == TO and to_tag and index.to_end >= 0 and not index.to_tag:
            pieces += (data[row.start : index.to_end], b";tag=", to_tag, data[index.to_end : row.end])
        else:
            pieces.append(data[row.start : row.end])
    pieces += (extra, b"Content-Length: %d\r\n\r\n" % len(body), body)
    return b"".join(pieces)
