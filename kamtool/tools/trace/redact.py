"""Secrets, names and numbers taken out, the same way everywhere: a call can still be followed.

Users and numbers become others of their own, addresses stay where they are (they are what a ladder is drawn
of) unless `hosts`; digests, keys and what an SDP says of encryption go; other bodies go whole.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import replace

from kamtool.tools.captured import Captured

GONE = b"***"
_SECRETS = re.compile(
    rb'\b(response|nonce|cnonce|opaque|nextnonce|rspauth|password|token|sig|ik|ck|auts)(\s*=\s*)("[^"\r\n]*"?|[^,;\s]+)',
    re.IGNORECASE,
)
_SECRET_HEADERS = re.compile(
    rb"^((?:proxy-)?authorization|(?:proxy-|www-)authenticate|authentication-info|identity|y)"
    rb"([ \t]*:[ \t]*)([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_URI_USER = re.compile(rb"\b(sips?|tel):(?:([^\s@;<>?,\"']+)@|(?<=tel:)([+\d().-]+))", re.IGNORECASE)
_NAME = re.compile(
    rb"^((?:from|to|contact|p-asserted-identity|p-preferred-identity|remote-party-id|diversion|f|t|m)"
    rb"[ \t]*:[ \t]*)"
    rb'("(?:\\.|[^"\\\r\n])*"|[^<"\r\n;]*?)([ \t]*<)',
    re.IGNORECASE | re.MULTILINE,
)
_USERNAME = re.compile(rb'\b(username\s*=\s*)"([^"\r\n]*)"?', re.IGNORECASE)
_SDP_SECRET = re.compile(
    rb"^(a=(?:crypto|fingerprint|ice-pwd|ice-ufrag|key-mgmt)|k|i|e|p|u)([:=])[^\r\n]*", re.MULTILINE
)
_LENGTH = re.compile(rb"^(content-length|l)([ \t]*:[ \t]*)\d+", re.IGNORECASE | re.MULTILINE)
_DIGITS = re.compile(rb"\+?\d+")


class Redactor:
    """One for a whole output: the same user becomes the same other user, and nobody can guess back."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or secrets.token_bytes(16)
        self._known: dict[bytes, bytes] = {}

    def __call__(self, seen: Captured) -> Captured:
        """The message without what should stay private; the first message stays as it is."""
        return replace(seen, data=self.message(seen.data), _message=None, _key=None)

    def message(self, data: bytes) -> bytes:
        """The octets, with Content-Length right again."""
        head, gap, body = data.partition(b"\r\n\r\n")
        head = _SECRET_HEADERS.sub(self._header, head)
        head = _NAME.sub(self._name, head)
        head = _URI_USER.sub(self._uri, head)
        if body:
            if body.startswith(b"v="):
                body = _SDP_SECRET.sub(lambda found: found[1] + found[2] + GONE, body)
                body = re.sub(rb"^o=\S+", b"o=-", body, count=1, flags=re.MULTILINE)
            else:
                body = b"(%d octets)" % len(body)
            head = _LENGTH.sub(lambda found: b"%b%b%d" % (found[1], found[2], len(body)), head)
        return head + gap + body

    def _header(self, found: re.Match[bytes]) -> bytes:
        if found[1].lower() in (b"identity", b"y"):
            return found[1] + found[2] + GONE
        value = _SECRETS.sub(lambda each: each[1] + each[2] + b'"***"', found[3])
        value = _USERNAME.sub(lambda each: each[1] + b'"' + self.user(each[2]) + b'"', value)
        if b"=" not in value:
            value = value.partition(b" ")[0] + b" " + GONE
        return found[1] + found[2] + value

    def _name(self, found: re.Match[bytes]) -> bytes:
        name = found[2].strip(b' "')
        return found[1] + (b'"' + self.user(name) + b'"' if name else found[2]) + found[3]

    def _uri(self, found: re.Match[bytes]) -> bytes:
        if found[2] is None:
            return found[1] + b":" + self.user(found[3])
        name, colon, _ = found[2].partition(b":")
        return found[1] + b":" + self.user(name) + (b":" + GONE if colon else b"") + b"@"

    def user(self, name: bytes) -> bytes:
        """Another name for this one: digits for digits, as many, else `user-` and four letters."""
        known = self._known.get(name.lower())
        if known is None:
            digest = hmac.new(self.key, name.lower(), hashlib.sha256).hexdigest()
            if _DIGITS.fullmatch(name):
                digits = str(int(digest, 16)).encode()
                width = len(name.lstrip(b"+"))
                known = name[: len(name) - width] + digits[:width].rjust(width, b"0")
            else:
                known = b"user-" + digest[:6].encode()
            self._known[name.lower()] = known
        return known
