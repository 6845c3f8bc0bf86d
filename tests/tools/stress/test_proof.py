"""Credentials by the thousand equal those made one by one."""

import itertools

import pytest

from kamtool.speed import proving
from kamtool.tools.stress import proof
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


@pytest.mark.parametrize("count", [1, 20])
def test_a_user_with_many_requests_keeps_the_answers_of_a_few(count):
    prover = Prover(["alice"], ["secret"])
    for number in range(count):
        first = b"MESSAGE sip:%d@example.com SIP/2.0" % number
        prover(None, challenge(b'Digest realm="r", nonce="n"'), first, 0, 1)
    assert prover.answers[0][0].first == first
    assert len(prover.answers[0]) == min(count, proof.KEPT)


NAMES = (b"WWW-Authenticate: ", b"www-authenticate: ", b"WWW-Authenticate:", b"Proxy-Authenticate: ")
NONCES = (b"n1", b"", b'n"', b"n\\", b"n" * 200, b"n\r\n v")
AFTER = (b"", b", stale=true", b"\r\n folded", b"\r\nWWW-Authenticate: x")
STATUSES = (b"401", b"407", b"4")
FIRSTS = (FIRST, FIRST + b" ", b"")


@pytest.mark.parametrize("hashed", [None, lambda data: f"<{len(data)}>"])
@pytest.mark.parametrize("counted", [True, False])
def test_both_twins_meet_the_same_challenges(counted, hashed):
    """And no others: what is left of one, or is around it, is not met."""
    native = pytest.importorskip("kamtool.speed._volley", reason="the kernel is not built")
    if not hasattr(native, "Answer"):
        pytest.skip("the kernel was built before it had this")
    pieces = [b"Authorization: nonce=", b" response=", b" cnonce=", b";"][: 4 if counted else 3]
    made = b"WWW-Authenticate", b'Digest nonce="', b'", qop="auth"', FIRST, pieces, b"ha1", b"ha2", hashed
    twins = [twin(*made) for twin in (native.Answer, proving.Answer)]
    met = 0
    for name, nonce, after, status, first in itertools.product(NAMES, NONCES, AFTER, STATUSES, FIRSTS):
        line = name + b'Digest nonce="' + nonce + b'", qop="auth"' + after
        whole = b"SIP/2.0 " + status + b" x\r\nCall-ID: a\r\n" + line + b"\r\nContent-Length: 0\r\n\r\n"
        end = whole.find(b"\r\nContent")
        for size in (len(whole), len(whole) - 3, end, end + 1, end + 2, 60, 9):
            for number in (1, 0xFFFFFFFF, 1 << 40):
                given = [one.meets(whole[:size], first, number) for one in twins]
                assert given[0] == given[1], (whole[:size], first)
                met += bool(given[0])
    assert met


def test_of_two_challenges_that_can_be_met_the_first_is_and_it_is_kept():
    prover = Prover(["alice"], ["secret"])
    for number, nonce in enumerate((b"n", b"m")):
        first = b'Digest realm="r", nonce="%b", qop="auth", algorithm=SHA-256' % nonce
        two = first + b'\r\nWWW-Authenticate: Digest realm="r", nonce="%b", algorithm=MD5' % nonce
        made = prover(None, challenge(two), FIRST, 0, number)
        assert made == b"Authorization: " + credentials(first.decode(), "alice", "secret", FIRST, number)
    assert len(prover.answers[0]) == 1


def test_of_two_challenges_the_first_that_can_be_met_is():
    prover = Prover(["alice"], ["secret"])
    two = b'Digest realm="r", nonce="n", algorithm=NONE\r\nWWW-Authenticate: Digest realm="q", nonce="m"'
    assert b'realm="q"' in prover(None, challenge(two), FIRST, 0, 1)
