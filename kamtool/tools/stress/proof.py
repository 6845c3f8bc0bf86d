"""Answers to digest challenges, as many as a load needs: what stays the same from one to the next is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kamtool.errors import ParseError
from kamtool.sip import digest
from kamtool.tools.stress import received

_MARK = "0nonce0"
_COUNT = "00000001"
KEPT = 100_000

Known = tuple[bytes, bytes, bytes, Callable[[bytes], str], bool]
"""The line as a format, HA1, HA2, the hash, and whether there is a qop."""


class Prover:
    """Gives the line that meets a challenge: `names` and `secrets` by row of the users, or one for all."""

    def __init__(self, names: list[str], secrets: list[str]) -> None:
        self.names, self.secrets = names, secrets
        self._known: dict[tuple[bytes, int, bytes], Known | None] = {}

    def __call__(self, argument: object, challenge: bytes, first: bytes, row: int, number: int) -> bytes:
        """The whole header line, b"" when the challenge cannot be met; `first`: the request's first line."""
        asked = b"Proxy-Authenticate" if challenge[8:11] == b"407" else b"WWW-Authenticate"
        mark = challenge.find(b"\r\n" + asked + b": ")
        line = challenge[mark + 2 : challenge.find(b"\r\n", mark + 2)] if mark >= 0 else b""
        begin = line.find(b'nonce="') + 7
        end = line.find(b'"', begin)
        if begin < 7 or end < 0 or challenge.find(b"\r\n" + asked, mark + 2) >= 0:
            return self.whole(challenge, asked.decode(), first, row, number)
        nonce = line[begin:end]
        row %= len(self.names)
        key = (line[:begin] + line[end:], row, first)
        try:
            known = self._known[key]
        except KeyError:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[key] = self._learn(line[:begin] + _MARK.encode() + line[end:], row, first)
        if known is None or b"\\" in nonce:
            return self.whole(challenge, asked.decode(), first, row, number)
        text, ha1, ha2, hashed, counted = known
        if not counted:
            return text % (nonce, hashed(b"%b:%b:%b" % (ha1, nonce, ha2)).encode())
        cnonce = b"%08x" % number
        response = hashed(b"%b:%b:00000001:%b:auth:%b" % (ha1, nonce, cnonce, ha2)).encode()
        return text % (nonce, response, cnonce)

    def _learn(self, line: bytes, row: int, first: bytes) -> Known | None:
        """What the line would be for a nonce; None for challenges that are answered one by one."""
        name, _, value = line.partition(b": ")
        try:
            challenge = digest.parse_challenge(value.decode())
            if challenge is None or challenge.nonce != _MARK or challenge.algorithm.lower().endswith("-sess"):
                return None
            method, _, rest = first.decode().partition(" ")
            user, uri = self.names[row], rest.rpartition(" ")[0]
            made = digest.answer(
                challenge, user, self.secrets[row], method=method, uri=uri, cnonce="0cnonce0"
            )
            hashed, _ = digest.hash_of(challenge.algorithm)
        except (ParseError, UnicodeDecodeError):
            return None
        if made.qop not in ("", "auth") or (made.qop and made.nc != _COUNT):
            return None
        marks = {"nonce": "\0n", "response": "\0r", **({"cnonce": "\0c"} if made.cnonce else {})}
        text = str(replace(made, params={**made.params, **marks})).encode().replace(b"%", b"%%")
        order = [text.find(mark.encode()) for mark in marks.values()]
        if min(order) < 0 or sorted(order) != order:
            return None
        for mark in marks.values():
            text = text.replace(mark.encode(), b"%b")
        answered = b"Proxy-Authorization: " if name[:1] in b"Pp" else b"Authorization: "
        ha1 = digest.ha1(user, challenge.realm, self.secrets[row], challenge.algorithm)
        ha2 = hashed(f"{method}:{uri}".encode())
        return answered + text, ha1.encode(), ha2.encode(), hashed, bool(made.qop)

    def whole(self, challenge: bytes, asked: str, first: bytes, row: int, number: int) -> bytes:
        """The same without shortcuts."""
        row %= len(self.names)
        answered = b"Proxy-Authorization: " if asked[0] == "P" else b"Authorization: "
        for value in received.values(challenge, asked):
            line = credentials(
                value.decode("utf-8", "replace"), self.names[row], self.secrets[row], first, number
            )
            if line:
                return answered + line
        return b""


def credentials(value: str, name: str, secret: str, first: bytes, number: int) -> bytes:
    """The value of Authorization for one challenge; b"" when it cannot be met."""
    method, _, rest = first.decode("utf-8", "surrogateescape").partition(" ")
    uri = rest.rpartition(" ")[0]
    try:
        challenge = digest.parse_challenge(value)
        if challenge is None:
            return b""
        made = digest.answer(challenge, name, secret, method=method, uri=uri, cnonce=f"{number:08x}")
    except ParseError:
        return b""
    return str(made).encode("utf-8", "surrogateescape")
