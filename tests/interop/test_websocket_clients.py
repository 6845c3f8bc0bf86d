"""The two WebSocket clients of the JavaScript world, SIP.js and JsSIP, against this server and each other."""

import asyncio
import json
import os

import pytest

from tests.support.server import MODULES, SOON, port_of
from tests.support.tls import BASE

pytestmark = [pytest.mark.live, pytest.mark.interop, pytest.mark.internet]  # npm fetches the clients

LOADS = """
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
"""
ROUTE = """
request_route {
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("kamtool.test", "secret", "0")) { www_challenge("kamtool.test", "1"); exit; }
        save("location");
        exit;
    }
    if (has_totag()) { loose_route(); t_relay(); exit; }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
event_route[xhttp:request] { if ($hdr(Upgrade) =~ "websocket") ws_handle_handshake(); }
"""
SCRIPTS = {"SIP.js": "sipjs.mjs", "JsSIP": "jssip.cjs"}


class Client:
    """One Node process; it says what happens as lines of JSON."""

    async def start(self, folder, script, url, user, password, roots=""):
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(roots)} if roots else dict(os.environ)
        self.process = await asyncio.create_subprocess_exec(
            "node", script, url, user, password, cwd=folder, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self.seen = []
        return self

    async def says(self, *words):
        """Wait until it says one of the words; its detail."""
        async with asyncio.timeout(3 * SOON):
            while line := await self.process.stdout.readline():
                self.seen.append(line.decode().strip())
                if line.startswith(b"["):
                    what, more = json.loads(line)
                    if what in words:
                        return more
        raise AssertionError(f"it never said {words}: {self.seen}")

    def tell(self, line):
        self.process.stdin.write(f"{line}\n".encode())

    async def end(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@pytest.fixture
async def client(node_modules):
    made = []

    async def make(name, *arguments, **options):
        one = await Client().start(node_modules, SCRIPTS[name], *arguments, **options)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.end()


@pytest.fixture
async def place(request, kamtool, tls_server, authority):
    """The URL of a server, over ws or wss, and the roots to trust."""
    settings = 'alias="kamtool.test"\n'
    if request.param == "ws":
        server = await kamtool(settings + MODULES + LOADS + ROUTE)
        return f"ws://127.0.0.1:{port_of(server, 'tcp')}", ""
    server = await tls_server(ROUTE, modules=BASE + LOADS, settings=settings)
    return f"wss://127.0.0.1:{port_of(server, 'tls')}", authority.certificate_file


@pytest.mark.parametrize("place", ["ws", "wss"], indirect=True)
async def test_sipjs_and_jssip_register_and_write_to_each_other(client, place):
    url, roots = place
    alice = await client("JsSIP", url, "alice", "secret", roots=roots)
    bob = await client("SIP.js", url, "bob", "secret", roots=roots)
    await alice.says("registered")
    await bob.says("registered")
    alice.tell("sip:bob@kamtool.test")
    assert await bob.says("message") == "hello from jssip"
    assert await alice.says("sent", "failed") == "200"
    bob.tell("sip:alice@kamtool.test")
    assert await alice.says("message") == "hello from sip.js"
    assert await bob.says("sent", "failed") == "200"
    alice.tell("end")
    await alice.says("unregistered")
    bob.tell("sip:alice@kamtool.test")
    assert await bob.says("sent", "failed") == "404"


@pytest.mark.parametrize("place", ["ws"], indirect=True)
@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_a_wrong_password_is_refused(client, place, name):
    url, _ = place
    one = await client(name, url, "alice", "wrong")
    await one.says("refused")
