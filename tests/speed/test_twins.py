"""The kernel and the pure twin are one thing: same bytes, same result, same exception."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.speed import pure
from tests.support.twins import INVITE, facts, kernel, malformed, outcome, torture_files

FRAGMENTS = [
    b'"', b"<", b">", b";", b",", b"=", b"\r\n", b"\n", b" ", b"\t", b"\\", b":", b"@", b"?", b"[", b"]",
    b"\0", b"\r", b"\xff", b"\xc3\xa4", b"Via: ", b"v:", b";rport", b";rport=5", b";received=1",
    b";branch=", b"l: 3\r\n", b"\r\n ", b"\r\n\r\n", b"SIP/2.0", b"9" * 20, b"Record-Route: <sip:a;lr>\r\n",
    b"sip:", b"i: x\r\n", b"0", b";tag=q",
]  # fmt: skip
SEEDS = [INVITE, *(path.read_bytes() for path in torture_files())]


@st.composite
def mutated_messages(draw):
    """A real message with a few octets changed: near enough to get past the first check."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 9)))
        data[at:end] = draw(st.sampled_from(FRAGMENTS))
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(mutated_messages(), st.booleans(), st.booleans())
def test_the_twins_agree_on_mutated_messages(data, stream, salvage):
    assert facts(pure, data, stream, salvage) == facts(kernel(), data, stream, salvage)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_the_twins_agree_on_any_bytes(data, salvage):
    assert facts(pure, data, False, salvage) == facts(kernel(), data, False, salvage)


@pytest.mark.parametrize("name", ["split_list", "split_params", "split_name_addr", "split_via", "split_uri"])
@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from([*FRAGMENTS, b"sip:a@b", b"SIP/2.0/UDP h", b"name", b"1.2.3.4"]), max_size=12
    )
)
def test_the_scanners_agree_on_scraps_of_grammar(name, pieces):
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    assert outcome(getattr(pure, name), text) == outcome(getattr(kernel(), name), text)


@settings(max_examples=1000, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from((
            'username="alice"', "qop=auth", "nc=00000001", 'nonce="a, b"', "realm=", 'REALM="r"', 'x="\\""',
            ",", ", ", " ", "=", '"', "\t", "ü", "\udcff", "\x7f", "a=b@c", "a-b=1",
        )),
        max_size=9,
    )
)  # fmt: skip
def test_the_twins_agree_on_credentials(pieces):
    for text in ("".join(pieces), ",".join(pieces)):
        assert pure.split_credentials(text) == kernel().split_credentials(text)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=40),
    st.lists(st.tuples(st.integers(-1, 42), st.integers(-1, 42), st.binary(max_size=3)), max_size=40),
)
def test_splices_agree_also_on_bad_spans(data, edits):
    def spliced(twin):
        try:
            return twin.splice(data, edits)
        except ValueError as error:
            return str(error)

    assert spliced(pure) == spliced(kernel())


def test_the_twins_agree_on_the_malformed_archives():
    native = kernel()
    for name, data in malformed(every=97):
        assert facts(pure, data) == facts(native, data), name
        assert facts(pure, data, False, True) == facts(native, data, False, True), name


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_twins_agree_on_every_malformed_message_and_long_mutations():
    native, dice = kernel(), random.Random(4475)
    for name, data in malformed():
        assert facts(pure, data) == facts(native, data), name
    for _ in range(200_000):
        data = bytearray(dice.choice(SEEDS))
        for _ in range(dice.randrange(6)):
            at = dice.randrange(len(data) + 1)
            data[at : at + dice.randrange(9)] = dice.choice(FRAGMENTS)
        salvage = dice.random() < 0.3
        assert facts(pure, bytes(data), False, salvage) == facts(native, bytes(data), False, salvage), bytes(
            data
        )
