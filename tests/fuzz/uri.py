"""A URI survives being written and read again, and is equal to itself."""

from kamtool.errors import ParseError
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape


def seeds():
    return [
        b"sip:alice@example.com", b"sips:a%20b:p%40w@[2001:db8::1]:5061;transport=tls;lr?Subject=a%26b&X=",
        b"tel:+49-30-12345;phone-context=+1;ext=22", b"urn:service:sos", b"SIP:a;b=c@host;x",
        b"sip:192.0.2.1:5060",
        b"sip:+1-212;phone-context=x@gw;user=phone", b"sip:a@b;maddr=1.2.3.4;ttl=3;method=INVITE",
    ]  # fmt: skip


def run(data):
    text = data.decode("utf-8", "surrogateescape")
    try:
        uri = parse_uri(text)
    except ParseError:
        return
    unescape(text)
    written = str(uri)
    again = parse_uri(written)
    assert str(again) == written, (text, written)
    if isinstance(uri, SipUri | TelUri):
        assert uri.equals(uri), text
        assert uri.equals(again), (text, written)
        assert again.equals(uri), (text, written)
    if isinstance(uri, SipUri):
        assert uri.transport == again.transport
        assert uri.address_of_record == again.address_of_record
