"""The messages that tests of the script runtime look at, and what stands in them."""

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
)

RICH_INVITE = (
    "INVITE sip:alice:pw@example.com:5070;transport=udp;foo=bar SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-id0;rport\r\n"
    "Via: SIP/2.0/TCP 10.1.1.2:5072;branch=z9hG4bKsecond;received=10.9.9.9\r\n"
    "Record-Route: <sip:10.0.0.1;lr;ftag=ft1>\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Bob Builder" <sip:bob:bpw@biloxi.example.org:5066;x=1>;tag=ft1\r\n'
    "To: Alice <sip:alice@example.com>\r\n"
    "Call-ID: id0@case\r\n"
    "CSeq: 7 INVITE\r\n"
    "Contact: <sip:bob@127.0.0.1:5999;ob>;expires=300, <sip:bob2@127.0.0.2>;q=0.5;expires=60\r\n"
    "User-Agent: tester/1.0\r\n"
    "Expires: 600\r\n"
    'P-Asserted-Identity: "B" <sip:bob@pai.org>, <tel:+1234>\r\n'
    'P-Preferred-Identity: "Bobby" <sip:bobp@ppi.org>\r\n'
    'Remote-Party-ID: "R" <sip:rpid@rpid.org>;party=calling\r\n'
    "Refer-To: <sip:refer@ref.org>\r\n"
    "Diversion: <sip:div@div.org>;reason=user-busy;privacy=full;counter=2\r\n"
    'Proxy-Authorization: Digest username="bob@auth.org", realm="example.com", nonce="abc123", '
    'uri="sip:example.com", response="0123456789abcdef0123456789abcdef", algorithm=MD5, cnonce="cn", '
    'opaque="op", qop=auth, nc=00000001\r\n'
    "Subject: hello\r\n"
    "X-Num: 42\r\n"
    "X-List: a;b;c\r\n"
    "X-List: d;e\r\n"
    'X-Comma: one, two, "th,ree"\r\n'
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(SDP)}\r\n"
    "\r\n"
) + SDP

BARE_OPTIONS = (
    "OPTIONS sip:example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-id0;rport\r\n"
    "From: <sip:bob@biloxi.example.org>;tag=ft1\r\n"
    "To: <sip:alice@example.com>\r\n"
    "Call-ID: id0@case\r\n"
    "CSeq: 7 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)

OK_200 = (
    "SIP/2.0 200 Fine with me\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-ours\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-id0;rport=5999;received=127.0.0.1\r\n"
    "From: <sip:bob@biloxi.example.org>;tag=ft1\r\n"
    "To: <sip:alice@example.com>;tag=tt1\r\n"
    "Call-ID: id0@case\r\n"
    "CSeq: 7 INVITE\r\n"
    "Contact: <sip:alice@127.0.0.9>\r\n"
    "Content-Length: 0\r\n\r\n"
)

PLAIN_INVITE = (
    "INVITE sip:alice@example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-id0;rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1\r\n'
    "To: <sip:alice@example.com>\r\n"
    "Call-ID: id0@case\r\n"
    "CSeq: 7 INVITE\r\n"
    "Contact: <sip:bob@127.0.0.1:5999;ob>\r\n"
    "Subject: hello world hello\r\n"
    "X-A: one, two;p=1, three\r\n"
    "X-B: b1\r\n"
    "X-B: b2\r\n"
    "x-bee: zz\r\n"
    "P-List: foo bar\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(SDP)}\r\n"
    "\r\n"
) + SDP
