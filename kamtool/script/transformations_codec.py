"""Transformations that encode and decode texts: hexadecimal, base64 and base58, escapes."""

from __future__ import annotations

import base64
import binascii
import re
import string

from kamtool.errors import ScriptError
from kamtool.module import Value, transformation
from kamtool.script.values import from_octets, to_octets, to_str

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_LIMIT = 4096
_HEX_PAIR = re.compile(rb"%([0-9A-Fa-f]{2})")
_LOOSE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")

# RFC 3261 §25.1: what a user and a parameter may hold unescaped.
_UNRESERVED = string.ascii_letters + string.digits + "-_.!~*'()"
_USER = frozenset((_UNRESERVED + "&=+$,;?").encode())
_PARAM = frozenset((_UNRESERVED + "[]/:&+$").encode())
_URL = frozenset((string.ascii_letters + string.digits + "-_.~").encode())


def escape(text: str, keep: frozenset[int]) -> str:
    """Every octet that is not in `keep` as `%` and two lower-case digits."""
    return "".join(chr(octet) if octet in keep else f"%{octet:02x}" for octet in to_octets(text))


def unescape(text: str) -> str | None:
    """The text with `%xx` decoded; None when a `%` is followed by anything else."""
    octets = to_octets(text)
    if _LOOSE_PERCENT.search(octets):
        return None
    return from_octets(_HEX_PAIR.sub(lambda found: bytes([int(found[1], 16)]), octets))


def _base64(text: str, altchars: bytes) -> str | None:
    octets = to_octets(text).rstrip(b"=")
    try:
        return from_octets(base64.b64decode(octets + b"=" * (-len(octets) % 4), altchars, validate=True))
    except (binascii.Error, ValueError):
        return None


class CodecTransformations:
    """`{s.encode.…} {s.decode.…} {s.escape.…} {s.unescape.…}`."""

    @transformation("s.encode.hexa")
    def s_encode_hexa(self, value: Value) -> Value:
        """Lower-case hexadecimal."""
        return None if value is None else to_octets(to_str(value)).hex()

    @transformation("s.decode.hexa")
    def s_decode_hexa(self, value: Value) -> Value:
        """The octets that pairs of hexadecimal digits write; undefined for another text."""
        text = to_str(value)
        if value is None or len(text) % 2 or not re.fullmatch(r"[0-9A-Fa-f]*", text):
            return None
        return from_octets(bytes.fromhex(text))

    @transformation("s.encode.base64")
    def s_encode_base64(self, value: Value) -> Value:
        """Base64 with padding (RFC 4648 §4)."""
        return None if value is None else base64.b64encode(to_octets(to_str(value))).decode()

    @transformation("s.encode.base64t")
    def s_encode_base64t(self, value: Value) -> Value:
        """Base64 without padding."""
        return None if value is None else base64.b64encode(to_octets(to_str(value))).decode().rstrip("=")

    @transformation("s.encode.base64url")
    def s_encode_base64url(self, value: Value) -> Value:
        """The base64 of URLs with padding (RFC 4648 §5)."""
        return None if value is None else base64.urlsafe_b64encode(to_octets(to_str(value))).decode()

    @transformation("s.encode.base64urlt")
    def s_encode_base64urlt(self, value: Value) -> Value:
        """The base64 of URLs without padding."""
        if value is None:
            return None
        return base64.urlsafe_b64encode(to_octets(to_str(value))).decode().rstrip("=")

    @transformation("s.decode.base64", "s.decode.base64t")
    def s_decode_base64(self, value: Value) -> Value:
        """What base64 encodes, with or without padding; undefined for another text."""
        return None if value is None else _base64(to_str(value), b"+/")

    @transformation("s.decode.base64url", "s.decode.base64urlt")
    def s_decode_base64url(self, value: Value) -> Value:
        """What the base64 of URLs encodes, with or without padding; undefined for another text."""
        return None if value is None else _base64(to_str(value), b"-_")

    @transformation("s.encode.base58")
    def s_encode_base58(self, value: Value) -> Value:
        """Base58, Bitcoin's alphabet."""
        if value is None:
            return None
        octets = to_octets(to_str(value))
        _bound(octets)
        number, digits = int.from_bytes(octets, "big"), ""
        while number:
            number, rest = divmod(number, 58)
            digits = _BASE58[rest] + digits
        return "1" * (len(octets) - len(octets.lstrip(b"\0"))) + digits

    @transformation("s.decode.base58")
    def s_decode_base58(self, value: Value) -> Value:
        """What base58 encodes; undefined for another text."""
        if value is None:
            return None
        text, number = to_str(value), 0
        _bound(text)
        for character in text:
            place = _BASE58.find(character)
            if place < 0:
                return None
            number = number * 58 + place
        zeros = len(text) - len(text.lstrip("1"))
        return from_octets(b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big"))

    @transformation("s.encode.7bit")
    def s_encode_7bit(self, value: Value) -> Value:
        """The 7-bit packing of a short message (3GPP TS 23.038), in hexadecimal."""
        if value is None:
            return None
        bits = size = 0
        packed = bytearray()
        for octet in to_octets(to_str(value)):
            bits |= (octet & 0x7F) << size
            size += 7
            while size >= 8:
                packed.append(bits & 0xFF)
                bits, size = bits >> 8, size - 8
        if size:
            packed.append(bits)
        return packed.hex().upper()

    @transformation("s.decode.7bit")
    def s_decode_7bit(self, value: Value) -> Value:
        """What a 7-bit packing in hexadecimal encodes."""
        text = to_str(value)
        if value is None or len(text) % 2 or not re.fullmatch(r"[0-9A-Fa-f]*", text):
            return None
        bits = size = 0
        septets = bytearray()
        for octet in bytes.fromhex(text):
            bits |= octet << size
            size += 8
            while size >= 7:
                septets.append(bits & 0x7F)
                bits, size = bits >> 7, size - 7
        # Seven spare bits after a multiple of eight septets look like one more, a NUL.
        return from_octets(bytes(septets).removesuffix(b"\0"))

    @transformation("s.escape.common")
    def s_escape_common(self, value: Value) -> Value:
        """A backslash before `'`, `"` and backslash, `\\0` for NUL: for SQL texts."""
        return None if value is None else re.sub(r"(['\"\\])", r"\\\1", to_str(value)).replace("\0", "\\0")

    @transformation("s.unescape.common")
    def s_unescape_common(self, value: Value) -> Value:
        """The opposite of `s.escape.common`."""
        if value is None:
            return None
        return re.sub(r"\\(['\"\\0])", lambda found: "\0" if found[1] == "0" else found[1], to_str(value))

    @transformation("s.escape.user")
    def s_escape_user(self, value: Value) -> Value:
        """What the user of a SIP URI may not hold as `%xx` (RFC 3261 §25.1)."""
        return None if value is None else escape(to_str(value), _USER)

    @transformation("s.escape.param")
    def s_escape_param(self, value: Value) -> Value:
        """What a parameter of a SIP URI may not hold as `%xx` (RFC 3261 §25.1)."""
        return None if value is None else escape(to_str(value), _PARAM)

    @transformation("s.unescape.user", "s.unescape.param")
    def s_unescape_user(self, value: Value) -> Value:
        """The text with `%xx` decoded; undefined when a `%` is followed by anything else."""
        return None if value is None else unescape(to_str(value))

    @transformation("s.escape.csv")
    def s_escape_csv(self, value: Value) -> Value:
        """The text in double quotes, those in it doubled (RFC 4180)."""
        return None if value is None else '"' + to_str(value).replace('"', '""') + '"'

    @transformation("s.urlencode.param")
    def s_urlencode_param(self, value: Value) -> Value:
        """What the parameter of a URL may not hold as `%xx`."""
        return None if value is None else escape(to_str(value), _URL)

    @transformation("s.urldecode.param")
    def s_urldecode_param(self, value: Value) -> Value:
        """The opposite of `s.urlencode.param`; `+` is a blank."""
        return None if value is None else unescape(to_str(value).replace("+", " "))


def _bound(text: bytes | str) -> None:
    # The conversion takes time in the square of the length.
    if len(text) > _BASE58_LIMIT:
        raise ScriptError(f"{len(text)} octets are too many for base58")
