"""A few lines of cfg and what becomes of a message in them: `run = script('…'); run(OPTIONS).outcome`."""

import asyncio
import logging
import re
from dataclasses import dataclass, field

import pytest

from kamtool import script as language
from kamtool.module import declaration, find
from kamtool.script.context import Context, Exit
from kamtool.sip.message import parse
from tests.support.host import UDP, Host

OPTIONS = """OPTIONS sip:alice@example.com;transport=udp SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-1;rport
Max-Forwards: 70
From: "Bob Builder" <sip:bob@biloxi.example.org>;tag=ft1
To: <sip:alice@example.com>
Call-ID: options@case
CSeq: 7 OPTIONS
Contact: <sip:bob@127.0.0.1:5999;ob>
User-Agent: tester/1.0
X-Num: 42
Content-Length: 0
"""
INVITE = OPTIONS.replace("OPTIONS", "INVITE").replace("options@case", "invite@case")

BASE = 'loadmodule "pv.so"\nloadmodule "xlog.so"\nloadmodule "textops.so"\nloadmodule "siputils.so"\n'


@dataclass
class Outcome:
    """How the script left a message: "return" with a code, "exit" or "drop"."""

    outcome: str
    code: int
    ctx: Context
    log: list = field(default_factory=list)

    def __getitem__(self, name):
        """The value of `$name` after the run."""
        return self.ctx.host.variable(f"${name}").get(self.ctx)


class ScriptHost(Host):
    """A host with the modules of a script, their parameters set; nothing is sent anywhere."""

    def __init__(self, script):
        super().__init__()
        self.script, self.settings = script, script.settings
        self.quirks = script.settings.quirks
        for name in ("core", *(load.name for load in script.loads)):
            self.modules[name] = find(name)(self)
        for param in script.modparams:
            for name, module in self.modules.items():
                if re.fullmatch(param.modules, name) and param.name in declaration(type(module)).params:
                    module.set_param(param.name, param.value)

    def variable(self, text):
        return self.script.variable(text, self)

    def variables(self, texts):
        return self.script.variables(texts, self)

    def format(self, text):
        return self.script.format(text, self)


class Memory(logging.Handler):
    """The texts that were logged, in order."""

    def __init__(self):
        super().__init__(1)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage().rstrip("\n"))


class Run:
    """A linked script. Calling it with a message runs its request_route, or another block by name."""

    def __init__(self, script, observer=None):
        self.script = script
        self.host = ScriptHost(script)
        self.program = script.link(self.host, observer=observer)
        self.memory = Memory()
        asyncio.run(self._start())

    async def _start(self):
        for module in self.host.modules.values():
            await module.start()

    def context(self, message=OPTIONS, flow=UDP):
        return Context(self.host, parse(message.replace("\n", "\r\n").encode() + b"\r\n"), flow)

    def __call__(self, message=OPTIONS, *, route=None, ctx=None):
        ctx = ctx or self.context(message)
        logger = logging.getLogger("kamtool.script")
        level, self.memory.texts = logger.level, []
        logger.addHandler(self.memory)
        logger.setLevel(1)
        try:
            outcome = asyncio.run(self._run(route or self.program.request_route, ctx))
        finally:
            logger.removeHandler(self.memory)
            logger.setLevel(level)
        outcome.log = self.memory.texts
        return outcome

    @staticmethod
    async def _run(route, ctx):
        try:
            return Outcome("return", await route(ctx), ctx)
        except Exit as way:
            return Outcome("drop" if way.dropped else "exit", way.code, ctx)


@pytest.fixture
def script():
    """Load lines of cfg, with pv, xlog, textops and siputils beside what they load; returns a Run."""

    def load(*lines, observer=None, defines=None):
        text = "#!KAMAILIO\n" + BASE + "\n".join(lines) + "\n"
        return Run(language.load(text, defines=defines or {}, name="test.cfg"), observer)

    return load


def value_of(expression, setup="", run=None):
    """The value of an expression, computed by a route of its own."""
    text = f"#!KAMAILIO\n{BASE}request_route {{ {setup} $avp(result) = {expression}; }}"
    return Run(language.load(text, name="test.cfg"))()["avp(result)"]
