"""DAP: an editor's session from initialize to disconnect, and what a broken editor may send."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from kamtool.debug import attach
from kamtool.debug.dap import Adapter
from kamtool.server.control import ControlSocket
from tests.support.debugger import CFG, invite, line_of
from tests.support.server import port_of
from tests.support.until import SOON

STOCK = Path("/etc/kamailio/kamailio.cfg")
STOCK_LINES = STOCK.read_text().split("\n") if STOCK.exists() else []
pytestmark = pytest.mark.live


class Editor:
    """A scripted client: requests by name, and events as they come."""

    def __init__(self, socket):
        self.reader, self.inbox, self.sequence = (
            asyncio.StreamReader(limit=1 << 24),
            asyncio.StreamReader(limit=1 << 24),
            0,
        )
        self.adapter = Adapter(socket, self.inbox.feed_data)
        self.events = asyncio.Queue()
        self.answers, self.took = {}, []
        self.running = asyncio.ensure_future(self.adapter.run(self.reader))
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self):
        from kamtool.debug.dap import read

        while (message := await read(self.inbox)) is not None:
            if message["type"] == "event":
                self.events.put_nowait(message)
            else:
                self.answers.pop(message["request_seq"]).set_result(message)

    async def ask(self, command, **arguments):
        """The answer's body; fails with the adapter's words."""
        self.sequence += 1
        answer = self.answers[self.sequence] = asyncio.get_running_loop().create_future()
        body = {"seq": self.sequence, "type": "request", "command": command, "arguments": arguments}
        began = time.perf_counter()
        self.feed(json.dumps(body).encode())
        found = await asyncio.wait_for(answer, SOON)
        self.took.append((command, time.perf_counter() - began))
        assert found["success"], found.get("message")
        return found["body"]

    def feed(self, body):
        self.reader.feed_data(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def event(self, name):
        """The body of the next event of that name."""
        async with asyncio.timeout(SOON):
            while True:
                found = await self.events.get()
                if found["event"] == name:
                    return found["body"]

    async def close(self):
        self.reading.cancel()
        self.running.cancel()
        await asyncio.gather(self.reading, self.running, return_exceptions=True)


@pytest.fixture
async def editor(kamtool, tmp_path):
    """Starts a server from a cfg and an editor on it: `server, editor = await editor(cfg)`."""
    opened = []

    async def start(cfg, **more):
        server = await kamtool(cfg, **more)
        control = ControlSocket(server.rpc, tmp_path / "control.sock")

        async def taker(line, reader, writer):
            await attach.converse(server, line, reader, writer)

        control.takers[b'"debug.attach"'] = taker
        await control.start()
        one = Editor(control.path)
        opened.extend([one.close, control.stop])
        return server, one

    yield start
    for close in opened:
        await close()


@pytest.mark.skipif(not STOCK.exists(), reason="kamailio is not installed")
async def test_an_editor_debugs_the_stock_cfg_from_initialize_to_disconnect(
    editor, peer, tmp_path, record_property
):
    """With `-rP` pytest prints how long the slowest round trip took: it should be under 200 ms."""
    server, one = await editor(STOCK, listens=[("udp", "127.0.0.1")], runtime_folder=tmp_path)
    plain = server.program
    able = await one.ask("initialize", adapterID="kamtool", linesStartAt1=True)
    assert able["supportsStepBack"]
    await one.ask("attach")
    await one.event("initialized")
    line = next(n for n, text in enumerate(STOCK_LINES, 1) if "route(REQINIT);" in text)
    source = {"path": str(STOCK)}
    (made,) = (
        await one.ask(
            "setBreakpoints", source=source, breakpoints=[{"line": line, "condition": '$rm == "OPTIONS"'}]
        )
    )["breakpoints"]
    assert (made["verified"], made["line"], made["source"]["path"]) == (True, line, str(STOCK))
    await one.ask("setExceptionBreakpoints", filters=[])
    await one.ask("configurationDone")
    caller = await peer()
    caller.send(caller.request("OPTIONS", "sip:127.0.0.1"), port_of(server))
    stopped = await one.event("stopped")
    thread = stopped["threadId"]
    assert (stopped["reason"], stopped["allThreadsStopped"]) == ("breakpoint", False)
    (shown,) = (await one.ask("threads"))["threads"]
    assert shown == {"id": thread, "name": "OPTIONS sip:127.0.0.1  live"}
    await one.ask("stepIn", threadId=thread)
    assert (await one.event("stopped"))["reason"] == "step"
    frames = (await one.ask("stackTrace", threadId=thread))["stackFrames"]
    assert [frame["name"] for frame in frames] == ["route[REQINIT]", "request_route"]
    scopes = (await one.ask("scopes", frameId=frames[0]["id"]))["scopes"]
    held = {}
    for scope in scopes:
        found = await one.ask("variables", variablesReference=scope["variablesReference"])
        held[scope["name"]] = {each["name"]: each["value"] for each in found["variables"]}
    assert held["Message"]["$rm"] == '"OPTIONS"'
    assert held["Routing"]["$ru"] == '"sip:127.0.0.1"'
    message = scopes[0]["variablesReference"]
    assert (await one.ask("setVariable", variablesReference=message, name="$rU", value='"carol"'))[
        "value"
    ] == '"carol"'
    frame = frames[0]["id"]
    assert (await one.ask("evaluate", expression='$ru + "!"', frameId=frame))[
        "result"
    ] == '"sip:carol@127.0.0.1!"'
    done = await one.ask("evaluate", expression='$du = "sip:127.0.0.1:9"', frameId=frame, context="repl")
    assert done["result"] == '$du = "sip:127.0.0.1:9"'
    await one.ask("next", threadId=thread)
    await one.event("stopped")
    await one.ask("stepBack", threadId=thread)
    assert (await one.event("stopped"))["description"] == "as it was"
    back = (await one.ask("stackTrace", threadId=thread))["stackFrames"][0]["line"]
    assert back < (await _line_now(one, thread))
    await one.ask("setBreakpoints", source=source, breakpoints=[])
    await one.ask("evaluate", expression="$du = $null", frameId=frame, context="repl")
    await one.ask("continue", threadId=thread)
    assert (await caller.expect()).call_id == "live"
    await one.ask("disconnect")
    slowest = max(one.took, key=lambda each: each[1])
    record_property("slowest_round_trip", f"{slowest[0]} {1000 * slowest[1]:.1f} ms of {len(one.took)}")
    print(f"the slowest of {len(one.took)} round trips: {slowest[0]}, {1000 * slowest[1]:.1f} ms")
    async with asyncio.timeout(SOON):
        await one.running
        while server.program is not plain:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _line_now(one, thread):
    """Back to the present by `next`, and the line there."""
    await one.ask("next", threadId=thread)
    await one.event("stopped")
    return (await one.ask("stackTrace", threadId=thread))["stackFrames"][0]["line"]


async def test_log_points_hit_counts_functions_and_failures(editor, peer):
    server, one = await editor(CFG)
    await one.ask("initialize")
    await one.ask("launch")
    made = await one.ask(
        "setBreakpoints", source={"name": "<cfg>"},
        breakpoints=[
            {"line": line_of("$du ="), "logMessage": "to {$rU} by {$fU}"},
            {"line": line_of("append_hf"), "hitCondition": ">= 2"},
            {"line": 99999},
        ],
    )  # fmt: skip
    assert [each["verified"] for each in made["breakpoints"]] == [True, True, False]
    made = await one.ask(
        "setFunctionBreakpoints", breakpoints=[{"name": "failure_route[F]"}, {"name": "nosuch"}]
    )
    assert [each["verified"] for each in made["breakpoints"]] == [True, False]
    caller, callee = await peer(), await peer()
    port = port_of(server)
    caller.send(invite(caller, callee), port)
    assert (await one.event("output"))["output"] == "to bob by peer\n"
    callee.send(callee.answer(await callee.expect("INVITE"), 486), port)
    stopped = await one.event("stopped")
    frames = (await one.ask("stackTrace", threadId=stopped["threadId"]))["stackFrames"]
    assert frames[0]["name"] == "failure_route[F]"
    assert [frame["name"].split(" ")[1] for frame in frames[1:]] == [
        "onreply_route[R]", "reply_route", "branch_route[B]", "request_route",
    ]  # fmt: skip
    await one.ask("continue", threadId=stopped["threadId"])
    await caller.expect(100)
    await caller.expect(480)


async def test_a_wrong_request_is_refused_and_the_session_goes_on(editor):
    _server, one = await editor(CFG)
    await one.ask("initialize")
    with pytest.raises(AssertionError, match="has gone"):
        await one.ask("threads") and await one.ask("stackTrace", threadId=1)
    await one.ask("attach")
    for command, arguments in [
        ("nosuch", {}),
        ("stackTrace", {}),
        ("stackTrace", {"threadId": 9}),
        ("setVariable", {"variablesReference": "x"}),
    ]:
        with pytest.raises(AssertionError):
            await one.ask(command, **arguments)
    assert (await one.ask("threads")) == {"threads": []}


@pytest.mark.parametrize(
    "rubbish",
    [b"Content-Length: 5\r\n\r\nhello", b"GET / HTTP/1.0\r\n\r\n", b"Content-Length: -1\r\n\r\n",
     b"Content-Length: 999999999\r\n\r\n",
     b"Content-Length: 2\r\n\r\n[]", b"Content-Length: 17\r\n\r\n" + b'{"arguments": []}'],
)  # fmt: skip
async def test_a_malformed_message_ends_that_editor_only(editor, rubbish):
    server, one = await editor(CFG)
    await one.ask("initialize")
    await one.ask("attach")
    one.reader.feed_data(rubbish)
    if rubbish.endswith(b"[]}"):  # arguments that are an empty list are taken for none
        await one.ask("threads")
        return
    await asyncio.wait_for(one.running, SOON)
    async with asyncio.timeout(SOON):
        while server.observers.watching:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
