"""A server that starts: nobody is answered by half of it."""

import asyncio

from kamtool.modules.sl import Sl
from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Socket
from tests.support.server import port_of

CFG = 'loadmodule "sl.so"\nrequest_route { sl_send_reply("200", "OK"); }'


async def test_a_message_that_comes_before_all_modules_have_started_waits(peer, monkeypatch):
    began, may_end = asyncio.Event(), asyncio.Event()
    real = Sl.start

    async def slow(module):
        began.set()
        await may_end.wait()
        await real(module)

    monkeypatch.setattr(Sl, "start", slow)
    listens = [Socket("udp", Address("127.0.0.1", 0))]
    server = Server(load(CFG), options=Options(listens=listens, freeze=False, drain=0))
    starting = asyncio.create_task(server.start())
    try:
        await began.wait()
        alice = await peer()
        alice.send(alice.request("OPTIONS", "sip:x@127.0.0.1"), port_of(server))
        for _ in range(20):
            await asyncio.sleep(0)
        assert server.stats["core:rcv_requests"] == 0
        may_end.set()
        await alice.expect(200)
    finally:
        may_end.set()
        await starting
        await server.stop()
