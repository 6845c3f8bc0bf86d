"""The octets of a message of a call: the pure twin of `_rendering.pxi`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kamtool.speed.lines import header_line, to_tag
from kamtool.speed.stages import (
    CALL_ID,
    CSEQ,
    FIELD,
    LAST,
    LENGTH,
    NEXT_URL,
    NUMBER,
    PROOF,
    ROUTES,
    TO_TAG,
    Shot,
    Stage,
)

Rows = Sequence[Sequence[bytes]]
Proof = Callable[[Shot, object, bytes], bytes]
"""The line that meets a call's challenge, by the operation's argument and the request's first line."""


def rendered(shot: Shot, stage: Stage, rows: Rows, proof: Proof) -> bytes:
    """The message that this stage sends for this call."""
    body = b""
    for operation in stage.body:
        body += operation if isinstance(operation, bytes) else _value(shot, operation, b"", b"", rows, proof)
    made = b""
    for operation in stage.head:
        made += (
            operation if isinstance(operation, bytes) else _value(shot, operation, made, body, rows, proof)
        )
    return made + body


def _value(
    shot: Shot, operation: tuple[int, object, bool], made: bytes, body: bytes, rows: Rows, proof: Proof
) -> bytes:
    code, argument, vanishes = operation
    value = b""
    if code == NUMBER:
        value = b"%d" % (shot.number + argument)  # type: ignore[operator]
    elif code == CALL_ID:
        value = shot.call_id
    elif code == LENGTH:
        value = b"%d" % (len(body) + argument)  # type: ignore[operator]
    elif code == CSEQ:
        value = b"%d" % (shot.cseq + argument)  # type: ignore[operator]
    elif code == TO_TAG:
        value = to_tag(shot.last)
    elif code == LAST:
        value = header_line(shot.last, argument)  # type: ignore[arg-type]
    elif code == FIELD:
        row = rows[shot.row % len(rows)] if rows else ()
        value = row[argument] if argument < len(row) else b""  # type: ignore[call-overload,operator]
    elif code == ROUTES:
        value = b"Route: " + shot.routes if shot.routes else b""
    elif code == NEXT_URL:
        value = shot.next_url
    elif code == PROOF:
        value = proof(shot, argument, made.partition(b"\r\n")[0])
    return value + b"\r\n" if vanishes and value else value
