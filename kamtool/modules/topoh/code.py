"""How topoh writes what it hides: Base64 with an alphabet of its own, shuffled by the key.

It hides, it does not encrypt: who sees many masked values of known hosts can work the alphabet out.
"""

from __future__ import annotations

import hashlib
import re
import struct
from binascii import Error, a2b_base64, b2a_base64
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

PLAIN = f"{ascii_uppercase}{ascii_lowercase}{digits}.-"
STANDARD = f"{ascii_uppercase}{ascii_lowercase}{digits}+/=".encode()
PAD = "*"
CODE = (ascii_letters + digits + ".-" + PAD).encode()

_CODED = re.compile(rb"[A-Za-z0-9.-]+\*{0,2}")
_PRINTABLE = re.compile(rb"[\x20-\x7e\x80-\xff]+")
_WORD = 1 << 32


def checksum(data: bytes) -> int:
    """CRC-16/X-25."""
    crc = 0xFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


def alphabet(key: str) -> str:
    """The alphabet of a key: found by giving Kamailio 5.6.3 keys and reading the alphabets it then used."""
    octets = key.encode("utf-8", "surrogateescape")
    words = struct.unpack("<4I", hashlib.md5(octets * 2, usedforsecurity=False).digest())
    offset = checksum(octets) + len(octets)
    letters = list(PLAIN)
    for last in range(len(letters), 1, -1):
        at = offset + last
        octet = octets[at % len(octets)]
        signed = octet - 256 if octet > 127 else octet
        chosen = (words[at % 4] + signed) % _WORD % last
        letters[chosen], letters[last - 1] = letters[last - 1], letters[chosen]
    return "".join(letters)


class Code:
    """Text to and from what may stand in a parameter or a Call-ID."""

    def __init__(self, key: str) -> None:
        self.letters = own = (alphabet(key) + PAD).encode()
        self._to = bytes.maketrans(STANDARD, own)
        self._from = bytes.maketrans(own, STANDARD)

    def encode(self, text: bytes) -> bytes:
        """The text in the key's alphabet, padded with `*`."""
        return b2a_base64(text, newline=False).translate(self._to)

    def decode(self, code: bytes) -> bytes | None:
        """The text; None for what is no such code, or would not be one line of a header."""
        if len(code) % 4 or not _CODED.fullmatch(code):
            return None
        try:
            text = a2b_base64(code.translate(self._from))
        except Error:
            return None
        return text if _PRINTABLE.fullmatch(text) else None
