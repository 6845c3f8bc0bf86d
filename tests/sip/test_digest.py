"""Digest with the examples of RFC 2617, RFC 7616 and what phones make of them."""

import pytest

from kamtool.errors import ParseError
from kamtool.sip import digest

RFC7616 = {
    "method": "GET", "uri": "/dir/index.html", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "qop": "auth", "nc": "00000001", "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "proof"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_section_3_9_1(algorithm, proof):
    ha1 = digest.ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    assert digest.response(ha1, algorithm=algorithm, **RFC7616) == proof


def test_the_example_of_rfc_2617_section_3_5():
    ha1 = digest.ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert ha1 == "939e7578ed9e3c518a452acee763bce9"
    proof = digest.response(
        ha1, method="GET", uri="/dir/index.html", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth",
        nc="00000001", cnonce="0a4f113b",
    )  # fmt: skip
    assert proof == "6629fae49393a05397450978507c4ef1"


def test_without_qop_as_rfc_2069_had_it():
    ha1 = digest.ha1("Mufasa", "testrealm@host.com", "CircleOfLife")
    # The value in RFC 2069 §2.4 is wrong; its erratum 749 gives this one.
    proof = digest.response(
        ha1, method="GET", uri="/dir/index.html", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"
    )
    assert proof == "1949323746fe6a43ef61f9606e7febea"


def test_sha_512_256_is_that_of_fips_180_4():
    """RFC 7616 §3.9.2 used SHA-512 cut short; its erratum 4897 has this value of the hashed user name."""
    function, _ = digest.hash_of("SHA-512-256")
    assert function("Jäsøn Doe:api@example.org".encode()) == (
        "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    )


def test_session_keys_mix_in_the_nonces():
    """RFC 7616 §3.4.2: A1 is H(user:realm:password):nonce:cnonce."""
    md5 = digest.ALGORITHMS["MD5"]
    plain = digest.ha1("a", "r", "p", "MD5-sess")
    assert plain == md5(b"a:r:p")
    a1, a2 = md5(f"{plain}:n:c".encode()), md5(b"REGISTER:sip:r")
    assert digest.response(
        plain,
        method="REGISTER",
        uri="sip:r",
        nonce="n",
        qop="auth",
        nc="00000001",
        cnonce="c",
        algorithm="md5-SESS",
    ) == md5(f"{a1}:n:00000001:c:auth:{a2}".encode())


def test_auth_int_covers_the_body():
    facts = {"method": "INVITE", "uri": "sip:r", "nonce": "n", "qop": "auth-int", "nc": "1", "cnonce": "c"}
    assert digest.response("h", body=b"one", **facts) != digest.response("h", body=b"two", **facts)
    md5 = digest.ALGORITHMS["MD5"]
    a2 = md5(f"INVITE:sip:r:{md5(b'one')}".encode())
    assert digest.response("h", body=b"one", **facts) == md5(f"h:n:1:c:auth-int:{a2}".encode())


@pytest.mark.parametrize(
    "algorithm", ["", "MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "SHA-512-256-sess"]
)
@pytest.mark.parametrize("qop", ["", "auth", "auth-int", "auth,auth-int"])
def test_an_answer_proves_the_password_to_who_knows_ha1(algorithm, qop):
    challenge = digest.Challenge('quoted "realm"', "n0nce", algorithm, qop, opaque="o")
    asked = digest.parse_challenge(str(challenge))
    assert asked == challenge
    answer = digest.answer(asked, "alice", "secret", method="REGISTER", uri="sip:r", cnonce="c", body=b"b")
    read = digest.parse_credentials(str(answer))
    assert read == answer
    assert read.proves(digest.ha1("alice", 'quoted "realm"', "secret", algorithm), "REGISTER", b"b")
    assert not read.proves(digest.ha1("alice", 'quoted "realm"', "guess", algorithm), "REGISTER", b"b")
    assert not read.proves(digest.ha1("alice", 'quoted "realm"', "secret", algorithm), "INVITE", b"b")


def test_credentials_as_phones_write_them():
    text = (
        'dIgEsT  username="alice@example.com",realm="a, \\"b\\"" , nonce=abc, uri="sip:x;lr",RESPONSE="AA", '
        'algorithm=md5, qop="auth", nc=00000001, cnonce="c", extra=1'
    )
    read = digest.parse_credentials(text)
    assert (read.username, read.user, read.domain, read.realm) == (
        "alice@example.com",
        "alice",
        "example.com",
        'a, "b"',
    )
    assert (read.nonce, read.uri, read.response, read.algorithm) == ("abc", "sip:x;lr", "AA", "md5")
    assert (read.qop, read.nc, read.params["extra"]) == ("auth", "00000001", "1")


def test_another_scheme_is_nobodys_error():
    assert digest.parse_credentials("NoOneKnowsThisScheme opaque-data=here") is None
    assert digest.parse_challenge('Basic realm="x"') is None


@pytest.mark.parametrize(
    "text",
    ["Digest", "Digest x", 'Digest username="a"', 'Digest username="a", username="b"',
     'Digest username="a, realm=b',
     'Digest username=a, realm=b, nonce=c, uri=d, response=e, qop=auth', "Digest =a"],
)  # fmt: skip
def test_credentials_that_cannot_be_checked_are_refused(text):
    with pytest.raises(ParseError):
        digest.parse_credentials(text)


def test_an_unknown_algorithm_proves_nothing():
    read = digest.parse_credentials("Digest username=a, realm=b, nonce=c, uri=d, response=e, algorithm=ROT13")
    assert not read.proves("x", "GET")
    with pytest.raises(ParseError, match="ROT13"):
        digest.ha1("a", "b", "c", "ROT13")
    with pytest.raises(ParseError, match="no known qop"):
        digest.answer(digest.Challenge("r", "n", qop="magic"), "a", "p", method="GET", uri="u")


def test_octets_that_are_no_utf8_are_hashed_as_they_came():
    assert digest.ha1("\udce4", "r", "p") == digest.ALGORITHMS["MD5"](b"\xe4:r:p")


@pytest.mark.parametrize("more", ["ot her=1", 'x=a"b', '"x"=1', 'x="a"b'])
def test_a_parameter_that_is_none_makes_credentials_malformed(more):
    with pytest.raises(ParseError):
        digest.parse_credentials(
            f'Digest username="a", realm="r", nonce="n", uri="sip:x", response="0", {more}'
        )


def test_what_needs_quotes_gets_them():
    text = 'Digest username="a", realm="r", nonce="n", uri="sip:x", response="0", algorithm="a b"'
    read = digest.parse_credentials(text)
    assert digest.parse_credentials(str(read)) == read
    asked = digest.parse_challenge('Digest realm="r", nonce="n", algorithm="a, b"')
    assert digest.parse_challenge(str(asked)) == asked
