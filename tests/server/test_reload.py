"""Reload: another cfg as a whole or not at all, and nothing under way sees parts of both."""

import asyncio
import gc
import socket
import weakref

import pytest

from kamtool.errors import ConfigErrors, RpcError
from kamtool.module import available, declaration, find
from kamtool.script import load
from kamtool.server.reload import Reloader
from tests.support.server import MODULES, port_of
from tests.support.until import SOON

HEAD = "".join(f'loadmodule "{name}.so"\n' for name in ("sl", "tm", "pv", "cfgutils", "maxfwd"))


def answer_with(text, head=HEAD, routes=""):
    return f'{head}request_route {{ sl_send_reply("200", "{text}"); }}\n{routes}'


class Cfg:
    """A server whose cfg is in `text`, and its Reloader."""

    def __init__(self, server, text):
        self.server, self.text = server, text
        self.reloader = Reloader(server, self._read)
        self.reloader.register(server.rpc)

    def _read(self):
        script = load(self.text, name="new.cfg")
        # As the fixture did at the start: sockets come from its options.
        script.settings.listens[:] = self.server.script.settings.listens
        return script

    async def reload(self, text):
        self.text = text
        return await self.reloader.reload()


@pytest.fixture
def running(kamtool):
    async def start(text):
        server = await kamtool(text)
        return Cfg(server, text)

    return start


async def ask(peer, server, call_id="a", method="OPTIONS"):
    peer.send(peer.request(method, "sip:x@127.0.0.1", branch=call_id, call_id=call_id), port_of(server))
    message = await peer.expect()
    return message.data.split(b"\r\n")[0].decode().removeprefix("SIP/2.0 ")


# Taking over -----------------------------------------------------------------------------------------------


async def test_the_next_message_meets_the_new_cfg(running, peer):
    cfg, phone = await running(answer_with("old")), await peer()
    assert await ask(phone, cfg.server) == "200 old"
    done = await cfg.reload(answer_with("new"))
    assert (done.changes, cfg.server.reloads) == ((), 1)
    assert await ask(phone, cfg.server) == "200 new"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("request_route {", "`}` is missing"),
        (answer_with("x").replace("sl_send_reply", "nosuch"), "no function `nosuch`"),
        (answer_with("x").replace('loadmodule "pv.so"\n', ""), "module `pv` is not loaded any more"),
        (answer_with("x", HEAD + 'loadmodule "kex.so"\n'), "module `kex` cannot be loaded"),
        (
            answer_with("x", HEAD + 'modparam("cfgutils", "initial_gflags", 3)\n'),
            "the parameter `initial_gflags`",
        ),
        (
            answer_with("x", HEAD + "tcp_connection_lifetime=7\n"),
            "global parameter `tcp_conn",
        ),
    ],
)
async def test_a_cfg_that_cannot_take_over_is_refused_whole(running, peer, text, said):
    cfg, phone = await running(answer_with("old")), await peer()
    server = cfg.server
    before = (server.program, server.script, server.settings)
    with pytest.raises(ConfigErrors) as caught:
        await cfg.reload(text)
    assert said in str(caught.value)
    assert (server.program, server.script, server.settings) == before
    assert await ask(phone, server) == "200 old"


async def test_all_that_needs_a_restart_is_said_at_once_with_its_line(running):
    cfg = await running(answer_with("old"))
    with pytest.raises(ConfigErrors) as caught:
        await cfg.reload(answer_with("x", HEAD + 'loadmodule "kex.so"\nmhomed=1\n'))
    assert [(error.code, error.span.line) for error in caught.value.errors] == [("KT1210", 6), ("KT1210", 7)]


async def test_sockets_cannot_change(running):
    cfg = await running(answer_with("old"))
    cfg._read = lambda: load(cfg.text, name="new.cfg")
    cfg.reloader.read = cfg._read
    with pytest.raises(ConfigErrors, match="`listen` lines"):
        await cfg.reload("listen=udp:127.0.0.1:5099\n" + answer_with("x"))


async def test_live_parameters_and_settings_change_at_once(running):
    cfg = await running(answer_with("old", HEAD + 'modparam("maxfwd", "max_limit", 50)\n'))
    new = HEAD + 'modparam("tm", "fr_timer", 5000)\nserver_header="Server: mine"\n'
    done = await cfg.reload(answer_with("new", new))
    assert set(done.changes) == {
        "tm.fr_timer: 30000 -> 5000", "maxfwd.max_limit: 50 -> 70",
        "server_header: '' -> 'Server: mine'",
    }  # fmt: skip
    server = cfg.server
    assert server.transactions.settings.fr == 5.0
    assert server.modules["maxfwd"].max_limit == 70
    assert server.replies.server_line == b"Server: mine\r\n"


async def test_custom_parameters_take_their_new_values(running, peer):
    text = (
        'mine.text = "%s"\n' + HEAD + 'request_route {{ sl_send_reply("200", "$sel(cfg_get.mine.text)"); }}'
    )
    text = text.replace("{{", "{").replace("}}", "}")
    cfg, phone = await running(text % "one"), await peer()
    assert await ask(phone, cfg.server) == "200 one"
    done = await cfg.reload(text % "two")
    assert done.changes == ("custom parameters",)
    assert await ask(phone, cfg.server) == "200 two"


async def test_aliases_change_at_once(running):
    cfg = await running(answer_with("old", HEAD + "alias=udp:one.example:5070\nalias=both.example\n"))
    server = cfg.server
    server.myself.add("", "added.example", 0)
    assert [server.is_myself(f"{name}.example", 5070, "udp") for name in ("one", "two")] == [True, False]
    done = await cfg.reload(answer_with("new", HEAD + "alias=udp:two.example:5070\nalias=both.example\n"))
    assert done.changes == ("aliases",)
    assert [server.is_myself(f"{name}.example", 5070, "udp") for name in ("one", "two")] == [False, True]
    assert all(server.is_myself(f"{name}.example") for name in ("both", "added"))
    assert server.is_myself("127.0.0.1", port_of(server), "udp")


async def test_a_module_may_refuse(running):
    head = HEAD + 'loadmodule "rtimer.so"\nmodparam("rtimer", "timer", "name=t;interval=100")\n'
    head += 'modparam("rtimer", "exec", "timer=t;route=TICK")\n'
    cfg = await running(answer_with("old", head, "route[TICK] { exit; }"))
    with pytest.raises(ConfigErrors, match=r"there is no route\[TICK\]"):
        await cfg.reload(answer_with("new", head))


def test_every_live_parameter_exists():
    for name in available():
        declared = declaration(find(name))
        assert set(declared.live) <= set(declared.params), name


# Under way -------------------------------------------------------------------------------------------------

MARKED = (
    MODULES.replace("#!KAMAILIO\n", "")
    + 'loadmodule "cfgutils.so"\nmodparam("tm", "fr_timer", 300)\n'
    + """
request_route {
	if ($rU == "held") { usleep("%(hold)s"); }
	if (is_method("OPTIONS")) {
		if (route_if_exists("LAST")) exit;
	}
	t_on_branch("B");
	t_on_reply("R");
	t_on_failure("F");
	t_relay();
	exit;
}
route[LAST] { sl_send_reply("200", "%(mark)s"); exit; }
branch_route[B] { append_hf("X-Branch: %(mark)s\\r\\n"); }
onreply_route[R] { append_hf("X-Reply: %(mark)s\\r\\n"); }
reply_route { append_hf("X-First: %(mark)s\\r\\n"); }
failure_route[F] { t_reply("404", "%(mark)s"); }
"""
)


def marked(mark, hold=300_000):
    return MARKED % {"mark": mark, "hold": hold}


async def until(claim):
    async with asyncio.timeout(SOON):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_message_that_waits_ends_on_the_cfg_it_began_with(running, peer):
    cfg, phone = await running(marked("old")), await peer()
    phone.send(phone.request("OPTIONS", "sip:held@127.0.0.1", call_id="held"), port_of(cfg.server))
    await until(lambda: held(cfg.server))
    await cfg.reload(marked("new"))
    assert await ask(phone, cfg.server, "next") == "200 new"
    message = await phone.expect("200 old")
    assert message.call_id == "held"


async def test_a_waiting_message_makes_its_transaction_on_its_own_cfg(running, peer):
    cfg, phone, callee = await running(marked("old")), await peer(), await peer()
    to = callee.uri.replace("peer@", "held@")
    phone.send(phone.request("INVITE", to), port_of(cfg.server))
    await until(lambda: held(cfg.server))
    await cfg.reload(marked("new"))
    invite = await callee.expect("INVITE")
    assert invite.header("X-Branch") == "old"
    callee.send(callee.answer(invite, 486), port_of(cfg.server))
    await phone.expect("100")
    await phone.expect("404 old")


async def test_a_transaction_ends_on_the_cfg_it_began_with(running, peer):
    cfg, phone, callee = await running(marked("old")), await peer(), await peer()
    port = port_of(cfg.server)
    phone.send(phone.request("INVITE", callee.uri), port)
    invite = await callee.expect("INVITE")
    await phone.expect("100")
    await cfg.reload(marked("new"))
    callee.send(callee.answer(invite, 183), port)
    progress = await phone.expect("183")
    assert (progress.header("X-First"), progress.header("X-Reply")) == ("old", "old")
    callee.send(callee.answer(invite, 486), port)
    await phone.expect("404 old")
    phone.send(phone.request("INVITE", callee.uri, branch="2", call_id="second"), port)
    second = await callee.expect()
    while second.call_id != "second":
        second = await callee.expect()
    assert second.header("X-Branch") == "new"


async def test_reloads_wait_for_each_other_and_the_last_one_stays(running, peer):
    cfg, phone = await running(answer_with("0")), await peer()
    await asyncio.gather(*(cfg.reload(answer_with(str(number))) for number in range(4)))
    assert cfg.server.reloads == 4
    assert await ask(phone, cfg.server) == "200 3"


class Watcher:
    """Sees each statement."""

    visits = False

    def __init__(self):
        self.lines = []

    def wants(self, action):
        return True

    def relinked(self):
        self.lines.append("relinked")

    def at(self, action, ctx):
        self.lines.append(action.span.line)

    def failed(self, ctx, error):
        pass


async def test_who_watches_the_script_goes_on_with_the_new_one(running, peer):
    cfg, phone, watcher = await running(answer_with("old")), await peer(), Watcher()
    await cfg.server.observers.add(watcher)
    await ask(phone, cfg.server, "one")
    await cfg.reload("\n\n" + answer_with("new"))
    assert await ask(phone, cfg.server, "two") == "200 new"
    assert watcher.lines == [6, "relinked", 8]
    cfg.server.observers.remove(watcher)
    assert await ask(phone, cfg.server, "three") == "200 new"
    assert watcher.lines == [6, "relinked", 8]


# Over RPC --------------------------------------------------------------------------------------------------


async def test_the_rpc_reloads_checks_and_refuses(running, peer):
    cfg, phone = await running(answer_with("old")), await peer()
    call = cfg.server.rpc.call
    cfg.text = answer_with("new", HEAD + "debug=2\n")
    asked = await call("core.reload", ["check"])
    assert (asked["reloaded"], asked["reloads"], asked["changes"]) == (0, 0, ["debug: 0 -> 2"])
    assert await ask(phone, cfg.server, "a") == "200 old"
    done = await call("core.reload")
    assert (done["reloaded"], done["reloads"]) == (1, 1)
    assert await ask(phone, cfg.server, "b") == "200 new"
    cfg.text = "request_route { nosuch(); }"
    with pytest.raises(RpcError) as caught:
        await call("core.reload")
    assert caught.value.code == 500
    assert "new.cfg:1:17: error: no function `nosuch` [KT1150]" in caught.value.message
    assert "^^^^^^" in caught.value.message
    with pytest.raises(RpcError, match="the only argument is `check`"):
        await call("core.reload", ["now"])


# Under load ------------------------------------------------------------------------------------------------

RELOADS, RATE = 20, 500


def loaded(mark):
    """Three blocks, two of them behind a wait, that each add the mark: a mixture would show."""
    return (
        HEAD
        + 'loadmodule "textops.so"\n'
        + f"""request_route {{
	$avp(said) = "{mark}";
	if ($(ci{{s.substr,-1,1}}) == "7") usleep("20000");
	route(SECOND);
	if (route_if_exists("THIRD")) exit;
}}
route[SECOND] {{ $avp(said) = $avp(said) + "/{mark}"; }}
route[THIRD] {{ sl_send_reply("200", "$avp(said)/{mark}"); exit; }}
"""
    )


async def test_no_message_is_lost_nor_mixed_while_the_cfg_is_reloaded(running, peer):
    cfg, phone = await running(loaded("0")), await peer()
    port, loop = port_of(cfg.server), asyncio.get_running_loop()
    done = asyncio.Event()

    async def reloads():
        for number in range(1, RELOADS + 1):
            await cfg.reload(loaded(str(number)))
            if number % 5 == 0:
                with pytest.raises(ConfigErrors):
                    await cfg.reload(loaded("bad").replace("usleep", "nosuch"))
        done.set()

    work = asyncio.ensure_future(reloads())
    sent, began = 0, loop.time()
    phone.wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    while not done.is_set():
        while sent < (loop.time() - began) * RATE:
            sent += 1
            phone.send(phone.request("OPTIONS", "sip:x@127.0.0.1", branch=str(sent), call_id=str(sent)), port)
        await asyncio.sleep(0.002)
    await work
    marks = {}
    for _ in range(sent):
        message = await phone.expect("200")
        marks[message.call_id] = message.data.split(b"\r\n")[0].decode().removeprefix("SIP/2.0 200 ")
    assert len(marks) == sent
    assert {mark for mark in marks.values() if len(set(mark.split("/"))) != 1} == set()
    assert len(set(marks.values())) > 3, "the reloads fell between the messages"
    assert await ask(phone, cfg.server, "last") == f"200 {RELOADS}/{RELOADS}/{RELOADS}"


def test_the_shown_module_parameters_say_whether_they_are_live():
    from kamtool.cli.manual import module_sections

    sections = {section.title: section for section in module_sections(declaration(find("maxfwd")))}
    assert sections["PARAMETERS"].entries[0][0] == "max_limit (int, default 70, changes with a reload)"


def held(server):
    """The messages that wait in a route."""
    return [task for task in server.tasks._running if task.get_name() == "request_route"]


async def test_an_old_cfg_is_let_go_once_nothing_runs_on_it(running, peer):
    cfg, phone = await running(marked("old", 2_000_000)), await peer()
    assert await ask(phone, cfg.server) == "200 old"
    route = weakref.ref(cfg.server.program.request_route)
    phone.send(phone.request("OPTIONS", "sip:held@127.0.0.1", call_id="held"), port_of(cfg.server))
    await until(lambda: held(cfg.server))
    await cfg.reload(marked("new"))
    gc.collect()
    assert route() is not None, "a message still runs on it"
    await phone.expect("200 old")
    await until(lambda: not held(cfg.server))
    gc.collect()
    assert route() is None
