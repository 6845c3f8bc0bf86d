"""A debugging session on a running server, and a call for it to look at."""

import asyncio

import pytest_asyncio

from kamtool.debug.commands import Commands
from kamtool.debug.session import Session
from tests.support.server import MODULES
from tests.support.until import SOON

CFG = (
    MODULES
    + """
request_route {
  $var(a) = 1;
  if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
  route(NEXT);
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  append_hf("X: 1\\r\\n");
  t_on_failure("F"); t_on_reply("R"); t_on_branch("B");
  t_relay();
  exit;
}
route[NEXT] {
  $avp(x) = "one";
  setflag(3);
}
branch_route[B] { append_hf("Y: 1\\r\\n"); }
onreply_route[R] { setflag(5); $var(z) = 3; }
failure_route[F] { if (t_check_status("486")) { t_reply("480", "Gone"); } }
"""
)


def line_of(text, cfg=CFG):
    """The number of the first line that holds `text`."""
    return next(number for number, line in enumerate(cfg.split("\n"), 1) if text in line)


class Debugger:
    """A session: `ask` it, and wait for what it tells with `told`."""

    def __init__(self, server):
        self.events = asyncio.Queue()
        self.session = Session(server, lambda name, facts: self.events.put_nowait((name, facts)))
        self.commands = Commands(self.session)

    async def ask(self, command, **arguments):
        return await self.commands.run(command, arguments)

    async def told(self, name, within=SOON):
        """The facts of the next event of that name; others before it are skipped."""
        async with asyncio.timeout(within):
            while True:
                event, facts = await self.events.get()
                if event == name:
                    return facts

    async def stops(self):
        return await self.told("stopped")

    async def step(self, how="into", **more):
        """Go on, and where it stops next."""
        await self.ask("resume", how=how, **more)
        return await self.stops()

    async def value(self, text, **more):
        return (await self.ask("evaluate", text=text, **more))["value"]


@pytest_asyncio.fixture
async def debugger():
    """Attaches to a server: `await debugger(server)`; history is kept unless `history=0`."""
    made = []

    async def attach(server, history=50):
        one = Debugger(server)
        await one.session.attach()
        await one.ask("options", history=history)
        made.append(one)
        return one

    yield attach
    for one in made:
        if one.session.attached:
            one.session.detach()


def invite(caller, callee, **more):
    """An INVITE that the script sends on to `callee`."""
    return caller.request("INVITE", "sip:bob@example.com", headers=f"X-Port: {callee.port}\r\n", **more)
