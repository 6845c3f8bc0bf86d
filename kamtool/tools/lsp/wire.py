"""The base protocol: JSON behind a Content-Length."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from kamtool.errors import KamtoolError

LARGEST = 1 << 26
LONGEST_HEADER = 4096


class WireError(KamtoolError):
    """What came is no message; nothing after it can be read. `code` is JSON-RPC's."""

    def __init__(self, reason: str, code: int = -32700) -> None:
        super().__init__(reason)
        self.code = code


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message, None at the end of the stream. Raises WireError."""
    length = -1
    seen = False
    while True:
        line = stream.readline(LONGEST_HEADER)
        if not line:
            if seen:
                raise WireError("the stream ends inside a header")
            return None
        seen = True
        if not line.endswith(b"\n"):
            raise WireError("a header line is too long")
        name, colon, value = line.strip().partition(b":")
        if not name:
            break
        if not colon:
            raise WireError(f"{line[:40]!r} is no header")
        if name.strip().lower() == b"content-length":
            length = _length(value.strip())
    if length < 0:
        raise WireError("a message without Content-Length")
    body = stream.read(length)
    if len(body) < length:
        raise WireError("the stream ends inside a message")
    return _decoded(body)


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 9 or int(value) > LARGEST:
        raise WireError(f"Content-Length cannot be {value[:20]!r}")
    return int(value)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("this is no JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
        raise WireError("this is no request", -32600)
    return message


def write(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Send one message. Octets that were no UTF-8 leave as `?`: JSON has no place for them."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    stream.flush()
