"""The kernel and its twin agree on which requests are plain."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.script import uri_text
from kamtool.speed import IDS, pure
from tests.support.twins import INVITE, twin  # noqa: F401

kernel = pytest.importorskip("kamtool.speed._kernel")
if not hasattr(kernel, "plain_request"):
    pytest.skip(
        "the kernel was built before there was plain_request: build it again", allow_module_level=True
    )

PIECES = [
    "sip:", "SIPS:", "a", ":", "@", "[::1]", "h.example", ";x=y", "?q", "65535", "65536", " ", "é", "<", ">",
    "tel:+1", "&", "%20", "/", ";tag=1", ".", "_",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=7).map("".join)
HEADERS = ("Expires", "X-Other", "Proxy-Require", "Subject", "Authorization", "Zebra")


def request(uri, transport, caller, callee, more):
    lines = "".join(f"{name}: 1\r\n" for name in more)
    return (
        f"BYE {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} h;branch=z9hG4bK1\r\nFrom: <{caller}>;tag=1\r\n"
        f"{lines}To: <{callee}>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
    ).encode("utf-8", "surrogateescape")


@settings(max_examples=800)
@given(
    st.one_of(st.just("sip:h"), TEXTS), st.sampled_from(["UDP", "Tls", "wss", "WS", "SCTP", "x"]), TEXTS,
    st.one_of(st.just("sip:b@h"), TEXTS), st.lists(st.sampled_from(HEADERS), max_size=3),
    st.sampled_from([0, 1 << IDS["Expires"], 2**64 - 1]), st.booleans(), st.booleans(),
)  # fmt: skip
@example("sip:h", "UDP", "sip:a:b@h:5060;x?y", "sips:[::1]", [], 2**13, True, True)
def test_the_twins_find_the_same_requests_plain(uri, transport, caller, callee, more, rare, one, other):
    try:
        data = request(uri, transport, caller, callee, more)
        pair = kernel.Index(data), pure.Index(data)
    except (ParseError, UnicodeEncodeError):
        return
    answers = [
        of.plain_request(index, rare, one, other) for of, index in zip((kernel, pure), pair, strict=True)
    ]
    assert answers[0] is answers[1]
    if answers[0]:  # what a script may do with a URI, it can do with these
        assert not one or uri_text.parts(pair[0].from_address) is not None
        assert not other or uri_text.parts(pair[0].to_address) is not None


def test_a_response_is_no_plain_request(twin):  # noqa: F811
    data = INVITE.replace(b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 200 OK")
    assert twin.plain_request(twin.Index(data), 0, False, False) is False


@pytest.mark.parametrize(
    ("old", "new", "is_plain"),
    [
        (b"", b"", True),
        (b"INVITE sip:bob", b"INVITE sips:bob", False),
        (b"SIP/2.0/UDP", b"SIP/2.0/SCTP", False),
        (b"<sip:alice@example.com>", b"<tel:+1>", False),
        (b"Max-Forwards", b"Expires: 9\r\nMax-Forwards", False),
    ],
)
def test_what_is_not_common_is_not_plain(twin, old, new, is_plain):  # noqa: F811
    index = twin.Index(INVITE.replace(old, new, 1))
    assert twin.plain_request(index, 1 << IDS["Expires"], True, True) is is_plain
