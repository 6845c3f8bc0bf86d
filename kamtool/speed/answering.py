"""A response without a transaction, with all that it says of its sender. The pure twin."""

from __future__ import annotations

from collections.abc import Sequence

from kamtool.speed.index import Index
from kamtool.speed.octets import encode
from kamtool.speed.wire import respond


def answer(
    index: Index,
    status: int,
    status_line: bytes,
    key: str,
    host: str,
    port: int,
    force_rport: bool,
    lines: Sequence[str],
    extra: bytes,
) -> bytes:
    """The response to a request that came from `host`, an address, and `port` (RFC 3261 §18.2.1, RFC 3581).

    Its To-tag begins with `key`, and is the same for the same request. `lines` are further header lines
    without their line ends, `extra` stands behind them as it is.
    """
    received, rport = b"", 0
    if force_rport or index.via_rport >= 0:
        received, rport = host.encode(), port
    else:
        sent_by = index.via_host[1:-1] if index.via_host[:1] == "[" else index.via_host
        # A `received` that the peer wrote itself is not believed: it is overwritten.
        if sent_by != host or index.via_received:
            received = host.encode()
    tag = b""
    if status > 100 and not index.to_tag:
        # Python's hash of text is keyed anew for each process: nobody can foresee a tag.
        number = hash((index.branch, index.call_id, index.from_tag, index.cseq)) & 0xFFFFFFFF
        tag = f"{key}.{number:08x}".encode()
    if status > 100:
        texts = [line.rstrip("\r\n") for line in lines]
        extra = b"".join([encode(f"{text}\r\n") for text in texts if text]) + extra
    return respond(index, status, status_line, tag, received, rport, extra)
