"""binrpc: packets as Kamailio 5.6.3 and its kamcmd were seen to write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, RpcError
from kamtool.module import find
from kamtool.modules.ctl import binrpc
from kamtool.server.rpc import RpcTable
from tests.support.host import Host

COOKIE = bytes.fromhex("12345678")


def _dispatcher_set(number, *ports):
    """As `dispatcher.list` tells a set of destinations."""
    targets = [{"DEST": {"URI": f"sip:127.0.0.1:{port}", "FLAGS": "AX", "PRIORITY": 0}} for port in ports]
    return {"SET": {"ID": number, "TARGETS": targets}}


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
        (
            [
                {"entry": 1, "size": 1, "slot": [{"name": "a", "value": "x", "type": "str"}]},
                {"entry": 2, "size": 1, "slot": [{"name": "b", "value": 3, "type": "int"}]},
            ],
            "a11375123456780365656e7472790010015573697a6500100155736c6f74000303556e616d65002161006576616c75650021"
            "780055747970650041737472008383830365656e7472790010025573697a6500100155736c6f74000303556e616d65002162"
            "006576616c756500100355747970650041696e7400838383",
        ),
        (
            {"NRSETS": 2, "RECORDS": [_dispatcher_set(2, 5082), _dispatcher_set(1, 5081, 5080)]},
            "a113f51234567803754e525345545300100295085245434f5244530003455345540003354944001002950854415247455453"
            "000355444553540003455552490091137369703a3132372e302e302e313a353038320065464c414753003141580095095052"
            "494f524954590000838383455345540003354944001001950854415247455453000355444553540003455552490091137369"
            "703a3132372e302e302e313a353038310065464c414753003141580095095052494f52495459000083554445535400034555"
            "52490091137369703a3132372e302e302e313a353038300065464c414753003141580095095052494f524954590000838383"
            "8383",
        ),
        (322.5, "a11304123456783204ebc4"),
        (-1.5, "a113091234567882fffffffffffffa24"),
        (-300, "a1130512345678" + "40fffffed4"),
    ],
)
def test_a_reply_is_octet_for_octet_kamailios(result, octets):
    assert binrpc.reply(COOKIE, result).hex() == octets


def test_arguments_are_read_as_kamcmd_writes_them():
    packet = "a1032226e387be910a636f72652e6563686f0040fffffffd82fffffffffffffa242204d240fffffed4"
    assert binrpc.decode(bytes.fromhex(packet)).params == [-3, -1.5, 1.234, -300]


def test_a_fault_is_octet_for_octet_kamailios():
    octets = "a1331e123456782001f49119636f6d6d616e64206e6f73756368206e6f7420666f756e6400"
    assert binrpc.fault(COOKIE, 500, "command nosuch not found").hex() == octets


@pytest.mark.parametrize(
    "octets", ["a10302123456781005", "a11300", "a1030312345678216100ff", "a10301123456780371"]
)
def test_a_malformed_request_is_refused(octets):
    with pytest.raises(RpcError):
        binrpc.decode(bytes.fromhex(octets))


def test_a_number_without_end_is_refused():
    """Found by fuzzing: as a fraction it was larger than a float can be."""
    body = b"\x91\x08core.ps\0\xa2" + (200).to_bytes(2) + 200 * b"\xff"
    packet = b"\xa1\x03" + bytes((len(body),)) + b"\1\2\3\4" + body
    assert binrpc.packet_size(packet) == len(packet)
    with pytest.raises(RpcError, match="200 octets"):
        binrpc.decode(packet)


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


async def test_refusals_carry_the_cookie_and_kamailio_s_codes():
    host = Host()
    host.rpc = RpcTable()
    host.rpc.register("one", lambda number: number)
    ctl = find("ctl")(host)
    head = bytes.fromhex("a103")
    for method, code in ((b"nosuch", 500), (b"one", 400)):
        body = bytes((len(method) + 1 << 4 | 1,)) + method + b"\0"
        answer = await ctl.answer(head + bytes((len(body),)) + COOKIE + body)
        assert answer.startswith(b"\xa1\x33")
        assert answer[3:10] == COOKIE + b"\x20" + code.to_bytes(2)
    broken = head + b"\x01" + COOKIE + b"\x71"
    assert (await ctl.answer(broken))[3:7] == COOKIE


async def test_the_old_fifo_is_refused_by_name():
    with pytest.raises(ConfigError, match="old FIFO"):
        await Host().load("ctl", fifo="/tmp/ctl_fifo")
