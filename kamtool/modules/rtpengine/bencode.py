"""Bencoding, in which rtpengine is spoken to: ints, octet strings, lists, dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_DEPTH = 32


class BencodeError(ValueError):
    """Octets that are no bencoding."""


def encode(value: Any) -> bytes:
    """The bencoding of an int, str, bytes, sequence or mapping; keys in order."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, int):
        parts.append(b"i%de" % value)
    elif isinstance(value, str | bytes):
        octets = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        parts.append(b"%d:" % len(octets))
        parts.append(octets)
    elif isinstance(value, Mapping):
        parts.append(b"d")
        for key in sorted(value):
            _encode(key, parts)
            _encode(value[key], parts)
        parts.append(b"e")
    elif isinstance(value, Sequence):
        parts.append(b"l")
        for item in value:
            _encode(item, parts)
        parts.append(b"e")
    else:
        raise TypeError(f"no bencoding for {value!r}")


def decode(data: bytes) -> Any:
    """What is encoded; strings as str (surrogateescape). Raises BencodeError."""
    value, end = _decode(data, 0, 0)
    if data[end:].strip(b"\r\n\0 "):
        raise BencodeError(f"octets behind the value at {end}")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise BencodeError(f"nested more than {MAX_DEPTH} deep")
    first = data[at : at + 1]
    if first == b"i":
        return _number(data, at + 1, b"e")
    if first == b"l":
        items = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at, depth + 1)
            items.append(item)
        return items, at + 1
    if first == b"d":
        pairs: dict[str, Any] = {}
        at += 1
        while data[at : at + 1] != b"e":
            key, at = _decode(data, at, depth + 1)
            if not isinstance(key, str):
                raise BencodeError(f"a key that is no string at {at}")
            pairs[key], at = _decode(data, at, depth + 1)
        return pairs, at + 1
    if not first.isdigit():
        raise BencodeError(f"no value at {at}")
    length, start = _number(data, at, b":")
    if length < 0 or start + length > len(data):
        raise BencodeError(f"a string that ends behind the data at {at}")
    return data[start : start + length].decode("utf-8", "surrogateescape"), start + length


def _number(data: bytes, at: int, stop: bytes) -> tuple[int, int]:
    end = data.find(stop, at, at + 24)
    digits = data[at:end].removeprefix(b"-") if end > 0 else b""
    if not digits.isdigit():
        raise BencodeError(f"no number at {at}")
    return int(data[at:end]), end + 1
