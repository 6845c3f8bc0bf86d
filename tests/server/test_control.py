"""The control socket, with clients good and bad."""

import asyncio
import json
import socket
import stat

import pytest

from kamtool.errors import RpcError, UsageError
from kamtool.server import control
from kamtool.server.rpc import RpcTable
from tests.support.until import SOON


@pytest.fixture
async def served(tmp_path):
    table = RpcTable()
    table.register("echo", lambda *words: list(words))
    table.register("fail", lambda: 1 // 0)
    table.register("odd", lambda: {1, 2})
    socket_ = control.ControlSocket(table, tmp_path / "control.sock")
    await socket_.start()
    yield socket_
    await socket_.stop()
    assert not list(tmp_path.iterdir()), "the socket files are gone"


async def asked(served, request):
    """What a stream client gets back for one line."""
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    writer.write(request + b"\n")
    line = await asyncio.wait_for(reader.readline(), SOON)
    writer.close()
    return json.loads(line)


def request(method, params=(), identity=1):
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": identity}).encode()


async def test_a_stream_client_is_answered_line_by_line(served):
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    writer.write(request("echo", ["a"]) + b"\n" + request("echo", ["ü"], "two") + b"\n")
    assert json.loads(await reader.readline()) == {"jsonrpc": "2.0", "result": ["a"], "id": 1}
    assert json.loads(await reader.readline()) == {"jsonrpc": "2.0", "result": ["ü"], "id": "two"}
    writer.close()


async def test_a_datagram_client_is_answered(served, tmp_path_factory):
    place = tmp_path_factory.mktemp("client") / "me"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(place))
        client.setblocking(False)
        client.sendto(request("echo", ["a"]), str(served.datagram_path))
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 4096), SOON)
    assert json.loads(answer)["result"] == ["a"]


async def test_ask_gives_the_result_or_raises_the_refusal(served):
    assert await asyncio.to_thread(control.ask, served.path, "echo", ["a", 1]) == ["a", 1]
    with pytest.raises(RpcError, match="no method 'nosuch'"):
        await asyncio.to_thread(control.ask, served.path, "nosuch", [])


def test_ask_says_when_no_server_is_there(tmp_path):
    with pytest.raises(UsageError) as error:
        control.ask(tmp_path / "nothing", "echo", [])
    assert error.value.exit_code == 5


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"{nonsense", -32700),
        (b"[" * 10_000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b'{"jsonrpc":"2.0","id":3}', -32600),
        (b'{"jsonrpc":"2.0","method":5,"id":3}', -32600),
        (b'{"jsonrpc":"2.0","method":"echo","params":"x","id":3}', -32600),
        (b'{"jsonrpc":"2.0","method":"nosuch","id":3}', -32601),
        (b'{"jsonrpc":"2.0","method":"fail","id":3}', -32603),
        (b'{"jsonrpc":"2.0","method":"odd","id":3}', -32603),
    ],
)
async def test_a_bad_request_gets_its_code_of_json_rpc(served, sent, code):
    assert (await asked(served, sent))["error"]["code"] == code


async def test_a_batch_is_answered_together_and_notifications_are_not(served):
    batch = [json.loads(request("echo", ["a"])), {"jsonrpc": "2.0", "method": "echo"}]
    answers = await asked(served, json.dumps(batch).encode())
    assert [answer["result"] for answer in answers] == [["a"]]


async def test_a_line_without_end_is_cut_off_and_others_are_served(served):
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    with pytest.raises(OSError, match=r"(?i)pipe|reset|lost"):  # noqa: PT012 - it breaks at one of many writes
        for _ in range(1000):
            writer.write(b"x" * 65_536)
            await writer.drain()
    assert (await asked(served, request("echo", ["b"])))["result"] == ["b"]
    del reader


async def test_the_sockets_belong_to_the_owner_alone(served):
    for path in (served.path, served.datagram_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_more_clients_than_allowed_are_turned_away(served, monkeypatch):
    monkeypatch.setattr(control, "MOST_CLIENTS", 2)
    kept = [await asyncio.open_unix_connection(str(served.path)) for _ in range(2)]
    for reader, writer in kept:
        writer.write(request("echo", ["a"]) + b"\n")
        assert await asyncio.wait_for(reader.readline(), SOON)
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    assert await asyncio.wait_for(reader.read(), SOON) == b""
    for _, other in [*kept, (reader, writer)]:
        other.close()


async def test_a_second_server_does_not_take_the_socket_of_the_first(served):
    second = control.ControlSocket(served.table, served.path)
    with pytest.raises(UsageError, match="another server is using it"):
        await second.start()
    assert (await asked(served, request("echo", ["a"])))["result"] == ["a"]


async def test_what_a_dead_server_left_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    served = control.ControlSocket(RpcTable(), path)
    await served.start()
    await served.stop()


async def test_a_file_that_is_no_socket_is_not_removed(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(UsageError, match="is no socket"):
        await control.ControlSocket(RpcTable(), path).start()
    assert path.read_text() == "precious"
