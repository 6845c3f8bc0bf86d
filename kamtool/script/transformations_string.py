"""Transformations of texts: `{s.…}`, without the codecs.

Each takes a text of octets and yields a text, or an int where it counts. Undefined stays undefined.
Numeric arguments must be ints; another value gives an undefined result, as does what cannot be carried out.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable

from kamtool.errors import ScriptError
from kamtool.module import Value, transformation
from kamtool.script.values import from_octets, length, to_octets, to_str, wrap

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_sha256 = hashlib.sha256
_BLANK = " \t\r\n"
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}
_PREFIX_LIMIT = 65536


def _number(argument: Value) -> int | None:
    """A numeric argument: literals arrive as ints, a text from a variable does not count."""
    return argument if type(argument) is int else None


def select(value: str, index: int, separator: str) -> str | None:
    """The field at `index`, negative from the end, of a text split at a character."""
    fields = value.split(separator)
    return fields[index] if -len(fields) <= index < len(fields) else None


def _mirrored(octets: bytes, offset: int, count: int) -> bytes | None:
    start = offset if offset >= 0 else len(octets) + offset
    if count < 0 or not 0 <= start < len(octets):
        return None
    return octets[start:] if count == 0 else octets[start : start + count]


def _digest(name: str) -> Callable[[bytes], str]:
    return lambda octets: hashlib.new(name, octets, usedforsecurity=False).hexdigest()


class StringTransformations:
    """`{s.…}`: lengths, pieces, cases, searches, digests."""

    @transformation("s.len")
    def s_len(self, value: Value) -> Value:
        """The length in octets."""
        return None if value is None else length(value)

    @transformation("s.int")
    def s_int(self, value: Value) -> Value:
        """The number that a text of decimal digits writes; undefined for another text, and beyond 32 bits."""
        text = to_str(value)
        number = int(text) if value is not None and _WHOLE_NUMBER.fullmatch(text) else None
        return number if number is not None and wrap(number) == number else None

    @transformation("s.md5")
    def s_md5(self, value: Value) -> Value:
        """The MD5 digest in hexadecimal."""
        return None if value is None else _digest("md5")(to_octets(to_str(value)))

    @transformation("s.sha1")
    def s_sha1(self, value: Value) -> Value:
        """The SHA-1 digest in hexadecimal."""
        return None if value is None else _digest("sha1")(to_octets(to_str(value)))

    @transformation("s.sha256")
    def s_sha256(self, value: Value) -> Value:
        """The SHA-256 digest in hexadecimal."""
        if value is None:
            return None
        octets = value.encode("utf-8", "surrogateescape") if type(value) is str else to_octets(to_str(value))
        # By its own name it is a third cheaper than by hashlib.new().
        return _sha256(octets, usedforsecurity=False).hexdigest()

    @transformation("s.sha384")
    def s_sha384(self, value: Value) -> Value:
        """The SHA-384 digest in hexadecimal."""
        return None if value is None else _digest("sha384")(to_octets(to_str(value)))

    @transformation("s.sha512")
    def s_sha512(self, value: Value) -> Value:
        """The SHA-512 digest in hexadecimal."""
        return None if value is None else _digest("sha512")(to_octets(to_str(value)))

    @transformation("s.substr")
    def s_substr(self, value: Value, offset: Value, count: Value) -> Value:
        """`count` octets from `offset`, negative from the end; a count of 0 takes the rest."""
        # What there mostly is, at once.
        if (
            type(value) is str
            and type(offset) is int
            and type(count) is int
            and count > 0 <= offset < len(value)
            and value.isascii()
        ):
            return value[offset : offset + count]
        start, size = _number(offset), _number(count)
        if value is None or start is None or size is None:
            return None
        text = to_str(value)
        piece = _mirrored(to_octets(text), start, size)
        return None if piece is None else from_octets(piece)

    @transformation("s.select")
    def s_select(self, value: Value, index: Value, separator: Value) -> Value:
        """The field at `index`, negative from the end, of the text split at the character `separator`."""
        place = _number(index)
        if value is None or place is None:
            return None
        character = to_str(separator) or ","
        return select(to_str(value), place, _ESCAPES.get(character, character))

    @transformation("s.strip")
    def s_strip(self, value: Value, count: Value) -> Value:
        """The text without its first `count` octets."""
        size = _number(count)
        return (
            None if value is None or size is None else from_octets(to_octets(to_str(value))[max(size, 0) :])
        )

    @transformation("s.striptail")
    def s_striptail(self, value: Value, count: Value) -> Value:
        """The text without its last `count` octets."""
        size = _number(count)
        if value is None or size is None:
            return None
        octets = to_octets(to_str(value))
        return from_octets(octets[: max(len(octets) - max(size, 0), 0)])

    @transformation("s.stripto")
    def s_stripto(self, value: Value, character: Value) -> Value:
        """The text from the first `character` on; empty when there is none."""
        if value is None:
            return None
        text, wanted = to_str(value), to_str(character)
        place = text.find(wanted)
        return text[place:] if place >= 0 else ""

    @transformation("s.tolower")
    def s_tolower(self, value: Value) -> Value:
        """ASCII letters in lower case."""
        return None if value is None else from_octets(to_octets(to_str(value)).lower())

    @transformation("s.toupper")
    def s_toupper(self, value: Value) -> Value:
        """ASCII letters in upper case."""
        return None if value is None else from_octets(to_octets(to_str(value)).upper())

    @transformation("s.trim")
    def s_trim(self, value: Value) -> Value:
        """The text without blanks and line ends around it."""
        return None if value is None else to_str(value).strip(_BLANK)

    @transformation("s.ltrim")
    def s_ltrim(self, value: Value) -> Value:
        """The text without blanks and line ends before it."""
        return None if value is None else to_str(value).lstrip(_BLANK)

    @transformation("s.rtrim")
    def s_rtrim(self, value: Value) -> Value:
        """The text without blanks and line ends after it."""
        return None if value is None else to_str(value).rstrip(_BLANK)

    @transformation("s.rm")
    def s_rm(self, value: Value, what: Value) -> Value:
        """The text without any occurrence of `what`."""
        return None if value is None else to_str(value).replace(to_str(what), "") if what else value

    @transformation("s.rmws")
    def s_rmws(self, value: Value) -> Value:
        """The text without white space."""
        return None if value is None else re.sub(r"[ \t\r\n]+", "", to_str(value))

    @transformation("s.rmhdws")
    def s_rmhdws(self, value: Value) -> Value:
        """The text without white space after line ends and commas, as a header may be unfolded."""
        return None if value is None else re.sub(r"\r?\n[ \t]+|(?<=,)[ \t]+", "", to_str(value))

    @transformation("s.rmhlws")
    def s_rmhlws(self, value: Value) -> Value:
        """The text with each folded line end (RFC 3261 §7.3.1) made one blank."""
        return None if value is None else re.sub(r"[ \t]*\r?\n[ \t]+", " ", to_str(value))

    @transformation("s.replace")
    def s_replace(self, value: Value, what: Value, by: Value) -> Value:
        """The text with every `what` replaced; `by` may be empty."""
        if value is None or not what:
            return value
        return to_str(value).replace(to_str(what), to_str(by))

    @transformation("s.count")
    def s_count(self, value: Value, character: Value) -> Value:
        """How often `character` occurs."""
        return None if value is None or not character else to_str(value).count(to_str(character))

    @transformation("s.before")
    def s_before(self, value: Value, character: Value) -> Value:
        """What stands before the first `character`; the whole text when there is none."""
        return None if value is None or not character else to_str(value).partition(to_str(character))[0]

    @transformation("s.after")
    def s_after(self, value: Value, character: Value) -> Value:
        """What stands after the first `character`; empty when there is none."""
        return None if value is None or not character else to_str(value).partition(to_str(character))[2]

    @transformation("s.rbefore")
    def s_rbefore(self, value: Value, character: Value) -> Value:
        """What stands before the last `character`; the whole text when there is none."""
        if value is None or not character:
            return None
        before, found, after = to_str(value).rpartition(to_str(character))
        return before if found else after

    @transformation("s.rafter")
    def s_rafter(self, value: Value, character: Value) -> Value:
        """What stands after the last `character`; empty when there is none."""
        if value is None or not character:
            return None
        _, found, after = to_str(value).rpartition(to_str(character))
        return after if found else ""

    @transformation("s.numeric")
    def s_numeric(self, value: Value) -> Value:
        """The digits of the text."""
        return None if value is None else "".join(c for c in to_str(value) if "0" <= c <= "9")

    @transformation("s.unquote")
    def s_unquote(self, value: Value) -> Value:
        """The text without one pair of `"` or `'` around it."""
        text = to_str(value)
        if value is not None and len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
            return text[1:-1]
        return value

    @transformation("s.unbracket")
    def s_unbracket(self, value: Value) -> Value:
        """The text without one pair of `() [] {} <>` around it."""
        text = to_str(value)
        if value is not None and len(text) >= 2 and text[0] + text[-1] in ("()", "[]", "{}", "<>"):
            return text[1:-1]
        return value

    @transformation("s.prefixes")
    def s_prefixes(self, value: Value, count: Value = 0) -> Value:
        """All prefixes, at most `count` of them: `a,ab,abc`."""
        pieces = _prefixes(value, count)
        return None if pieces is None else ",".join(pieces)

    @transformation("s.prefixes.quoted")
    def s_prefixes_quoted(self, value: Value, count: Value = 0) -> Value:
        """All prefixes in quotes, for SQL: `'a','ab','abc'`."""
        pieces = _prefixes(value, count)
        return None if pieces is None else ",".join(f"'{piece}'" for piece in pieces)

    @transformation("s.corehash")
    def s_corehash(self, value: Value, size: Value = 0) -> Value:
        """A hash of the text, modulo `size`; the same in every process and run, not Kamailio's own."""
        if value is None:
            return None
        number = int.from_bytes(hashlib.blake2b(to_octets(to_str(value)), digest_size=4).digest(), "big")
        modulus = _number(size) or 0
        return str(number % modulus if modulus > 0 else number)

    @transformation("s.ftime")
    def s_ftime(self, value: Value, pattern: Value) -> Value:
        """A Unix time in a strftime format, local time."""
        text = to_str(value)
        if not _WHOLE_NUMBER.fullmatch(text):
            return None
        try:
            return time.strftime(to_str(pattern), time.localtime(int(text)))
        except (ValueError, OverflowError, OSError, UnicodeError):
            return None

    @transformation("s.fmtlines")
    def s_fmtlines(self, value: Value, count: Value, indent: Value) -> Value:
        """The text in `count` lines: one character each, the rest in the last, indented by `indent` blanks.

        That is what Kamailio 5.6 makes of it.
        """
        return _lines(value, count, indent, " ")

    @transformation("s.fmtlinet")
    def s_fmtlinet(self, value: Value, count: Value, indent: Value) -> Value:
        """Like `s.fmtlines`, indented by tabs."""
        return _lines(value, count, indent, "\t")


def _prefixes(value: Value, count: Value) -> list[str] | None:
    text, limit = to_str(value), _number(count)
    if value is None or limit is None:
        return None
    last = min(len(text), limit) if limit > 0 else len(text)
    if last * (last + 1) // 2 > _PREFIX_LIMIT:
        raise ScriptError(f"the prefixes of {len(text)} characters are too long a text")
    return [text[:end] for end in range(1, last + 1)]


def _lines(value: Value, count: Value, indent: Value, blank: str) -> str | None:
    size, depth = _number(count), _number(indent) or 0
    if value is None or size is None or size < 1 or not 0 <= depth <= 256:
        return None
    octets = to_octets(to_str(value))
    single = min(size - 1, len(octets))
    pieces = [octets[place : place + 1] for place in range(single)] + [octets[single:]]
    return from_octets((b"\r\n" + (blank * depth).encode()).join(piece for piece in pieces if piece))
