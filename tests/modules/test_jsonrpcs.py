"""jsonrpcs: requests as they are cut from a FIFO."""

import asyncio
import json
import socket

import pytest

from kamtool.errors import ConfigError
from kamtool.modules.jsonrpcs import FifoRequests
from kamtool.server.rpc import RpcTable
from tests.support.host import Host
from tests.support.until import SOON


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_request_may_come_in_many_lines_and_pieces(size):
    text = (
        json.dumps({"method": "core.version", "reply_name": "r1"}, indent=2)
        + "\n"
        + '{"method": "core.ps"}\n'
    )
    requests, found = FifoRequests(), []
    for start in range(0, len(text), size):
        found += requests.feed(text[start : start + size].encode())
    assert [request["method"] for request in found] == ["core.version", "core.ps"]


def test_nonsense_is_skipped_and_what_follows_is_understood():
    requests = FifoRequests()
    assert requests.feed(b"hello\n") == []
    assert requests.feed(b'{"broken: \n\n{"method": "core.ps"}') == [{"method": "core.ps"}]


@pytest.mark.parametrize("value", [b"9" * 5000, b"[" * 100_000])
def test_what_no_reader_can_take_is_skipped(value):
    requests = FifoRequests()
    assert requests.feed(b'{"id": ' + value + b'}\n{"method": "core.ps"}\n') == [{"method": "core.ps"}]


def test_a_request_without_end_is_forgotten():
    requests = FifoRequests()
    for _ in range(20):
        assert requests.feed(b'{"' + b"x" * 65_536) == []
    assert len(requests._text) < 1 << 20


@pytest.fixture
async def jsonrpcs(tmp_path):
    host = Host()
    host.rpc = RpcTable()
    host.rpc.register("core.echo", lambda *words: list(words))
    made = await host.load(
        "jsonrpcs",
        transport=4,
        dgram_socket="udp:127.0.0.1:0",
        fifo_name=str(tmp_path / "fifo"),
        dgram_workers=4,
    )
    yield made
    await host.stop()


async def test_the_sockets_stand_in_the_runtime_folder(tmp_path):
    """`-Y`, as Kamailio 5.6.3 was seen to heed it: names without a folder, and those of the defaults."""
    host = Host()
    host.rpc, host.options.runtime_folder = RpcTable(), tmp_path
    await host.load("jsonrpcs", fifo_name="mine.fifo")
    await host.load("ctl")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.fifo", "kamailio_rpc.sock", "kamailio_ctl"}
    await host.stop()
    assert list(tmp_path.iterdir()) == []


async def test_a_request_without_id_is_answered_without_id(jsonrpcs):
    answer = json.loads(await jsonrpcs.answer(b'{"jsonrpc":"2.0","method":"core.echo","params":["a"]}'))
    assert answer == {"jsonrpc": "2.0", "result": ["a"]}
    refused = json.loads(await jsonrpcs.answer(b'{"jsonrpc":"2.0","method":"nosuch"}'))
    assert "error" in refused
    assert "id" not in refused


async def test_the_answer_is_indented_unless_told_otherwise(jsonrpcs):
    request = b'{"jsonrpc":"2.0","method":"core.echo","params":["a"],"id":1}'
    assert (await jsonrpcs.answer(request)).startswith(b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[')
    jsonrpcs.pretty_format = 0
    assert await jsonrpcs.answer(request) == b'{"jsonrpc": "2.0", "result": ["a"], "id": 1}'


@pytest.mark.parametrize("request_", [b"{bad", b"5", b"[]", b'{"method":5}', b"[" * 100_000, b"\xff\xfe"])
async def test_nonsense_is_answered_with_an_error(jsonrpcs, request_):
    assert "error" in json.loads(await jsonrpcs.answer(request_))


async def test_a_udp_client_is_answered(jsonrpcs):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(jsonrpcs._datagram.getsockname())
        client.send(b'{"jsonrpc":"2.0","method":"core.echo","params":[1],"id":7}')
        async with asyncio.timeout(SOON):
            assert json.loads(await loop.sock_recv(client, 65536))["id"] == 7


async def test_a_wrong_address_is_refused():
    with pytest.raises(ConfigError, match="no address"):
        await Host().load("jsonrpcs", transport=4, dgram_socket="udp:127.0.0.1")


async def test_dispatch_without_xhttp_is_false_and_says_why(jsonrpcs, caplog):
    """tests/live/test_xhttp_live.py has the answers."""
    assert not await jsonrpcs.jsonrpc_dispatch(None)
    assert "xhttp" in caplog.text
