"""Attaching over the control socket: a dead client releases, a malformed line ends that client only."""

import asyncio
import json

import pytest

from kamtool.debug import attach
from kamtool.debug.client import Client, Gone
from kamtool.debug.words import Mistake
from kamtool.errors import UsageError
from kamtool.server.control import ControlSocket
from tests.support.debugger import CFG, invite
from tests.support.server import port_of
from tests.support.until import until

pytestmark = pytest.mark.live


@pytest.fixture
async def scene(kamtool, peer, tmp_path):
    """A server with its control socket, and the path of that."""
    server = await kamtool(CFG)
    control = ControlSocket(server.rpc, tmp_path / "control.sock")

    async def taker(line, reader, writer):
        await attach.converse(server, line, reader, writer)

    control.takers[b'"debug.attach"'] = taker
    await control.start()
    yield server, control.path
    await control.stop()


async def attached(path):
    client, events = Client(), asyncio.Queue()
    client.on_event = lambda name, facts: events.put_nowait((name, facts))
    await client.attach(path)
    return client, events


async def test_a_client_attaches_asks_and_leaves_nothing_behind(scene, peer):
    server, path = scene
    plain = server.program
    client, events = await attached(path)
    assert client.hello["files"] == ["<cfg>"]
    assert (await client.call("break", text="request_route"))["number"] == 1
    caller, callee = await peer(), await peer()
    caller.send(invite(caller, callee), port_of(server))
    name, facts = await events.get()
    assert (name, facts["reason"]) == ("stopped", "breakpoint 1")
    assert (await client.call("evaluate", text="$rm"))["value"] == "INVITE"
    with pytest.raises(Mistake, match="stands where a value should"):
        await client.call("evaluate", text="1 +")
    await client.close()
    await callee.expect("INVITE")
    await until(lambda: server.program is plain)


async def test_a_client_that_dies_releases_what_it_parked(scene, peer):
    server, path = scene
    client, events = await attached(path)
    await client.call("break", text="request_route")
    caller, callee = await peer(), await peer()
    caller.send(invite(caller, callee), port_of(server))
    await events.get()
    client._writer.transport.abort()
    await callee.expect("INVITE")
    await until(lambda: not server.observers.watching)


@pytest.mark.parametrize(
    "rubbish", [b"rubbish\n", b"[1, 2]\n", b'{"id": 1}\n', b"null\n", b'{"id":1,"method":2}\n']
)
async def test_a_malformed_line_ends_that_client_only(scene, peer, rubbish):
    _server, path = scene
    other, _ = await attached(path)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"id": 0, "method": "debug.attach"}\n' + rubbish)
    assert json.loads(await reader.readline())["result"]["pid"]
    assert json.loads(await reader.readline())["error"]["message"] == "this is no request"
    assert await reader.readline() == b""
    writer.close()
    assert (await other.call("options"))["most"] == 16
    await other.close()


async def test_an_ordinary_rpc_works_beside_it(scene):
    _server, path = scene
    client, _ = await attached(path)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "stats.nosuch"}\n')
    assert json.loads(await reader.readline())["error"]["code"] == -32601
    writer.close()
    await client.close()


async def test_two_debuggers_stop_the_same_message_one_after_the_other(scene, peer):
    server, path = scene
    (one, first), (two, second) = await attached(path), await attached(path)
    for client in (one, two):
        await client.call("break", text="fn:t_relay")
    caller, callee = await peer(), await peer()
    caller.send(invite(caller, callee), port_of(server))
    await first.get()
    await one.call("resume")
    await second.get()
    await two.call("resume")
    await callee.expect("INVITE")
    await one.close()
    await two.close()


async def test_where_no_server_is_the_client_says_so(tmp_path):
    with pytest.raises(UsageError) as caught:
        await Client().attach(tmp_path / "none.sock")
    assert caught.value.exit_code == 5


async def test_a_client_notices_that_the_server_has_gone(scene):
    server, path = scene
    client, events = await attached(path)
    for observer in list(server.observers.watching):
        assert observer.attached
    client._writer.transport.abort()
    assert (await events.get())[0] == ""
    with pytest.raises(Gone):
        await client.call("options")
