"""Credentials by the thousand equal those made one by one."""

import pytest

from kamtool.tools.stress.proof import Prover, credentials

FIRST = b"REGISTER sip:example.com SIP/2.0"


def challenge(value, status=b"401", name=b"WWW-Authenticate"):
    return (
        b"SIP/2.0 "
        + status
        + b" x\r\nCall-ID: a\r\n"
        + name
        + b": "
        + value
        + b"\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "value",
    [
        b'Digest realm="r", nonce="%b"',
        b'Digest realm="r 50%%", nonce="%b", qop="auth", opaque="o%%d"',
        b'Digest nonce="%b", realm="r", algorithm=SHA-256, qop="auth,auth-int"',
        b'Digest realm="r", nonce="%b", algorithm=MD5-sess, qop="auth"',
        b'Digest realm="r", nonce="%b", qop="auth-int"',
        b'Digest realm="r", nonce="%b", algorithm=NONE',
        b'Digest realm="r", nonce=%b',
        b'Basic realm="r", nonce="%b"',
        b"Digest",
    ],
)
@pytest.mark.parametrize("status", [b"401", b"407"])
def test_what_is_kept_from_one_challenge_to_the_next_changes_nothing(value, status):
    asked, said = (
        (b"WWW-Authenticate", b"Authorization: ")
        if status == b"401"
        else (b"Proxy-Authenticate", b"Proxy-Authorization: ")
    )
    prover = Prover(["alice", "bob"], ["secret", "%s"])
    for number, nonce in enumerate((b"n1", b"n2", b"n%3", b"n1", b'n\\"4')):
        text = value % nonce if b"%b" in value else value
        for row in (0, 1, 2):
            alone = credentials(text.decode(), prover.names[row % 2], prover.secrets[row % 2], FIRST, number)
            made = prover(None, challenge(text, status, asked), FIRST, row, number)
            assert made == (said + alone if alone else b"")


def test_of_two_challenges_the_first_that_can_be_met_is():
    prover = Prover(["alice"], ["secret"])
    two = b'Digest realm="r", nonce="n", algorithm=NONE\r\nWWW-Authenticate: Digest realm="q", nonce="m"'
    assert b'realm="q"' in prover(None, challenge(two), FIRST, 0, 1)
