"""SDP: RFC 8866, the offer/answer parts of RFC 3264."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip.sdp import Connection, parse_sdp

OFFER = (
    b"v=0\r\no=alice 2890844526 2890844526 IN IP4 host.example.com\r\ns=A call\r\n"
    b"c=IN IP4 198.51.100.1\r\nt=0 0\r\n"
    b"a=group:BUNDLE 0\r\n"
    b"m=audio 49170 RTP/AVP 0 8 97 101\r\na=rtpmap:97 opus/48000/2\r\na=fmtp:97 useinbandfec=1\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=rtcp:53020\r\n"
    b"m=video 51372/2 RTP/AVP 31\r\nc=IN IP6 2001:db8::2/127/3\r\na=recvonly\r\n"
    b"m=application 0 TCP/MSRP *\r\n"
)


def test_streams_with_their_codecs():
    session = parse_sdp(OFFER)
    audio, video, message = session.streams
    assert (session.name, session.origin.split()[0], session.attributes) == (
        "A call",
        "alice",
        [("group", "BUNDLE 0")],
    )
    assert (audio.media, audio.port, audio.protocol, audio.formats) == (
        "audio",
        49170,
        "RTP/AVP",
        ("0", "8", "97", "101"),
    )
    assert [(codec.name, codec.rate, codec.channels, codec.fmtp) for codec in audio.codecs] == [
        ("PCMU", 8000, 1, ""), ("PCMA", 8000, 1, ""), ("opus", 48000, 2, "useinbandfec=1"),
        ("telephone-event", 8000, 1, ""),
    ]  # fmt: skip
    assert (audio.rtcp_port, video.rtcp_port, message.rtcp_port) == (53020, 51373, 0)
    assert (video.ports, message.rejected, message.codecs) == (2, True, [])
    assert session.stream("video") is video
    assert session.stream("text") is None


def test_a_stream_has_its_own_connection_or_the_sessions():
    audio, video, _ = parse_sdp(OFFER).streams
    assert (audio.connection.family, audio.connection.address) == ("IP4", "198.51.100.1")
    assert (video.connection.family, video.connection.address) == ("IP6", "2001:db8::2")


def test_the_offsets_are_what_an_editor_needs():
    audio, video, message = parse_sdp(OFFER).streams
    assert OFFER[audio.port_start : audio.port_end] == b"49170"
    assert OFFER[video.port_start : video.port_end] == b"51372"
    assert OFFER[video.connection.start : video.connection.end] == b"2001:db8::2"
    assert OFFER[audio.start : audio.end].startswith(b"m=audio")
    assert OFFER[audio.end : video.end].startswith(b"m=video")
    assert message.end == len(OFFER)


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_hold_by_direction_of_a_stream_or_of_the_session(direction):
    line = b"a=" + direction.encode() + b"\r\n"
    audio = b"v=0\r\nc=IN IP4 192.0.2.1\r\n%sm=audio 4 RTP/AVP 0\r\n%s"
    assert parse_sdp(audio % (b"", line)).on_hold
    assert parse_sdp(audio % (line, b"")).on_hold
    assert not parse_sdp(audio % (line, b"a=sendrecv\r\n")).on_hold


def test_hold_by_the_old_null_address():
    assert parse_sdp(OFFER.replace(b"198.51.100.1", b"0.0.0.0").replace(b"2001:db8::2/127/3", b"::")).on_hold
    assert not parse_sdp(OFFER.replace(b"198.51.100.1", b"0.0.0.0")).on_hold
    assert not parse_sdp(OFFER).on_hold
    assert not parse_sdp(b"v=0\r\n").on_hold


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\r\n\r\n"])
def test_any_line_end_will_do(end):
    assert [stream.port for stream in parse_sdp(OFFER.replace(b"\r\n", end)).streams] == [49170, 51372, 0]


@pytest.mark.parametrize(
    ("body", "offset"),
    [(b"", 0), (b"s=x\r\n", 0), (b"v=1\r\n", 0), (b"v=0\r\nhello\r\n", 5), (b"v=0\r\nm=audio\r\n", 5),
     (b"v=0\r\nm=audio x RTP/AVP 0\r\n", 5), (b"v=0\r\nm=audio 65536 RTP/AVP 0\r\n", 5),
     (b"v=0\r\nm=audio 1/x RTP 0\r\n", 5),
     (b"v=0\r\nc=IN IP5 x\r\n", 7), (b"v=0\r\nc=x\r\n", 7), (b"v=0\r\nm=audio 1 RTP/AVP\r\n", 5)],
)  # fmt: skip
def test_what_is_no_description_is_refused_with_its_place(body, offset):
    with pytest.raises(ParseError) as refusal:
        parse_sdp(body)
    assert refusal.value.offset == offset


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body):
    for data in (body, b"v=0\r\n" + body, OFFER + body, OFFER.replace(b"49170 ", body.replace(b"\n", b""))):
        try:
            session = parse_sdp(data)
        except ParseError:
            continue
        for stream in session.streams:
            assert (
                data[stream.port_start : stream.port_end] == str(stream.port).encode()
                or stream.port == 0
                or (int(data[stream.port_start : stream.port_end]) == stream.port)
            )
            _ = stream.codecs, stream.rtcp_port, stream.on_hold


def test_a_connection_says_where_its_address_is():
    body = b"v=0\nc=IN  IP4  IP4IN.example/3\n"
    connection = parse_sdp(body).connection
    assert isinstance(connection, Connection)
    assert body[connection.start : connection.end] == b"IP4IN.example"
