"""Capture files: what is written is read again, by us and by Wireshark; damage is counted, never raised."""

import io
import json
import random
import shutil
import struct
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured, Place
from kamtool.tools.pcap.build import checksum, packet
from kamtool.tools.pcap.packets import Packets
from kamtool.tools.pcap.reader import Reader
from kamtool.tools.pcap.writer import Ring, Writer

A, B = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
SIX = Address("2001:db8::1", 5062), Address("2001:db8::9", 5060)
INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa\r\n"
    b"From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: call1\r\n"
    b"CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
RINGING = INVITE.replace(b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 180 Ringing")


def call(source=A, target=B, transport="udp"):
    place = Place("/etc/kamailio.cfg", 41, "t_relay", "route[RELAY]")
    return [
        Captured(
            1_700_000_000.25, transport, source, target, INVITE, True, path=[place], route="request_route"
        ),
        Captured(1_700_000_000.5, transport, target, source, RINGING, False, 7, sent_by=place),
    ]


def written(messages, form="pcapng", encap="raw"):
    file = io.BytesIO()
    writer = Writer(file, form, encap)
    for seen in messages:
        writer.write(seen)
    return file.getvalue()


def read(data):
    reader = Reader(io.BytesIO(data))
    return list(reader), reader.problems


@pytest.mark.parametrize("ends", [(A, B), SIX])
@pytest.mark.parametrize(
    ("form", "encap"), [("pcap", "raw"), ("pcapng", "raw"), ("pcapng", "pdu"), ("pcap", "pdu")]
)
def test_what_is_written_is_read_again(ends, form, encap):
    found, problems = read(written(call(*ends), form, encap))
    assert not problems
    assert [(round(s.at, 6), s.source, s.target, s.data) for s in found] == [
        (s.at, s.source, s.target, s.data) for s in call(*ends)
    ]


def test_a_comment_tells_transport_way_and_what_the_script_did():
    found, _ = read(written(call(transport="wss")))
    assert [(s.transport, s.inbound) for s in found] == [("wss", True), ("wss", False)]
    assert "request_route: kamailio.cfg:41 t_relay" in found[0].comment
    assert "sent by kamailio.cfg:41 t_relay in route[RELAY]" in found[1].comment


def tshark(path, *more):
    """What tshark says of a file, a JSON object a packet."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    options = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", *more]
    done = subprocess.run(
        ["tshark", "-r", path, *options, "-T", "json"], capture_output=True, text=True, timeout=60, check=True
    )
    return [each["_source"]["layers"] for each in json.loads(done.stdout)]


@pytest.mark.parametrize("ends", [(A, B), SIX])
@pytest.mark.parametrize("encap", ["raw", "pdu"])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_stock_tshark_reads_it_without_a_complaint(tmp_path, ends, encap, form):
    path = tmp_path / f"x.{form}"
    path.write_bytes(written(call(*ends, transport="tls"), form, encap))
    packets = tshark(path)
    assert [sorted({"sip"} & set(layers)) for layers in packets] == [["sip"], ["sip"]]
    assert all("_ws.malformed" not in layers for layers in packets)
    assert packets[0]["sip"]["sip.msg_hdr"]
    if encap == "raw":
        assert {layers["udp"]["udp.checksum.status"] for layers in packets} == {"1"}  # good
        assert "_ws.expert" not in json.dumps([layers.get("udp") for layers in packets])
    if form == "pcapng":
        assert "kamailio.cfg:41" in json.dumps(packets[0])


def test_sngrep_finds_the_dialog(tmp_path):
    if not shutil.which("sngrep"):
        pytest.skip("sngrep is not installed")
    path, out = tmp_path / "x.pcapng", tmp_path / "out.pcap"
    path.write_bytes(written(call()))
    done = subprocess.run(
        ["sngrep", "-N", "-q", "-I", path, "-O", out], capture_output=True, timeout=30, check=False,
        env={"TERM": "xterm", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, _ = read(out.read_bytes())
    assert [seen.data for seen in found] == [INVITE, RINGING]


# Files of others


def ethernet(ip, *, vlan=False, kind=0x0800):
    tag = struct.pack("!HH", 0x8100, 5) if vlan else b""
    return b"\1" * 12 + tag + struct.pack("!H", kind) + ip


def pcap(frames, link, magic="<I"):
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack("<IIII", 1, n, len(f), len(f)) + f for n, f in enumerate(frames))


def tcp(source, target, sequence, data, flags=0x18):
    head = struct.pack(
        "!HHIIBBHHH", source.port, target.port, sequence & 0xFFFFFFFF, 0, 0x50, flags, 100, 0, 0
    )
    whole = packet(source, target, b"", 1)
    size = 20 + len(head) + len(data)
    ip = bytearray(whole[:20])
    ip[2:4], ip[9] = struct.pack("!H", size), 6
    return bytes(ip) + head + data


@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (101, lambda ip: ip), (12, lambda ip: ip), (1, ethernet), (0, lambda ip: b"\2\0\0\0" + ip),
        (1, lambda ip: ethernet(ip, vlan=True)), (113, lambda ip: b"\0" * 14 + b"\x08\0" + ip),
        (276, lambda ip: b"\x08\0" + b"\0" * 18 + ip),
        (1, lambda ip: ethernet(b"\x11\0\0\1\0\2\0\x21" + ip, kind=0x8864)),
    ],
)  # fmt: skip
def test_a_message_is_found_behind_any_link_header(link, wrap):
    found, problems = read(pcap([wrap(packet(A, B, INVITE, 1))], link))
    assert [(seen.source, seen.target, seen.data) for seen in found] == [(A, B, INVITE)]
    assert not problems


def test_fragments_are_put_together_in_any_order():
    whole = packet(A, B, INVITE + b"x" * 0, 9)
    head, body = whole[:20], whole[20:]

    def piece(start, end, more):
        part = bytearray(head + body[start:end])
        part[2:4] = struct.pack("!H", len(part))
        part[6:8] = struct.pack("!H", (0x2000 if more else 0) | start // 8)
        return bytes(part)

    pieces = [piece(0, 80, True), piece(80, 160, True), piece(160, len(body), False)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        found, problems = read(pcap([pieces[n] for n in order], 101))
        assert [seen.data for seen in found] == [INVITE]
        assert not problems
    found, problems = read(pcap(pieces[:2], 101))
    assert (found, dict(problems)) == ([], {"fragments without the rest": 1})


def test_tcp_is_read_across_segments_out_of_order_and_sent_again():
    stream = INVITE + b"\r\n\r\n" + RINGING
    cuts = [0, 10, 100, len(INVITE) + 2, len(stream)]
    segments = [tcp(A, B, 0xFFFFFFF0 + 1 + a, stream[a:b]) for a, b in pairwise(cuts)]
    frames = [
        tcp(A, B, 0xFFFFFFF0, b"", flags=2),
        segments[0],
        segments[2],
        segments[0],
        segments[1],
        segments[3],
    ]
    found, problems = read(pcap(frames, 101))
    assert [seen.data for seen in found] == [INVITE, RINGING]
    assert [seen.transport for seen in found] == ["tcp", "tcp"]
    assert not problems


def test_a_hole_in_tcp_loses_what_was_in_it_and_no_more():
    frames = [
        tcp(A, B, 0, b"", flags=2), tcp(A, B, 1, INVITE[:50]), tcp(A, B, 1 + len(INVITE), RINGING),
        tcp(A, B, 1 + len(INVITE) + len(RINGING), b"", flags=1),
    ]  # fmt: skip
    found, problems = read(pcap(frames, 101))
    assert [seen.data for seen in found] == [RINGING]
    assert problems["octets missing in a TCP stream"] == 1


def test_a_capture_that_begins_in_the_middle_of_a_connection_is_read_from_the_next_message_on():
    found, _ = read(pcap([tcp(A, B, 77, INVITE[60:]), tcp(A, B, 77 + len(INVITE) - 60, INVITE)], 101))
    assert [seen.data for seen in found] == [INVITE]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_truncated_file_gives_what_there_is_and_names_the_rest(form):
    data = written(call(), form)
    for size in range(24, len(data)):
        found, problems = read(data[:size])
        assert len(found) <= 2
        assert len(found) == 2 or problems or size in _edges(data, form), size


def _edges(data, form):
    """Where a file may end without a word: behind a whole packet or block."""
    return {size for size in range(28 if form == "pcapng" else 24, len(data)) if not read(data[:size])[1]}


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x1f\x8b\x08", b"hello"])
def test_what_is_no_capture_is_said_to_be_none(data):
    with pytest.raises(ParseError):
        read(data)


def test_other_traffic_is_counted():
    frames = [
        packet(A, B, b"\x12\x34 dns?", 1), ethernet(b"", kind=0x0806), packet(A, B, INVITE, 2)[:40],
        b"\x45", b"",
    ]  # fmt: skip
    found, problems = read(
        pcap([ethernet(frames[0]), frames[1], ethernet(frames[2]), frames[3], frames[4]], 1)
    )
    assert found == []
    assert problems["UDP that is not SIP"] == 2 - (problems["a datagram that was not captured whole"] != 1)
    assert sum(problems.values()) >= 5


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([0, 1, 12, 101, 113, 252, 276, 999]))
def test_any_packet_is_read_or_counted(data, link):
    found, problems = read(pcap([data], link))
    assert len(found) + sum(problems.values()) >= 0


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["pcap", "pcapng"]), st.sampled_from(["raw", "pdu"]))
def test_a_damaged_file_never_raises(seed, form, encap):
    dice = random.Random(seed)
    data = bytearray(written(call() * 2, form, encap))
    for _ in range(dice.randint(1, 12)):
        data[dice.randrange(4, len(data))] = dice.choice([0, 1, 255, dice.randrange(256)])
    if dice.random() < 0.3:
        del data[dice.randrange(4, len(data)) :]
    read(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_no_capture_or_are_read(data):
    for magic in (b"", b"\n\r\r\n", b"\xd4\xc3\xb2\xa1"):
        try:
            list(Packets(io.BytesIO(magic + data)))
        except ParseError:
            assert not magic


def test_the_checksum_is_that_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_a_ring_keeps_the_last_files(tmp_path):
    ring = Ring(tmp_path / "r.pcapng", size=1500, files=3)
    for number in range(40):
        ring.write(Captured(1_700_000_000.0 + number, "udp", A, B, INVITE))
    ring.close()
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 3
    found = [seen for path in kept for seen in read(path.read_bytes())[0]]
    assert [seen.at for seen in found] == [1_700_000_000.0 + n for n in range(40 - len(found), 40)]


def test_a_message_longer_than_a_packet_is_cut_and_counted():
    file = io.BytesIO()
    writer = Writer(file)
    writer.write(Captured(1.0, "tcp", A, B, INVITE + b"x" * 70_000))
    found, _ = read(file.getvalue())
    assert (writer.cut, len(found[0].data)) == (1, 65_507)
