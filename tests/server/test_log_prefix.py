"""`log_prefix`: every line of a message begins with it. All this Kamailio 5.6.3 was seen to do as well."""

import logging
from dataclasses import replace

import pytest

from kamtool.script import load
from kamtool.server.log import KamailioFormatter
from kamtool.server.reload import Reloader
from tests.support.server import MODULES, port_of

PREFIX = 'debug=2\nlog_prefix="{$mt $rm $ru} "\n'
CFG = f"""#!KAMAILIO
{PREFIX}%s
{MODULES.removeprefix("#!KAMAILIO")}
loadmodule "xlog.so"
request_route {{
    if ($rm == "OPTIONS") {{
        xinfo("one");
        $ru = "sip:other@1.2.3.4";
        log(1, "two");
        t_reply("200", "OK");  # says that there is no transaction
        sl_send_reply("200", "OK");
        exit;
    }}
    t_on_failure("F");
    t_on_branch("B");
    t_on_reply("R");
    $ru = "sip:x@127.0.0.1:" + $hdr(X-Port);
    t_relay();
}}
branch_route[B] {{ xinfo("branch"); }}
onsend_route {{ xinfo("onsend"); }}
onreply_route[R] {{ xinfo("onreply"); }}
reply_route {{ xinfo("reply"); }}
failure_route[F] {{
    xinfo("failure");
    $ru = "sip:failed@1.1.1.1";
    xinfo("again");
    t_reply("480", "Gone");
}}
event_route[core:worker-one-init] {{ xinfo("init"); }}
"""


class Log(logging.Handler):
    """The lines as they would be written, from the message's route on."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(KamailioFormatter())
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def log():
    handler, logger = Log(), logging.getLogger("kamtool")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


AS_IT_CAME, CHANGED = "{1 OPTIONS sip:you@example.com} ", "{1 OPTIONS sip:other@1.2.3.4} "
FAKE = "{1 OPTIONS sip:you@kamtool.invalid} "


CHANGED = "{1 OPTIONS sip:other@1.2.3.4} "
FAKE = "{1 OPTIONS sip:you@kamtool.invalid} "


def came(method):
    return f"{{1 {method} sip:you@example.com}} "


def leaves(port):
    return f"{{1 INVITE sip:x@127.0.0.1:{port}}} "


MODES = pytest.mark.parametrize("mode", [0, 1], ids=["as it came", "as it is"])


@MODES
async def test_lines_of_the_script_the_core_and_a_module_have_it(kamtool, peer, log, mode):
    server, phone = await kamtool(CFG % f"log_prefix_mode={mode}"), await peer()
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(200)
    later = CHANGED if mode else came("OPTIONS")
    *script, module = [line for line in log.lines if "<script>" in line or " tm: " in line]
    assert script == [
        f"INFO: {FAKE if mode else ''}<script>: init",
        f"INFO: {came('OPTIONS')}<script>: one",
        f"NOTICE: {later}<script>: two",
    ]
    assert module.startswith(f"ERROR: {later}tm: ")


@MODES
async def test_a_failure_route_has_that_of_the_request(kamtool, peer, log, mode):
    """A response's own routes have the response's; `$rm` is its CSeq's method."""
    server, caller, callee = await kamtool(CFG % f"log_prefix_mode={mode}"), await peer(), await peer()
    invite = caller.request("INVITE", "sip:you@example.com", headers=f"X-Port: {callee.port}\r\n")
    caller.send(invite, port_of(server))
    callee.send(callee.answer(await callee.expect("INVITE"), 486), port_of(server))
    await caller.expect(100)
    await caller.expect(480)
    leaving = leaves(callee.port) if mode else came("INVITE")
    assert [line for line in log.lines if "<script>" in line][1:] == [
        f"INFO: {leaving}<script>: branch",
        f"INFO: {leaving}<script>: onsend",
        "INFO: {2 INVITE <null>} <script>: reply",
        "INFO: {2 INVITE <null>} <script>: onreply",
        f"INFO: {leaves(callee.port)}<script>: failure",
        f"INFO: {'{1 INVITE sip:failed@1.1.1.1} ' if mode else leaves(callee.port)}<script>: again",
    ]


async def test_a_failure_route_after_a_timeout_has_it_too(kamtool, peer, log):
    server, caller = await kamtool(CFG % "" + 'modparam("tm", "fr_timer", 200)\n'), await peer()
    deaf = await peer()
    invite = caller.request("INVITE", "sip:you@example.com", headers=f"X-Port: {deaf.port}\r\n")
    caller.send(invite, port_of(server))
    await caller.expect(100)
    await caller.expect(480)
    assert f"INFO: {leaves(deaf.port)}<script>: failure" in log.lines


async def test_what_is_no_message_has_none(kamtool, peer, log):
    server, phone = await kamtool(CFG % "log_prefix_mode=1"), await peer()
    phone.send(b"OPTIONS sip:garbage SIP/2.0\r\nVia: foo\r\n\r\n", port_of(server))
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(200)
    (line,) = [line for line in log.lines if "Via" in line]
    assert line.startswith("INFO: <core>: ")


async def test_the_lines_of_a_task_that_goes_on_with_the_message_have_it(kamtool, peer, log):
    cfg = (
        PREFIX
        + MODULES.removeprefix("#!KAMAILIO")
        + """
        loadmodule "cfgutils.so"
        loadmodule "xlog.so"
        request_route { usleep("2000"); t_reply("200", "OK"); xinfo("awake"); sl_send_reply("200", "OK"); }
    """
    )
    server, phone = await kamtool(cfg), await peer()
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(200)
    assert f"INFO: {came('OPTIONS')}<script>: awake" in log.lines
    assert [line for line in log.lines if line.startswith(f"ERROR: {came('OPTIONS')}tm: ")]
    logging.getLogger("kamtool.server").info("afterwards")
    assert log.lines[-1] == "INFO: <core>: afterwards"


async def test_the_line_of_a_script_that_failed_has_it(kamtool, peer, log):
    server, phone = await kamtool(PREFIX + "request_route { exit; }"), await peer()

    async def fail(ctx):
        raise RuntimeError("ours")

    server.program = replace(server.program, request_route=fail)
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(500)
    assert log.lines[-1].startswith(f"ERROR: {came('OPTIONS')}<core>: live: the script failed: ours")


@pytest.mark.parametrize(("before", "after"), [("", PREFIX), (PREFIX, "")], ids=["on", "off"])
async def test_a_reload_turns_it_on_and_off(kamtool, peer, log, before, after):
    """Before the routes too: what is logged by who takes the message in."""
    cfg = MODULES + '%s\nrequest_route { xinfo("here"); sl_send_reply("200", "OK"); }'
    text = cfg.replace('"pv.so"', '"pv.so"\nloadmodule "xlog.so"')
    server, phone = await kamtool(text % before), await peer()

    def read():
        script = load(text % after)
        script.settings.listens[:] = server.script.settings.listens
        return script

    await Reloader(server, read).reload()
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(200)
    assert log.lines[-1] == f"INFO: {came('OPTIONS') if after else ''}<script>: here"
    assert (server.receive != server._receive.message) is bool(after)


async def test_without_it_nothing_stands_before_the_way_in(kamtool):
    server = await kamtool("request_route { exit; }")
    assert server.receive == server._receive.message
    assert server.program.entry is not None


@pytest.mark.parametrize(
    ("prefix", "is_made"),
    [("{$mt $hdr(CSeq) $ci} ", False), ("{$mt $TV(u)} ", True)],
    ids=["waits", "at once"],
)
async def test_a_prefix_of_the_message_alone_is_made_for_a_line_only(kamtool, peer, log, prefix, is_made):
    """And the script costs what it costs without."""
    cfg = MODULES + f'\nlog_prefix="{prefix}"\nrequest_route {{ sl_send_reply("200", "OK"); exit; }}'
    server, phone, made = await kamtool(cfg), await peer(), []
    compiled = server.format

    def counted(text):
        prefix_of = compiled(text)
        return lambda ctx: made.append(ctx) or prefix_of(ctx)

    server.format = counted
    phone.send(phone.request("OPTIONS", "sip:you@example.com"), port_of(server))
    await phone.expect(200)
    assert bool(made) is is_made
    assert server.program.entry is not None
