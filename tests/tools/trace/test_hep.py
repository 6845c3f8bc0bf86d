"""HEP 1, 2 and 3: the octets, round trips, and what is no HEP."""

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip import hep
from kamtool.sip.flow import Address
from kamtool.sip.hep import Hep, decode, encode, is_hep, split_stream

A, B = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
SIX = Address("2001:db8::1", 5062), Address("2001:db8::9", 5060)
BODY = b"OPTIONS sip:x SIP/2.0\r\n\r\n"


def test_version_1_is_eight_octets_two_addresses_and_the_message():
    assert encode(Hep(A, B, BODY, version=1)) == (
        bytes.fromhex("01100211") + bytes.fromhex("13c6 13c4") + bytes.fromhex("c0000201 c0000209") + BODY
    )


def test_version_2_has_the_time_in_little_endian_and_the_node():
    packet = encode(Hep(A, B, BODY, at=1.25, node=258, version=2))
    assert packet[:2] == b"\x02\x1c"
    assert packet[16:28] == bytes.fromhex("01000000 90d00300 0201 0000")


def test_version_3_is_a_list_of_chunks():
    packet = encode(Hep(A, B, BODY, at=1.25, node=7, key="k", correlation="c"))
    assert packet.startswith(b"HEP3" + len(packet).to_bytes(2, "big"))
    for chunk in (
        "0000 0001 0007 02", "0000 0002 0007 11", "0000 0003 000a c0000201", "0000 0004 000a c0000209",
        "0000 0007 0008 13c6", "0000 0008 0008 13c4", "0000 0009 000a 00000001", "0000 000a 000a 0003d090",
        "0000 000b 0007 01", "0000 000c 000a 00000007", "0000 000e 0007 6b", "0000 0011 0007 63",
    ):  # fmt: skip
        assert bytes.fromhex(chunk) in packet, chunk


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("ends", [(A, B), SIX])
@pytest.mark.parametrize("protocol", [17, 6, 22])
def test_what_is_encoded_is_decoded(version, ends, protocol):
    found = decode(
        encode(Hep(*ends, BODY, protocol, 1_700_000_000.123456, 9, "key", "corr", version=version))
    )
    assert (found.source, found.target, found.payload, found.protocol) == (*ends, BODY, protocol)
    assert found.version == version
    assert is_hep(encode(Hep(*ends, BODY, version=version)))
    if version > 1:
        assert (round(found.at, 6), found.node) == (1_700_000_000.123456, 9)
    if version == 3:
        assert (found.key, found.correlation, found.kind) == ("key", "corr", hep.SIP)


def test_a_compressed_payload_is_read_and_a_bomb_is_cut():
    packed = zlib.compress(b"\0" * (64 << 20))
    chunk = b"\0\0\0\x10" + (len(packed) + 6).to_bytes(2, "big") + packed
    packet = b"HEP3" + (len(chunk) + 6).to_bytes(2, "big") + chunk
    assert len(packed) > 60_000 or len(decode(packet).payload) == 1 << 20
    small = zlib.compress(BODY)
    chunk = b"\0\0\0\x10" + (len(small) + 6).to_bytes(2, "big") + small
    assert decode(b"HEP3" + (len(chunk) + 6).to_bytes(2, "big") + chunk).payload == BODY


def test_a_stream_is_split_wherever_it_is_cut():
    whole = encode(Hep(A, B, BODY)) + encode(Hep(B, A, BODY))
    for cut in range(len(whole)):
        first, rest = split_stream(whole[:cut])
        second, rest = split_stream(rest + whole[cut:])
        assert (len(first + second), rest) == (2, b"")
    with pytest.raises(ParseError):
        split_stream(b"INVITE sip")


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"HEP3", b"\x01\x10\x02", b"\x02\x1c\x02", b"\x01\x28\x0a"]),
)
def test_any_bytes_are_hep_or_a_parse_error(data, head):
    is_hep(head + data)
    with suppress(ParseError):
        decode(head + data)


@given(st.integers(0, 120), st.integers(0, 255))
def test_a_changed_octet_never_raises_anything_else(at, value):
    data = bytearray(encode(Hep(A, B, BODY, at=1.5, key="k", correlation="c")))
    data[at % len(data)] = value
    with suppress(ParseError):
        decode(bytes(data))
