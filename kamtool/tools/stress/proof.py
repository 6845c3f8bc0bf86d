"""Answers to digest challenges, as many as a load needs: what stays the same from one to the next is kept."""

from __future__ import annotations

from dataclasses import replace

from kamtool.errors import ParseError
from kamtool.sip import digest
from kamtool.tools.stress import received
from kamtool.tools.stress.kernel import Answer

_MARK = "0nonce0"
_COUNT = "00000001"
KEPT = 8
"""Answers kept for a user: one for each of their requests."""


class Prover:
    """Gives the line that meets a challenge: `names` and `secrets` by row of the users, or one for all."""

    def __init__(self, names: list[str], secrets: list[str]) -> None:
        self.names, self.secrets = names, secrets
        self.answers: dict[int, list[Answer]] = {}
        """What is known, by row: whoever has it need not ask for the like again."""

    def __call__(self, argument: object, challenge: bytes, first: bytes, row: int, number: int) -> bytes:
        """The whole header line, b"" when the challenge cannot be met; `first`: the request's first line."""
        row %= len(self.names)
        known = self.answers.setdefault(row, [])
        for answer in known:
            if line := answer.meets(challenge, first, number):
                return line
        asked = b"Proxy-Authenticate" if challenge[8:11] == b"407" else b"WWW-Authenticate"
        learnt = self._learn(asked, challenge, first, row)
        if learnt is not None:
            known.insert(0, learnt)
            del known[KEPT:]
        return self._whole(challenge, asked, first, row, number)

    def _learn(self, asked: bytes, challenge: bytes, first: bytes, row: int) -> Answer | None:
        """What would meet a challenge that differs in its nonce; None for those answered one by one."""
        line = challenge.partition(b"\r\n" + asked + b": ")[2].partition(b"\r\n")[0]
        before, found, rest = line.partition(b'nonce="')
        nonce, quote, after = rest.partition(b'"')
        if not found or not quote or b"\\" in nonce:
            return None
        before, after = before + found, quote + after
        try:
            given = digest.parse_challenge((before + _MARK.encode() + after).decode())
            if given is None or given.nonce != _MARK or given.algorithm.lower().endswith("-sess"):
                return None
            method, _, rest_of_first = first.decode().partition(" ")
            user, secret, uri = self.names[row], self.secrets[row], rest_of_first.rpartition(" ")[0]
            made = digest.answer(given, user, secret, method=method, uri=uri, cnonce="0cnonce0")
            hashed, _ = digest.hash_of(given.algorithm)
        except (ParseError, UnicodeDecodeError):
            return None
        pieces = _pieces(made)
        if not pieces:
            return None
        pieces[0] = (b"Proxy-Authorization: " if asked[:1] == b"P" else b"Authorization: ") + pieces[0]
        ha1 = digest.ha1(user, given.realm, secret, given.algorithm)
        ha2 = hashed(f"{method}:{uri}".encode())
        is_md5 = given.algorithm.upper() in ("", "MD5")
        return Answer(
            asked, before, after, first, pieces, ha1.encode(), ha2.encode(), None if is_md5 else hashed
        )

    def _whole(self, challenge: bytes, asked: bytes, first: bytes, row: int, number: int) -> bytes:
        """The same without shortcuts."""
        answered = b"Proxy-Authorization: " if asked[:1] == b"P" else b"Authorization: "
        for value in received.values(challenge, asked.decode()):
            line = credentials(
                value.decode("utf-8", "replace"), self.names[row], self.secrets[row], first, number
            )
            if line:
                return answered + line
        return b""


def _pieces(made: digest.Credentials) -> list[bytes]:
    """A line around its nonce, response and cnonce; [] when they are not what changes, in that order."""
    if made.qop not in ("", "auth") or (made.qop and made.nc != _COUNT):
        return []
    marks = {"nonce": "\0n", "response": "\0r", **({"cnonce": "\0c"} if made.cnonce else {})}
    rest = str(replace(made, params={**made.params, **marks})).encode()
    pieces = []
    for mark in marks.values():
        piece, found, rest = rest.partition(mark.encode())
        if not found:
            return []
        pieces.append(piece)
    return [*pieces, rest]


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
