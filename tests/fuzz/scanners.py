"""The scanners of the kernel and of its pure twin say the same of any value."""

from kamtool.speed import _kernel, pure
from tests.support.twins import outcome

NAMES = ("split_list", "split_params", "split_name_addr", "split_via", "split_uri", "split_credentials")
VALUES = (
    b'"A, B" <sip:a@b;x=y>;tag=1, sip:c@d', b';lr;x=1;y="a;b"',
    b"SIP / 2.0 / UDP h.example:5060;branch=z9;rport",
    b"sip:al%20ice:pw@[2001:db8::1]:5060;transport=tcp?a=b&c=d",
    b'Digest username="a", nonce="b,c", nc=00000001',
    b"sips:a@b", b"tel:+49-30;phone-context=x", b"a,b", b'"\\""<sip:x>', b"<sip:a?x=%22>",
)  # fmt: skip


def seeds():
    return [bytes([number]) + value for number in range(len(NAMES)) for value in VALUES]


def run(data):
    name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
    text = data[1:].decode("utf-8", "surrogateescape")
    assert outcome(getattr(pure, name), text) == outcome(getattr(_kernel, name), text), name
