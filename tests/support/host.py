"""The least that a module needs of a server: for tests of modules alone."""

import asyncio
from typing import ClassVar

from kamtool.errors import ConfigError
from kamtool.module import find
from kamtool.script.context import Context
from kamtool.server.options import Options
from kamtool.sip import build
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import parse
from kamtool.store.databases import Databases

HERE = Address("127.0.0.1", 5060)
UDP = Flow("udp", HERE, Address("127.0.0.1", 5999))
TCP = Flow("tcp", HERE, Address("127.0.0.1", 5998), 7)


class Avp:
    """`$avp(x)` as a modparam names it."""

    def __init__(self, name):
        self.text, self.name = f"$avp({name})", name

    def get(self, ctx):
        return ctx.scratch.get(self.text)

    def set(self, ctx, value):
        ctx.scratch[self.text] = value


class Host:
    """A host with a clock that only moves when it is told to, and a memory of what was answered."""

    made: ClassVar[list] = []
    """Those of this test: tests/conftest.py closes what they leave open."""

    def __init__(self):
        Host.made.append(self)
        self.modules, self.stats, self.databases, self.own_uris = {}, {}, Databases(), {}
        self.options = Options()
        self.clock, self.quirks = 1000.0, False
        self.closed_watchers = []
        self.replies, self.timers, self.events, self.tasks = [], [], [], set()

    def count(self, name, by=1):
        self.stats[name] = self.stats.get(name, 0) + by

    def now(self):
        return self.clock

    def every(self, seconds, callback):
        self.timers.append((seconds, callback))

    def spawn(self, work, name):
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def variable(self, text):
        if not text.startswith("$avp("):
            raise ConfigError(f"{text!r} is no pseudo-variable")
        return Avp(text[5:-1])

    def variables(self, texts):
        found = [self.variable(text) for text in texts]
        return lambda ctx: tuple(variable.get(ctx) for variable in found)

    def format(self, text):
        return lambda ctx: text

    def reply(self, ctx, status, reason, headers=(), body=b"", content_type=""):
        lines = [tuple(line.split(": ", 1)) for line in ctx.reply_headers]
        ctx.reply_headers = ()
        data = build.response(ctx.msg, status, reason, to_tag="here", headers=[*lines, *headers], body=body)
        self.replies.append(parse(data))
        return True

    def socket(self, transport, address):
        return Socket(transport, HERE) if address == HERE else None

    def is_myself(self, host, port=None, transport=""):
        return host == "127.0.0.1" and port in (None, 0, 5060)

    def run_event(self, name, scratch):
        self.events.append((name, scratch))

    async def load(self, name, **params):
        """Load a module, set its parameters, start it."""
        module = find(name)(self)
        for param, value in params.items():
            for each in value if isinstance(value, list) else [value]:
                module.set_param(param, each)
        self.modules[name] = module
        await module.start()
        return module

    async def tick(self):
        """Run what runs every so often."""
        for _, callback in self.timers:
            found = callback()
            if found is not None:
                await found

    async def stop(self):
        for module in reversed(self.modules.values()):
            await module.stop()
        await self.databases.close()

    def context(self, text, flow=UDP):
        """A message in the script; lines may end in plain newlines."""
        return Context(self, parse(text.strip("\n").replace("\n", "\r\n").encode() + b"\r\n\r\n"), flow)
