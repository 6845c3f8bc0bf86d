"""binrpc: packets as Kamailio 5.6.3 and its kamcmd were seen to write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import RpcError
from kamtool.modules.ctl import binrpc

COOKIE = bytes.fromhex("12345678")


def test_a_request_is_its_method_arguments_and_cookie():
    packet = bytes.fromhex("a1031212345678910a636f72652e6563686f00216100100500")
    assert binrpc.packet_size(packet) == len(packet)
    assert binrpc.decode(packet) == binrpc.Request("core.echo", ["a", 5, 0], COOKIE)


@pytest.mark.parametrize(
    ("result", "octets"),
    [
        (
            {"now": "Mon Nov 23 01:06:29 2026", "up_since": "Mon Nov 23 01:06:27 2026", "uptime": 2},
            "a113521234567803456e6f770091194d6f6e204e6f762032332030313a30363a3239203230323600950975705f73696e63650091"
            "194d6f6e204e6f762032332030313a30363a323720323032360075757074696d6500100283",
        ),
        (["a", "5", "0"], "a1130912345678216100213500213000"),
        ({"debug": 2}, "a1130b123456780365646562756700100283"),
        ([{"IDX": 0, "PID": 15442}], "a1131012345678034549445800004550494400203c5283"),
    ],
)
def test_a_reply_is_octet_for_octet_kamailios(result, octets):
    assert binrpc.reply(COOKIE, result).hex() == octets


def test_a_fault_is_octet_for_octet_kamailios():
    octets = "a1331e123456782001f49119636f6d6d616e64206e6f73756368206e6f7420666f756e6400"
    assert binrpc.fault(COOKIE, 500, "command nosuch not found").hex() == octets


@pytest.mark.parametrize(
    "octets", ["a10302123456781005", "a11300", "a1030312345678216100ff", "a10301123456780371"]
)
def test_a_malformed_request_is_refused(octets):
    with pytest.raises(RpcError):
        binrpc.decode(bytes.fromhex(octets))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data):
    try:
        size = binrpc.packet_size(data)
        if size and len(data) >= size:
            binrpc.decode(data[:size])
    except RpcError:
        pass


def test_a_long_answer_and_a_large_number_keep_their_value():
    packet = binrpc.reply(b"\1", ["x" * 70_000, 2**40])
    assert binrpc.packet_size(packet) == len(packet)
    assert b"1099511627776" in packet


def test_an_answer_nested_without_end_is_refused():
    value = "deep"
    for _ in range(100):
        value = [value]
    with pytest.raises(RpcError, match="nested"):
        binrpc.reply(b"\1", value)
