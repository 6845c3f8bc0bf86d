"""A session description is read or refused with ParseError, and all its offsets are inside."""

from kamtool.errors import ParseError
from kamtool.sip.sdp import parse_sdp

SEED = (
    b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendonly\r\n"
    b"m=audio 49170/2 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    b"a=rtcp:53020\r\nm=video 0 RTP/SAVPF 96\r\nc=IN IP6 ::\r\na=rtpmap:96 opus/48000/2\r\n"
)


def seeds():
    return [SEED, SEED.replace(b"\r\n", b"\n"), SEED.replace(b"\r\n", b"\r")]


def run(data):
    try:
        session = parse_sdp(data)
    except ParseError:
        return
    _ = session.on_hold, session.stream("audio")
    for stream in session.streams:
        assert 0 <= stream.start <= stream.port_start <= stream.port_end <= stream.end <= len(data)
        assert data[stream.port_start : stream.port_end].isdigit()
        _ = stream.codecs, stream.rtcp_port, stream.on_hold, stream.rejected
        where = stream.connection
        if where is not None and where.start >= 0:
            found = data[where.start : where.end].decode("utf-8", "surrogateescape")
            assert found == where.address, (where, found)
