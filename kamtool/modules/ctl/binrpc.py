"""The binary RPC that kamcmd speaks: packets of typed records.

    packet   magic 0xA and version 1 in one octet; type, size of the length, size of the cookie in the next;
             the length of the body, the cookie, the body
    record   one octet: a bit, a size of 3 bits, a type of 4. With the bit clear the size is the value's own;
             with it set, as many octets of length follow. A struct ends with the bit and size 0

Numbers are big-endian and as short as they can be, texts end with a NUL, fractions are in thousandths. The
size of a negative fraction is 8, which fits no 3 bits: Kamailio and kamcmd set the bit and size 0 for it.
Kamailio writes a list in a struct as a struct: of its entries when each has one name, as `{"SET": {…}}`,
else of structs without names. kamcmd cannot read the type that is meant for lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kamtool.errors import RpcError

MOST_CLIENTS = 64
MAGIC = 0xA1
REQUEST, REPLY, FAULT = 0, 1, 3
INT, STR, DOUBLE, STRUCT, ARRAY, AVP, BYTES = range(7)
DEEPEST = 32
WIDEST = 8
"""Octets of a number."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call: the method, its arguments, and the cookie that the reply repeats."""

    method: str
    params: list[Any]
    cookie: bytes


def packet_size(data: bytes) -> int:
    """The octets of the packet that `data` begins with; 0 while that cannot be told. Raises RpcError."""
    if data and data[0] != MAGIC:
        raise RpcError(400, "no binrpc packet")
    if len(data) < 2:
        return 0
    length_size, cookie_size = _sizes(data)
    if len(data) < 2 + length_size:
        return 0
    return 2 + length_size + cookie_size + int.from_bytes(data[2 : 2 + length_size])


def cookie_of(packet: bytes) -> bytes:
    """The cookie of a whole packet, whatever its body is worth."""
    length_size, cookie_size = _sizes(packet)
    return packet[2 + length_size : 2 + length_size + cookie_size]


def _sizes(data: bytes) -> tuple[int, int]:
    return (data[1] >> 2 & 3) + 1, (data[1] & 3) + 1


def decode(packet: bytes) -> Request:
    """A whole packet. Raises RpcError."""
    length_size, cookie_size = _sizes(packet)
    start = 2 + length_size + cookie_size
    if packet[1] >> 4 != REQUEST:
        raise RpcError(400, "no request")
    records = list(_records(packet, start))
    if not records or not isinstance(records[0], str):
        raise RpcError(400, "the name of a method is missing")
    return Request(records[0], records[1:], packet[2 + length_size : start])


def _records(data: bytes, at: int) -> Iterator[Any]:
    """Plain arguments: kamcmd sends numbers, fractions and texts, nothing nested."""
    while at < len(data):
        head = data[at]
        kind, size, at = head & 15, head >> 4 & 7, at + 1
        if head == 0x80 | DOUBLE:
            size = 8
        elif head & 0x80:
            size, at = int.from_bytes(data[at : at + size]), at + size
        if at + size > len(data):
            raise RpcError(400, "a record is cut short")
        value, at = data[at : at + size], at + size
        if kind in (INT, DOUBLE):
            if size > WIDEST:
                raise RpcError(400, f"a number of {size} octets")
            number = int.from_bytes(value, signed=size in (4, 8))
            yield number if kind == INT else number / 1000
        elif kind in (STR, BYTES):
            yield value.rstrip(b"\0").decode("utf-8", "surrogateescape")
        else:
            raise RpcError(400, f"a record of type {kind} is no argument")


def reply(cookie: bytes, result: Any) -> bytes:
    """The packet that answers with a result; the entries of a list are told one after the other."""
    entries = result if isinstance(result, list | tuple) else [] if result is None else [result]
    return _packet(REPLY, cookie, b"".join(_encode(entry, 0) for entry in entries))


def fault(cookie: bytes, code: int, reason: str) -> bytes:
    """The packet that refuses a call."""
    return _packet(FAULT, cookie, _encode(code, 0) + _encode(reason, 0))


def _packet(kind: int, cookie: bytes, body: bytes) -> bytes:
    cookie = cookie or b"\0"
    length = len(body).to_bytes(max((len(body).bit_length() + 7) // 8, 1))
    return bytes((MAGIC, kind << 4 | (len(length) - 1) << 2 | (len(cookie) - 1))) + length + cookie + body


def _encode(value: Any, depth: int) -> bytes:
    if depth > DEEPEST:
        raise RpcError(500, "the answer is nested too deeply")
    if isinstance(value, bool | int):
        return _number(INT, int(value))
    if isinstance(value, float):
        return _fraction(value)
    if isinstance(value, Mapping):
        pairs = [_text(AVP, str(name)) + _encode(entry, depth + 1) for name, entry in value.items()]
        return b"".join((bytes((STRUCT,)), *pairs, bytes((0x80 | STRUCT,))))
    if isinstance(value, list | tuple):
        entries = b"".join(_entry(entry, depth + 1) for entry in value)
        return bytes((STRUCT,)) + entries + bytes((0x80 | STRUCT,))
    return _text(STR, "" if value is None else str(value))


def _entry(value: Any, depth: int) -> bytes:
    """An entry of a list that is no answer of its own."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, inner),) = value.items()
        if isinstance(inner, Mapping):
            return _text(AVP, str(name)) + _encode(inner, depth + 1)
    return _encode(value, depth)


def _fraction(value: float) -> bytes:
    if not abs(value) < 2**53:  # infinite, or no number at all
        return _text(STR, str(value))
    thousandths = round(value * 1000)
    if 0 <= thousandths < 2**31:
        return _number(DOUBLE, thousandths)
    return bytes((0x80 | DOUBLE,)) + thousandths.to_bytes(8, signed=True)


def _number(kind: int, value: int) -> bytes:
    # kamcmd reads signed numbers of 32 bits: larger counters are told as text.
    if not -(2**31) <= value < 2**31:
        return _text(STR, str(value))
    value &= 0xFFFFFFFF
    octets = value.to_bytes((value.bit_length() + 7) // 8)
    return bytes((len(octets) << 4 | kind,)) + octets


def _text(kind: int, text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape") + b"\0"
    if len(octets) < 8:
        return bytes((len(octets) << 4 | kind,)) + octets
    length = len(octets).to_bytes((len(octets).bit_length() + 7) // 8)
    return bytes((0x80 | len(length) << 4 | kind,)) + length + octets
