"""The kernel and its twin agree on what a REGISTER says, on digests, on nonces and on contacts."""

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.speed import binding, proof
from kamtool.speed.answering import answer
from kamtool.speed.index import Index

kernel = pytest.importorskip("kamtool.speed._kernel")

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
KEY = b"0123456789abcdef"


def register(*lines: str) -> bytes:
    head = (
        "REGISTER sip:h SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1", "From: <sip:a@h>;tag=1",
        "To: <sip:a@h>", "Call-ID: c", "CSeq: 1 REGISTER",
    )  # fmt: skip
    return ("\r\n".join((*head, *lines)) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def both(data: bytes):
    try:
        return kernel.Index(data), Index(data)
    except ParseError:
        return None


CONTACTS = st.lists(
    st.sampled_from(
        ["<sip:a@h>", "sip:a@h:5060", "*", "<tel:+1>", "<sips:A@h;x=1>", "<sip:a@h:99999>", ";expires=60",
         ";expires=x", ";EXPIRES = 7", ";q=0.5", ";q=1.0", ";q=1.5", ";q=.3", ";q=0.12345", ";q", ";expires=",
         ";+sip.instance=\"<urn:x>\"", ";reg-id=1", ";expires=99999999999", ",", " ", '"b" ', "<", ">", "é",
         ";q=2", ";x=\"a,b\"", ";expires=\"3\"", "\r\n "]
    ),
    max_size=6,
).map("".join)  # fmt: skip
LINES = st.lists(
    st.one_of(
        CONTACTS.map(lambda value: f"Contact: {value}"),
        CONTACTS.map(lambda value: f"m: {value}"),
        st.sampled_from([
            "Expires: 60", "Expires: x", "Expires:", "Expires: 0;", "User-Agent: phone é",
            "User-Agent: two\r\n folds", "Allow: INVITE, ACK", "Allow:", "Supported: path", "k: gruu",
            "Path: <sip:p;lr>", "Require: outbound", "Expires: 12345678901",
        ]),
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=600)
@given(LINES)
@example(["Contact: <sip:a@h>;expires=60;q=0.7", "Expires: 10", "Allow: ACK"])
def test_the_twins_read_the_same_of_a_register(lines):
    messages = both(register(*lines))
    if messages:
        assert kernel.register_fields(messages[0]) == binding.register_fields(messages[1])


def test_an_ordinary_register_is_read():
    native, pure = both(register("Contact: <sip:a@h>;q=0.7", "Expires: 10", "User-Agent: x", "Allow: ACK"))
    assert kernel.register_fields(native) == ("sip:a@h", 10, 700, "x", "ACK", False)
    assert binding.register_fields(pure) == ("sip:a@h", 10, 700, "x", "ACK", False)


@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from(
            ["sip:", "sips:", "SIP:", "tel:", "Alice", "a%20b", "@", "Example.COM", "[::1]", ":5060", ";x=y",
             "?h=v", ":pw", "é", " "]
        ),
        max_size=7,
    ).map("".join),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_the_twins_name_the_same_address_of_record(uri, use_domain, case_sensitive):
    native = kernel.aor_of(uri, use_domain, case_sensitive)
    assert native == binding.aor_of(uri, use_domain, case_sensitive)


@given(st.lists(TEXT, max_size=5))
@example(["a" * 55])
@example(["a" * 56])
@example(["a" * 63, "b" * 64])
def test_md5_is_md5(parts):
    wanted = hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()
    assert kernel.md5_of(*parts) == proof.md5_of(*parts) == wanted


PARAMS = st.lists(
    st.sampled_from(
        ['username="u@d"', 'username="u"', 'realm="r"', 'realm="s"', 'nonce="n"', 'uri="sip:h"', "response=0",
         'response="' + "aB" * 16 + '"', "algorithm=MD5", "algorithm=md5-sess",
         "algorithm=SHA-256", "qop=auth",
         'qop="auth-int"', "nc=00000001", 'cnonce="c"', 'opaque=""',
         "x=1", 'realm="r\\"', "URI=sip:h", "=", "é"]
    ),
    max_size=9,
)  # fmt: skip
WHOLE = ['username="u"', 'realm="r"', 'nonce="n"', 'uri="sip:h"', 'response="' + "ab" * 16 + '"']


@settings(max_examples=600)
@given(
    st.sampled_from(["Digest ", "digest  ", "Basic ", "Digest"]),
    PARAMS,
    st.sampled_from([", ", ",", " ,  ", "; "]),
)
@example("Digest ", WHOLE, ", ")
@example("Digest ", [*WHOLE, "qop=auth", "nc=1", 'cnonce="c"'], ",")
def test_the_twins_read_the_same_credentials(scheme, params, comma):
    messages = both(register(f"Authorization: {scheme}{comma.join(params)}"))
    if not messages:
        return
    native = kernel.read_proof(messages[0], "Authorization", "r")
    pure = proof.read_proof(messages[1], "Authorization", "r")
    assert (native is None) == (pure is None)
    if pure is not None:
        for name in (*proof.NAMES, "user", "domain", "is_md5"):
            assert getattr(native, name) == getattr(pure, name), name
        assert native.ha1("secret") == pure.ha1("secret")
        for ha1 in ("x", pure.ha1("secret")):
            assert native.proves(ha1, "REGISTER") == pure.proves(ha1, "REGISTER")


def test_ordinary_credentials_are_read_and_proved():
    ha1 = proof.md5_of("u", "r", "secret")
    for middle, more in (((), ""), (("00000001", "c", "auth"), ', qop=auth, nc=00000001, cnonce="c"')):
        answer = proof.md5_of(ha1, "n", *middle, proof.md5_of("REGISTER", "sip:h"))
        line = f'Authorization: Digest {", ".join(WHOLE[:4])}, response="{answer.upper()}"{more}'
        native, pure = both(register(line))
        for read, index in ((kernel.read_proof, native), (proof.read_proof, pure)):
            found = read(index, "Authorization", "r")
            assert found.proves(ha1, "REGISTER")
            assert not found.proves(ha1, "INVITE")
            assert not found.proves(proof.md5_of("u", "r", "wrong"), "REGISTER")


NUMBER = st.integers(0, 0xFFFFFFFF)


@given(NUMBER, NUMBER, st.integers(0, 255), st.binary(max_size=40))
def test_the_twins_make_and_read_the_same_nonces(created, number, checks, more):
    nonce = kernel.make_nonce(KEY, created, number, checks, more)
    assert nonce == proof.make_nonce(KEY, created, number, checks, more)
    for read in (kernel.read_nonce, proof.read_nonce):
        assert read(KEY, nonce, more) == (created, number)
        assert read(KEY[::-1], nonce, more) is None
        assert read(KEY, nonce, more + b"x") is None


@given(st.one_of(TEXT, st.text("ABab09+/=", min_size=27, max_size=29)))
def test_no_text_is_taken_for_a_nonce(text):
    assert kernel.read_nonce(KEY, text) is None
    assert proof.read_nonce(KEY, text) is None


def test_a_nonce_changed_in_any_place_is_none():
    nonce = proof.make_nonce(KEY, 1, 2, 0)
    for place in range(len(nonce)):
        other = nonce[:place] + ("A" if nonce[place] != "A" else "B") + nonce[place + 1 :]
        assert kernel.read_nonce(KEY, other) is None
        assert proof.read_nonce(KEY, other) is None


def test_siphash_gives_the_values_of_its_authors():
    """The first of the published vectors of SipHash-2-4-128: the key 00 01 … 0f, texts of growing size."""
    key = bytes(range(16))
    assert proof.siphash(key, b"").hex() == "a3817f04ba25a8e66df67214c7550293"
    assert proof.siphash(key, b"\0").hex() == "da87c1d86b99af44347659119b22fc45"


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(-1, 1000), st.sampled_from(["", "sip:r@h"]))
def test_the_twins_keep_the_same_contact(expires_at, now, q, received):
    native, pure = (
        kind("a", "sip:a@h", "r", expires_at, q=q, received=received)
        for kind in (kernel.Contact, binding.Contact)
    )
    assert native.is_valid(now) == pure.is_valid(now)
    assert native.remaining(now) == pure.remaining(now)
    assert native.plain_entry(now) == pure.plain_entry(now)
    for name in binding.Contact.__slots__:
        assert getattr(native, name) == getattr(pure, name), name
    assert repr(native) == repr(pure)


@given(st.lists(st.tuples(st.sampled_from([0.0, 5.0, 9.0]), st.integers(-1, 1000), st.booleans())))
def test_the_twins_find_the_same_destinations(bindings):
    native, pure = (
        tuple(
            kind("a", f"sip:a@h:{n}", f"r{n}", ends, q=q, socket="udp:h:5060", connection=n, cflags=n,
                 user_agent="x", details=binding.PLAIN if is_plain else binding.Details(reg_id=1))
            for n, (ends, q, is_plain) in enumerate(bindings)
        )
        for kind in (kernel.Contact, binding.Contact)
    )  # fmt: skip
    found = kernel.destinations(native, 5.0)
    assert found == binding.destinations(pure, 5.0)
    if found is not None:
        assert [entry[0] for entry in found] == [c.uri for c in native if c.is_valid(5.0)]


@given(
    st.sampled_from(["", ";rport", ";received=1.2.3.4", ";rport=3;received=9.9.9.9"]),
    st.sampled_from(["h", "1.2.3.4", "[::1]", "[::1]:5061"]),
    st.sampled_from(["1.2.3.4", "::1"]),
    st.booleans(),
    st.sampled_from([100, 180, 200, 401]),
    st.lists(st.sampled_from(["A: b", "A: b\r\n", "", "A: \udcff", "A: b\r\nC: é", "\r\n"]), max_size=3),
    st.sampled_from(["", ";tag=x"]),
)
def test_the_twins_make_the_same_answer(params, sent_by, host, force_rport, status, lines, tag):
    data = (
        f"REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK1{params}\r\n"
        f"From: <sip:a@h>;tag=1\r\n"
        f"To: <sip:a@h>{tag}\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nRecord-Route: <sip:p;lr>\r\n\r\n"
    ).encode()
    rest = (status, b"SIP/2.0 200 OK", "key", host, 5099, force_rport, lines, b"Server: x\r\n")
    native, pure = both(data)
    assert kernel.answer(native, *rest) == answer(pure, *rest)


@given(
    st.sampled_from(["sip:a@h", "sip:h", "sips:A%20@H:5061;x=y", "tel:+1", "sip:a:b@[::1]", "sip:@h", "x:y"])
)
def test_the_twins_take_the_same_parts_of_an_address(uri):
    native, pure = both(register().replace(b"<sip:a@h>", f"<{uri}>".encode()))
    for of_to in (False, True):
        for host in (False, True):
            assert kernel.address_part(native, of_to, host) == binding.address_part(pure, of_to, host)
