"""name-addr and Via survive being written and read again."""

from kamtool.errors import ParseError
from kamtool.sip.nameaddr import parse_name_addr, parse_name_addrs, quote, unquote
from kamtool.sip.via import parse_via
from kamtool.speed import split_list


def seeds():
    return [b"n" + value for value in (
        b'"Alice \\"A\\"" <sip:alice@example.com;lr>;tag=1;q=0.5', b"sip:a@b;tag=2", b"Bob <sip:b@c>",
        b'<sip:a@b>, "x, y" <sip:c@d>;expires=60', b"*",
    )] + [b"v" + value for value in (
        b"SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK776;received=192.0.2.7",
        b"SIP / 2.0 / TLS [2001:db8::1] ;branch = z9hG4bK-x ;alias",
        b"SIP/2.0/WSS df7jal23ls0d.invalid;rport=99999",
    )]  # fmt: skip


def run(data):
    text = data[1:].decode("utf-8", "surrogateescape")
    assert unquote(quote(text)) == text
    try:
        if data[:1] == b"v":
            via(text)
        else:
            name_addr(text)
    except ParseError:
        return


def via(text):
    for entry in split_list(text):
        read = parse_via(entry)
        again = parse_via(str(read))
        assert (again, str(again)) == (read, str(read)), text
        _ = read.branch, read.received, read.rport


def name_addr(text):
    parse_name_addrs(text)
    read = parse_name_addr(text)
    again = parse_name_addr(str(read))
    assert again == read, (text, str(read))
    _ = read.tag, read.parsed
