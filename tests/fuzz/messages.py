"""Messages to begin with: what a call sends, and the torture tests where the shared data is there."""

from tests.support.messages import BARE_OPTIONS, RICH_INVITE
from tests.support.twins import INVITE, torture_files

RESPONSE = (
    b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;received=192.0.2.7;rport=5\r\n"
    b"f: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\ni: x@y\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n"
)
MINIMAL = (
    b"BYE sip:a@b SIP/2.0\r\nv:SIP/2.0/TCP h\r\nf:<sip:a@b>;tag=1\r\nt:sip:c@d;tag=2\r\n"
    b"i:1\r\nCSeq:1 BYE\r\n\r\n"
)


def seeds():
    return [INVITE, RICH_INVITE.encode(), BARE_OPTIONS.encode(), RESPONSE, MINIMAL] + [
        path.read_bytes() for path in torture_files()
    ]
