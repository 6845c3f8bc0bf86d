"""debugger: the trace, `dbg.bp`, dumps and levels, with what Kamailio 5.6.3 answered to the same."""

import asyncio
import json
import logging
import os

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.script import load
from kamtool.server.server import Server
from tests.support.server import port_of
from tests.support.until import SOON, until

LOADS = "".join(
    f'loadmodule "{name}.so"\n' for name in ("sl", "pv", "xlog", "textops", "siputils", "tm", "debugger")
)
PID = os.getpid()


def cfg(*lines, params=()):
    """A script whose first line of `lines` is line 1; modules and parameters follow at the end of no line."""
    head = LOADS + "".join(f'modparam("debugger", "{name}", {value})\n' for name, value in params)
    return "#!KAMAILIO\n" + head + "\n".join(lines) + "\n"


@pytest.fixture
def trace(caplog):
    """The lines that debugger logs, from whatever level on."""
    caplog.set_level(1, "kamtool.modules.debugger")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "kamtool.modules.debugger"]


async def asked(server, one):
    """One OPTIONS and its answer."""
    one.send(one.request("OPTIONS", f"sip:alice@127.0.0.1:{port_of(server)}"), port_of(server))
    return await one.expect()


async def test_every_statement_is_traced_with_block_line_number_and_name(kamtool, peer, trace):
    """Numbers and lines as 5.6.3 logs them, its own inner actions (`c=[] l=0`) left out."""
    text = cfg(
        "request_route {",
        "  $var(a) = 1;",
        "  rewriteuser(\"u\"); strip_tail(1);",
        "  while ($var(a) < 2) { $var(a) = 2; }",
        "  switch ($var(a)) { case 2: setflag(2); break; }",
        "  switch (1) { case 1: isflagset(2); }",
        "  if (is_method(\"OPTIONS\"))",
        "  {",
        "    route(SUB);",
        "  }",
        "  xlog(\"L_INFO\", \"a\");",
        "  sl_send_reply(\"200\", \"OK\");",
        "}",
        "route[SUB] { return; }",
        params=[("cfgtrace", 1), ("log_level", 2)],
    )  # fmt: skip
    server = await kamtool(text)
    await asked(server, await peer())
    first = text.splitlines().index("request_route {") + 1
    seen = []
    for line in trace():
        block, file, number, kind, name = line.removeprefix("dbg_cfg_trace(): ").split(" ")
        assert file == "c=[<cfg>]"
        seen.append((block, int(number[2:]) - first, kind, name[2:]))
    main = "request_route=[DEFAULT_ROUTE]"
    assert seen == [
        (main, 1, "a=63", "assign"), (main, 2, "a=9", "setuser"), (main, 2, "a=46", "striptail"),
        (main, 3, "a=23", "while"), (main, 3, "a=63", "assign"), (main, 4, "a=21", "switch"),
        (main, 4, "a=39", "setflag"), (main, 4, "a=2", "exit"), (main, 5, "a=18", "block"),
        (main, 5, "a=41", "isflagset"), (main, 10, "a=16", "if"), (main, 6, "a=25", "is_method"),
        (main, 8, "a=5", "route"), ("request_route=[SUB]", 13, "a=2", "return"),
        (main, 10, "a=26", "xlog"), (main, 11, "a=26", "sl_send_reply"),
    ]  # fmt: skip


async def test_a_line_of_the_trace_has_its_prefix_level_and_no_file_when_told(kamtool, peer, caplog):
    from kamtool.server.log import KamailioFormatter

    params = [
        ("cfgtrace", 1),
        ("cfgtrace_format", 1),
        ("log_prefix", '"from-us:"'),
        ("log_level_name", '"exec"'),
    ]
    server = await kamtool(cfg('request_route { sl_send_reply("200", "OK"); }', params=params))
    await asked(server, await peer())
    (record,) = [r for r in caplog.records if "dbg_cfg_trace" in r.getMessage()]
    assert record.levelno == logging.ERROR
    shown = KamailioFormatter().format(record)
    assert shown.startswith("exec: from-us:dbg_cfg_trace(): request_route=[DEFAULT_ROUTE] l=")
    assert shown.endswith(" a=26 n=sl_send_reply")


async def test_without_trace_and_breakpoints_the_plain_program_runs(kamtool, peer, trace):
    server = await kamtool(cfg('request_route { sl_send_reply("200", "OK"); }'))
    plain = server.program
    assert plain.actions == ()
    one = await peer()
    await server.rpc.call("dbg.trace", ["on"])
    assert server.program is not plain
    await asked(server, one)
    assert len(trace()) == 1
    await server.rpc.call("dbg.trace", ["off"])
    assert server.program is plain
    await asked(server, one)
    assert len(trace()) == 1


DIALOGUE = cfg(
    "request_route {",
    "  $var(a) = 1;",
    '  dbg_breakpoint("1");',
    "  $var(a) = 2;",
    '  sl_send_reply("200", "OK");',
    "}",
)


async def test_the_dialogue_of_5_6_3_over_rpc(kamtool, peer, trace):
    server = await kamtool(DIALOGUE)
    first = DIALOGUE.splitlines().index("request_route {") + 1
    one = await peer()

    async def call(*arguments):
        answer = await server.rpc.call("dbg.bp", arguments)
        return answer.replace(f"<cfg>:{first + 1}]", "1]").replace(f"<cfg>:{first + 2}]", "2]")

    assert await call("on") == "200 ok"
    one.send(one.request("OPTIONS", "sip:alice@127.0.0.1"), port_of(server))
    debugger = server.modules["debugger"]
    await until(lambda: debugger.stepper.stopped is not None)
    (here,) = await server.rpc.call("dbg.ls", [])
    assert (here["pid"], here["set"], here["state"]) == (PID, 2, 1)
    assert await call("show", PID) == "at bkp [1] a=63 n=assign"
    assert await call("next", PID) == "exec [1] a=63 n=assign"
    assert await call("show", PID) == "at bkp [2] a=25 n=dbg_breakpoint"
    assert await call("eval", PID, "$fu") == "$fu : t=str v=sip:peer@example.com"
    assert await call("eval", PID, "$var(a)") == "$var(a) : t=int v=1"
    assert await call("eval", PID, "$avp(none)") == "$avp(none) : t=null"
    assert await call("log", PID, "$rm") == "200 ok"
    await one.silence(0.1)
    assert await call("move", PID) == "200 ok"
    await one.expect(200)
    (here,) = await server.rpc.call("dbg.ls", [PID])
    assert (here["set"], here["state"]) == (0, 0)
    hits = [line for line in trace() if line.startswith("breakpoint hit")]
    assert hits == [f"breakpoint hit: p=[{PID}] c=[<cfg>] l={first + 1} a=63 n=assign"]
    assert "$rm : t=str v=OPTIONS" in trace()


async def test_while_one_message_is_stopped_the_others_get_their_answer(kamtool, peer):
    server = await kamtool(DIALOGUE)
    parked, other = await peer(), await peer()
    await server.rpc.call("dbg.bp", ["on"])
    request = parked.request("OPTIONS", "sip:alice@127.0.0.1", branch="parked")
    parked.send(request, port_of(server))
    stepper = server.modules["debugger"].stepper
    await until(lambda: stepper.stopped is not None)
    assert (await asked(server, other)).status == 200
    parked.send(request, port_of(server))  # its retransmission is absorbed
    await until(lambda: server.observers.absorbed == 1)
    await server.rpc.call("dbg.bp", ["move", PID])
    await parked.expect(200)
    await parked.silence(0.1)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("dbg.trace", [], "Config trace command missing"),
        ("dbg.trace", ["foo"], "Unknown trace command"),
        ("dbg.trace", ["on", 1], "No such pid"),
        ("dbg.bp", [], "Config breakpoint command missing"),
        ("dbg.bp", ["foo"], "Unknown inner command"),
        ("dbg.bp", ["next"], "Missing pid parameter"),
        ("dbg.bp", ["next", 1], "No such pid"),
        ("dbg.bp", ["eval", PID], "pv param missing"),
        ("dbg.reset_msgid", [], "reset_msgid is not enabled: set the parameter to 1"),
    ],
)
async def test_a_wrong_command_is_refused_with_5_6_3s_words(kamtool, method, arguments, message):
    server = await kamtool(DIALOGUE)
    with pytest.raises(RpcError) as refused:
        await server.rpc.call(method, arguments)
    assert (refused.value.code, refused.value.message) == (500, message)


async def test_reset_msgid_lets_mi_begin_again(kamtool, peer):
    text = 'request_route { append_to_reply("N: $mi\\r\\n"); sl_send_reply("200", "OK"); }'
    server = await kamtool(cfg(text, params=[("reset_msgid", 1)]))
    one = await peer()
    assert [(await asked(server, one)).header("N") for _ in range(2)] == ["1", "2"]
    assert await server.rpc.call("dbg.reset_msgid") == "200 ok"
    assert (await asked(server, one)).header("N") == "1"


DUMPS = (
    '$var(a) = 1; $var(c) = "tux"; $var(b) = $null; $avp(x) = "one"; $avp(x) = "two"; $xavp(r=>f) = 5;'
    '$fU = "dave"; xlog("L_DBG", "$si $avp(none)");'
)


@pytest.mark.parametrize(
    ("mask", "dumped"),
    [
        (2, '{"$avp(x)":["two","one"]}'),
        (4, '{"$var(a)":1,"$var(c)":"tux","$var(b)":0}'),
        (8, '{"$xavp(r)":[{"f":[5]}]}'),
        (16, '{"$fU":"peer","$si":"127.0.0.1"}'),
        (3, '{"$avp(none)":[],"$avp(x)":["two","one"]}'),
    ],
)
async def test_pv_dump_shows_the_kinds_its_mask_names(kamtool, peer, trace, mask, dumped):
    """5.6.3's answers but for the order; `$fU` stays what the message says until the change is applied."""
    script = f'request_route {{ {DUMPS} dbg_pv_dump({mask}, "L_ERR"); sl_send_reply("200", "OK"); }}'
    server = await kamtool(cfg(script.replace("$avp(none)", "$avp(none)" if mask & 1 else "")))
    await asked(server, await peer())
    line = trace()[-1].removeprefix("dbg_dump_json(): ")
    assert json.loads(line) == json.loads(dumped)


async def test_sip_msg_shows_the_message_as_it_would_leave_and_the_changes(kamtool, peer, trace):
    script = (
        "request_route {",
        '$ru = "sip:a@b"; append_hf("X: 1\\r\\n"); remove_hf("Max-Forwards");',
        'dbg_sip_msg("L_ERR");',
        'sl_send_reply("200", "OK"); }',
    )
    text = cfg(*script)
    server = await kamtool(text)
    await asked(server, await peer())
    lines = trace()[-1].splitlines()
    assert lines[0] == f"w_dbg_sip_msg(): CONFIG LINE {text.splitlines().index(script[2]) + 1}"
    assert lines[2] == "OPTIONS sip:a@b SIP/2.0"
    assert "X: 1" in lines[3:10]
    assert "Max-Forwards: 70" not in lines
    changes = lines[next(n for n, line in enumerate(lines) if "header diffs" in line) + 1 :]
    assert sorted(changes[:2]) == ["- Max-Forwards: 70", "X: 1"]


async def test_levels_of_modules_are_set_and_given_back(kamtool):
    logger = logging.getLogger("kamtool.usrloc")
    before = logger.level
    params = [("mod_hash_size", 5), ("mod_level_mode", 1), ("mod_level", '"core=2"')]
    server = await kamtool(cfg("request_route { exit; }", params=params))
    core = logging.getLogger("kamtool.receive")
    assert core.level == logging.INFO

    async def call(name, *arguments):
        return await server.rpc.call(f"dbg.{name}", arguments)

    assert await call("get_mod_level", "core") == "2"
    assert await call("set_mod_level", "usrloc", 3) == "200 ok"
    assert (await call("get_mod_level", "usrloc"), logger.level) == ("3", logging.DEBUG)
    assert await call("get_mod_level", "nosuch") == str(server.settings.number("debug"))
    assert await call("set_mod_facility", "tm", "LOG_LOCAL0") == "200 ok"
    assert await call("get_mod_facility", "tm") == "LOG_LOCAL0"
    assert await call("get_mod_facility", "all") == "LOG_DAEMON"
    await server.modules["debugger"].stop()
    assert (core.level, logger.level) == (0, before)


@pytest.mark.parametrize(
    ("param", "value"),
    [("mod_level", '"core"'), ("mod_level", '"core=x"'), ("mod_facility", '"core=LOG_X"'), ("cfgtest", 1)],
)
async def test_a_parameter_that_makes_no_sense_is_refused(param, value):
    server = Server(load(cfg("request_route { exit; }", params=[(param, value)])))
    with pytest.raises(ConfigError):
        await server.start()


async def test_a_stopping_server_lets_the_stopped_message_go(kamtool, peer):
    server = await kamtool(DIALOGUE)
    one = await peer()
    await server.rpc.call("dbg.bp", ["on"])
    one.send(one.request("OPTIONS", "sip:alice@127.0.0.1"), port_of(server))
    await until(lambda: server.modules["debugger"].stepper.stopped is not None)
    await asyncio.wait_for(server.stop(), SOON)
