"""Credentials and challenges survive being written and read again; a proof is checked without a stumble."""

from contextlib import suppress

from kamtool.errors import ParseError
from kamtool.sip import digest


def seeds():
    return [
        b'Digest username="alice", realm="k", nonce="abc", uri="sip:x", response="0", algorithm=SHA-256',
        b'Digest username="a@b", realm="r\\"", nonce="n", uri="sip:x", response="' + b"0" * 32
        + b'", qop=auth, nc=00000001, cnonce="c", opaque="o"',
        b'Digest realm="kamtool", nonce="abc", algorithm=MD5, qop="auth,auth-int", stale=TRUE, opaque=""',
    ]  # fmt: skip


def run(data):
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ParseError):
        credentials(text)
    with suppress(ParseError):
        challenge(text)


def credentials(text):
    given = digest.parse_credentials(text)
    if given is not None:
        given.proves("0" * 32, "REGISTER", b"")
        _ = given.user, given.domain
        again = digest.parse_credentials(str(given))
        assert again == given, (text, str(given))


def challenge(text):
    asked = digest.parse_challenge(text)
    if asked is not None:
        again = digest.parse_challenge(str(asked))
        assert again == asked, (text, str(asked))
