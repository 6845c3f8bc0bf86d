"""Requests in the spirit of RFC 4475: legal ones that look wrong, and wrong ones that look legal.

TARGET, HERE and NUMBER are replaced when they are sent.
"""

from __future__ import annotations


def _case(first: str, *lines: str, body: str = "", via: str = "", cseq: str = "", length: str = "") -> str:
    method = first.partition(" ")[0]
    return "\r\n".join((
        first,
        via or "Via: SIP/2.0/UDP HERE;branch=z9hG4bK-tNUMBER;rport",
        "Max-Forwards: 70",
        "From: <sip:torture@HERE>;tag=tNUMBER",
        "To: <sip:torture@TARGET>",
        "Call-ID: torture-NUMBER@HERE",
        cseq or f"CSeq: 1 {method}",
        *lines,
        f"Content-Length: {length or len(body)}",
        "",
        body,
    ))  # fmt: skip


_OK = "OPTIONS sip:TARGET SIP/2.0"

CASES = (
    # Legal, however it looks (RFC 4475 §3.1.1).
    _case(
        _OK,
        "v:  SIP  / 2.0  / UDP  192.0.2.2;branch=390skdjuw",
        "s :",
        "NewFangledHeader:   newfangled value\r\n continued",
    ),
    _case(
        "!interesting-Method0123456789_*+`.%indeed'~"
        " sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@TARGET SIP/2.0"
    ),
    _case("OPTIONS sip:sips%3Auser%40example.com@TARGET SIP/2.0"),
    _case(_OK, "X-Escaped: %00%01%02%7e", 'Contact: "caller" <sip:caller%00@HERE>'),
    _case("RE%47IST%45R sip:TARGET SIP/2.0"),
    _case("OPTIONS sip:user;par=u%40example.net@TARGET SIP/2.0"),
    _case(_OK, *[f"X-Header-{i}: {'v' * 60}" for i in range(120)]),
    _case(_OK, "Subject: " + "long " * 2000),
    _case(_OK, "Route: " + ", ".join(f"<sip:192.0.2.{i};lr>" for i in range(1, 100))),
    _case("OPTIONS tel:+1-201-555-0123 SIP/2.0"),
    _case("OPTIONS unknownscheme:whatever SIP/2.0"),
    # Wrong (RFC 4475 §3.1.2).
    _case(_OK, length="9999"),
    _case(_OK, length="-999"),
    _case(_OK, length="99999999999999999999"),
    _case(_OK, cseq="CSeq: 36893488147419103232 OPTIONS"),
    _case(_OK, cseq="CSeq: 0009223372036854775807 OPTIONS"),
    _case(_OK, cseq="CSeq: 1 INVITE"),
    _case(_OK, via="Via: SIP/2.0/UDP 192.0.2.15;;,;,,"),
    _case(_OK, via="Via: SIP/7.0/UDP HERE;branch=z9hG4bK-tNUMBER"),
    _case("OPTIONS  sip:TARGET  SIP/2.0"),
    _case("OPTIONS <sip:TARGET> SIP/2.0"),
    _case("OPTIONS sip:TARGET; lr SIP/2.0"),
    _case("OPTIONS sip:TARGET SIP/7.0"),
    _case("OPTIONS sip:TARGET SIP/2.0 trailing"),
    _case(_OK, 'Contact: "Quoted string but no end <sip:user@HERE>'),
    _case(_OK, "Contact: <sip:user@HERE?Route=%3Csip:TARGET%3E>"),
    _case(_OK, "To: <sip:second@TARGET>", "From: <sip:second@HERE>;tag=2", "Call-ID: second"),
    _case(_OK, "Max-Forwards: 300"),
    _case(_OK, "Date: Fri, 01 Jan 2010 16:00:00 EST"),
    _case("REGISTER sip:TARGET SIP/2.0", "Contact: *", "Expires: 1"),
    _case("REGISTER sip:TARGET SIP/2.0", "Contact: <sip:a@HERE>;expires=1;expires=2;q=9.9"),
    _case("REGISTER sip:TARGET SIP/2.0", 'Authorization: NoOneKnowsThisScheme opaque-data="here"'),
    _case("REGISTER sip:TARGET SIP/2.0", 'Authorization: Digest username=,realm="x,nonce'),
    _case("INVITE sip:TARGET SIP/2.0", "Content-Type: application/sdp", body="v=0\r\nm=\r\n" + "a=" * 500),
    _case("ACK sip:TARGET SIP/2.0"),
    _case("CANCEL sip:TARGET SIP/2.0"),
    "SIP/2.0 4294967301 better not break the receiver\r\nVia: SIP/2.0/UDP"
    " HERE;branch=z9hG4bK-tNUMBER\r\n\r\n",
    "SIP/2.0 200 OK\r\n\r\n",
    "OPTIONS sip:TARGET SIP/2.0\r\n\r\n",
    "\r\n\r\n\r\n",
    "\x00\x00\x00\x00",
    "GET / HTTP/1.1\r\nHost: TARGET\r\n\r\n",
)
