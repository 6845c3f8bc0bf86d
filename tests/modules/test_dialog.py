"""dialog: calls from INVITE to BYE. Values, states and rows were recorded from Kamailio 5.6.3."""

import asyncio
import sqlite3
import time
from types import SimpleNamespace

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.dialog.profiles import Profiles
from kamtool.modules.dialog.requests import read_headers, routed
from kamtool.modules.dialog.state import Dialog, Party
from kamtool.modules.dialog.table import Table, cookie_of, hash_of, read_cookie
from kamtool.store.migrate import migrate
from tests.support.server import MODULES, port_of
from tests.support.until import until

ROUTES = """
request_route {
  if ($hdr(X-Do) != $null) { route(DO); exit; }
  if (has_totag()) { loose_route(); route(SEEN); t_relay(); exit; }
  if (is_method("CANCEL")) { t_relay(); exit; }
  $dlg_var(early) = "before";
  dlg_manage();
  $dlg_var(k) = $hdr(X-Value);
  set_dlg_profile("all");
  set_dlg_profile("caller", "$fU");
  get_profile_size("caller", "$fU", "$avp(n)");
  if ($avp(n) > 1) { sl_send_reply("486", "Enough"); exit; }
  record_route();
  t_on_failure("F");
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_relay();
}
route[SEEN] {
  append_hf("X-Seen: $DLG_status/$dlg(state)/$dlg_var(k)/$dlg_ctx(dir)/$dlg_ctx(set)\\r\\n");
  if (is_in_profile("caller", "peer")) append_hf("X-In: yes\\r\\n");
}
failure_route[F] { $shv(failure) = $dlg_var(k); }
route[DO] {
  if (!dlg_get("$hdr(X-Call)", "peer", "you")) { sl_send_reply("481", "No"); exit; }
  $var(r) = 0;
  if ($hdr(X-Do) == "bye") { $var(r) = dlg_bye("all"); }
  if ($hdr(X-Do) == "refer") { $var(r) = dlg_refer("caller", "sip:new@example.com"); }
  if ($hdr(X-Do) == "flags") {
    dlg_setflag("3"); dlg_resetflag("4");
    if (dlg_isflagset("3") && !dlg_isflagset("4")) $var(r) = 7;
  }
  if ($hdr(X-Do) == "timeout") { $var(r) = dlg_set_timeout("100"); }
  if ($hdr(X-Do) == "ka") { $var(r) = dlg_set_property("ka-src"); }
  sl_send_reply("200", "$var(r)");
}
route[LATE] { $shv(late) = $dlg_var(k); }
event_route[dialog:start] { $shv(events) = $shv(events) + " start:" + $rs + ":" + $dlg_var(k); }
event_route[dialog:end] { $shv(events) = $shv(events) + " end:" + $rm + ":" + $dlg_var(k); }
event_route[dialog:failed] { $shv(events) = $shv(events) + " failed:" + $rs; }
"""
LOAD = (
    MODULES
    + 'loadmodule "db_sqlite.so"\nloadmodule "dialog.so"\n'
    + 'modparam("dialog", "profiles_with_value", "caller")\n'
    + 'modparam("dialog", "profiles_no_value", "all")\nmodparam("pv", "shvset", "events=s:")\n'
)


class Call:
    """A server that tracks dialogs, a caller, a callee, and a call between them."""

    def __init__(self, server, caller, callee):
        self.server, self.caller, self.callee = server, caller, callee
        self.port = port_of(server)
        self.module = server.modules["dialog"]
        self.route = ""

    def to_server(self, method, **more):
        self.caller.send(self.caller.request(method, f"sip:you@127.0.0.1:{self.port}", **more), self.port)

    async def invite(self, call_id="c1", value="v", **more):
        headers = (
            f"X-Port: {self.callee.port}\r\nX-Value: {value}\r\n"
            f"Contact: <sip:alice@127.0.0.1:{self.caller.port}>\r\n"
        )
        self.to_server("INVITE", branch=f"i{call_id}", call_id=call_id, headers=headers, **more)
        return await self.callee.expect("INVITE")

    def reply(self, request, status, **more):
        contact = f"Contact: <sip:bob@127.0.0.1:{self.callee.port}>\r\n"
        self.callee.send(self.callee.answer(request, status, headers=contact, **more), self.port)

    async def answered(self, status):
        while (reply := await self.caller.expect()).status != status:
            pass
        return reply

    async def establish(self, call_id="c1", **more):
        self.reply(await self.invite(call_id, **more), 200)
        reply = await self.answered(200)
        self.route = f"Route: {reply.header('Record-Route')}\r\n"
        await self.within("ACK", call_id)
        return await self.callee.expect("ACK")

    async def within(self, method, call_id="c1", cseq=1, branch="", headers=""):
        uri = f"sip:bob@127.0.0.1:{self.callee.port}"
        self.caller.send(
            self.caller.request(
                method, uri, branch=branch or f"{method}{call_id}{cseq}", cseq=cseq, to_tag="you",
                call_id=call_id, headers=self.route + headers,
            ),
            self.port,
        )  # fmt: skip

    async def bye(self, call_id="c1"):
        await self.within("BYE", call_id, cseq=2)
        request = await self.callee.expect("BYE")
        self.reply(request, 200)
        await self.answered(200)
        return request

    async def do(self, what, call_id="c1"):
        """Have the script do something to a call; its return code."""
        headers = f"X-Do: {what}\r\nX-Call: {call_id}\r\n"
        self.to_server("OPTIONS", branch=f"do{what}", call_id=f"do{what}", headers=headers)
        while (reply := await self.caller.expect()).is_request:
            self.caller.inbox.put_nowait(reply)
            await asyncio.sleep(0)
        return reply.data.split(b"\r\n")[0].decode().removeprefix("SIP/2.0 ")

    def stats(self):
        names = ("active", "early", "processed", "expired", "failed")
        return [self.server.stats[f"dialog:{name}_dialogs"] for name in names]

    def events(self):
        return self.shared("events").split()

    def shared(self, name):
        variable = self.server.variable(f"$shv({name})")
        return variable.get(SimpleNamespace(host=self.server))

    def later(self, seconds):
        """As if so much time had gone by."""
        self.module.table.sweep(self.server.now() + seconds, self.module.overdue)

    async def rpc(self, method, *params):
        return await self.server.rpc.call(method, params)


@pytest.fixture
def calls(kamtool, peer):
    async def start(extra="", **defines):
        server = await kamtool(LOAD + extra + ROUTES, **defines)
        return Call(server, await peer(), await peer())

    return start


async def test_a_call_is_counted_from_its_ringing_to_its_bye(calls):
    call = await calls()
    invite = await call.invite()
    assert call.stats() == [0, 0, 0, 0, 0]
    call.reply(invite, 180)
    await call.answered(180)
    assert call.stats() == [1, 1, 0, 0, 0]
    call.reply(invite, 200)
    reply = await call.answered(200)
    assert call.stats() == [1, 0, 1, 0, 0]
    call.route = f"Route: {reply.header('Record-Route')}\r\n"
    await call.within("ACK")
    ack = await call.callee.expect("ACK")
    assert (ack.header("X-Seen"), ack.header("X-In")) == ("4/4/v/1/1", "yes")
    assert (await call.bye()).header("X-Seen") == "5/5/v/1/1"
    assert call.stats() == [0, 0, 1, 0, 0]
    assert call.events() == ["start:200:v", "end:BYE:v"]
    call.later(6)
    assert len(call.module.table) == 0


async def test_a_refused_call_fails(calls):
    call = await calls()
    call.reply(await call.invite(), 486)
    await call.answered(486)
    assert call.stats() == [0, 0, 1, 0, 1]
    assert call.events() == ["failed:486"]
    assert await call.rpc("dlg.profile_get_size", "all") == 0


async def test_the_record_route_holds_the_cookie_and_finds_the_dialog(calls):
    call = await calls()
    invite = await call.invite()
    dialog = next(iter(call.module.table))
    assert invite.header("Record-Route").endswith(f";did={cookie_of(dialog)}>")
    assert read_cookie(cookie_of(dialog)) == (dialog.hash_entry, dialog.hash_id)


async def test_without_the_cookie_only_the_other_modes_find_it(calls):
    call = await calls()
    await call.establish()
    call.route = call.route.partition(";did=")[0] + ">\r\n"
    await call.within("INFO", cseq=2)
    assert (await call.callee.expect("INFO")).header("X-Seen") == "<null>/4/v/0/0"
    call = await calls('modparam("dialog", "dlg_match_mode", 2)\n')
    await call.establish()
    assert ";did=" not in call.route
    await call.within("INFO", cseq=2)
    assert (await call.callee.expect("INFO")).header("X-Seen") == "4/4/v/1/1"


async def test_a_cookie_with_other_tags_finds_nothing(calls):
    call = await calls()
    await call.establish()
    text = call.caller.request(
        "BYE", "sip:bob@127.0.0.1:9", branch="x", cseq=2, to_tag="wrong", call_id="c1", headers=call.route
    )
    call.caller.send(text, call.port)
    await until(lambda: call.server.stats["core:rcv_requests"] >= 3)
    assert call.stats()[0] == 1


async def test_a_profile_limits_the_calls_and_a_refused_one_is_not_counted(calls):
    call = await calls()
    await call.establish()
    for number in (2, 3):
        headers = f"X-Port: {call.callee.port}\r\n"
        call.to_server("INVITE", branch=f"i{number}", call_id=f"c{number}", headers=headers)
        await call.answered(486)
        assert await call.rpc("dlg.profile_get_size", "caller", "peer") == 1
    await call.bye()
    assert await call.rpc("dlg.profile_get_size", "caller") == 0
    await call.establish("c4")


async def test_dlg_bye_ends_the_call_at_both_sides(calls):
    call = await calls('modparam("dialog", "dlg_extra_hdrs", "X-Why: because\\r\\n")\n')
    await call.establish()
    assert await call.do("bye") == "200 1"
    to_caller, to_callee = await call.caller.expect("BYE"), await call.callee.expect("BYE")
    assert (to_caller.from_tag, to_caller.to_tag, to_caller.cseq) == ("you", "peer", 1)
    assert (to_callee.from_tag, to_callee.to_tag, to_callee.cseq) == ("peer", "you", 2)
    assert to_caller.uri == f"sip:alice@127.0.0.1:{call.caller.port}"
    assert to_callee.uri == f"sip:bob@127.0.0.1:{call.callee.port}"
    assert to_caller.header("X-Why") == to_callee.header("X-Why") == "because"
    assert call.events()[-1] == "end:OPTIONS:v"


async def test_a_timeout_runs_the_route_and_sends_bye(calls):
    extra = 'modparam("dialog", "default_timeout", 50)\nmodparam("dialog", "send_bye", 1)\n'
    call = await calls(extra)
    await call.establish(value="t")
    dialog = next(iter(call.module.table))
    dialog.timeout_route = "LATE"
    call.later(40)
    assert call.stats()[3] == 0
    call.later(52)
    await call.caller.expect("BYE")
    await call.callee.expect("BYE")
    assert call.shared("late") == "t"
    assert call.stats() == [0, 0, 1, 1, 0]


async def test_a_request_in_the_dialog_begins_its_lifetime_anew(calls):
    call = await calls('modparam("dialog", "default_timeout", 50)\n')
    await call.establish()
    dialog = next(iter(call.module.table))
    dialog.data["dialog.until"] = dialog.deadline = call.server.now() + 5
    await call.within("INFO", cseq=2)
    await call.callee.expect("INFO")
    assert dialog.deadline > call.server.now() + 40
    assert await call.do("timeout") == "200 1"
    assert dialog.deadline > call.server.now() + 90


async def test_a_call_without_its_ack_has_little_time(calls):
    call = await calls()
    call.reply(await call.invite(), 200)
    await call.answered(200)
    call.later(61)
    assert call.stats()[3] == 0
    call.later(75)
    await until(lambda: call.stats()[3] == 1)


async def test_a_call_nobody_answers_is_forgotten(calls):
    call = await calls('modparam("dialog", "early_timeout", 100)\n')
    call.reply(await call.invite(), 180)
    await call.answered(180)
    call.later(102)
    assert (len(call.module.table), call.stats()[:2]) == (0, [0, 0])


async def test_a_keep_alive_that_finds_nobody_ends_the_call(calls):
    call = await calls()
    await call.establish()
    assert await call.do("ka") == "200 1"
    dialog = next(iter(call.module.table))
    call.module.keep_alive()
    asked = await call.caller.expect("OPTIONS")
    assert (asked.from_tag, asked.to_tag, asked.cseq) == ("you", "peer", 1)
    call.caller.send(call.caller.answer(asked, 481), call.port)
    await until(lambda: dialog.deadline < call.server.now() + 11)


async def test_keep_alives_may_fail_as_often_as_the_limit_says(calls):
    call = await calls('modparam("dialog", "ka_failed_limit", 2)\n')
    await call.establish()
    dialog = next(iter(call.module.table))
    call.module.kept(dialog, "caller", 408)
    call.module.kept(dialog, "caller", 200)
    call.module.kept(dialog, "caller", 408)
    assert dialog.deadline > call.server.now() + 11
    call.module.kept(dialog, "caller", 481)
    assert dialog.deadline < call.server.now() + 11


async def test_dlg_refer_sends_the_caller_elsewhere(calls):
    call = await calls()
    await call.establish()
    assert await call.do("refer") == "200 1"
    refer = await call.caller.expect("REFER")
    assert refer.header("Refer-To") == "<sip:new@example.com>"
    call.caller.send(call.caller.answer(refer, 202), call.port)
    await call.caller.expect("BYE")
    await call.callee.expect("BYE")


async def test_dlg_bridge_invites_refers_and_ends(calls):
    call = await calls()
    await call.rpc("dlg.bridge_dlg", f"sip:bob@127.0.0.1:{call.callee.port}", "sip:carol@example.com")
    invite = await call.callee.expect("INVITE")
    assert b"0.0.0.0" in invite.body
    call.reply(invite, 200)
    ack = await call.callee.expect("ACK")
    assert (ack.cseq, ack.to_tag) == (invite.cseq, "you")
    refer = await call.callee.expect("REFER")
    assert refer.header("Refer-To") == "<sip:carol@example.com>"
    call.reply(refer, 202)
    assert (await call.callee.expect("BYE")).cseq == 3


async def test_flags_are_set_tested_and_cleared(calls):
    call = await calls()
    await call.establish()
    assert await call.do("flags") == "200 7"
    assert next(iter(call.module.table)).sflags == 8
    assert (await call.do("flags", "nowhere")) == "481 No"


async def test_a_flag_begins_a_dialog_as_dlg_manage_does(kamtool, peer):
    server = await kamtool(
        LOAD + 'modparam("dialog", "dlg_flag", 4)\nrequest_route { setflag(4); record_route();'
        ' $du = "sip:127.0.0.1:" + $hdr(X-Port); t_relay(); }'
    )
    call = Call(server, await peer(), await peer())
    assert ";did=" in (await call.invite()).header("Record-Route")
    assert len(call.module.table) == 1


async def test_a_spiral_is_one_dialog(calls):
    call = await calls()
    await call.invite()
    call.to_server("INVITE", branch="again", headers=f"X-Port: {call.callee.port}\r\n", call_id="c1")
    await call.callee.expect("INVITE")
    assert len(call.module.table) == 1


async def test_the_control_plane_lists_and_ends_calls(calls):
    call = await calls()
    await call.establish()
    (tree,) = await call.rpc("dlg.list")
    assert tree["caller"] == {
        "tag": "peer", "contact": f"sip:alice@127.0.0.1:{call.caller.port}", "cseq": "1", "route_set": "",
        "socket": f"udp:127.0.0.1:{call.port}",
    }  # fmt: skip
    assert (tree["state"], tree["lifetime"], tree["callee"]["tag"]) == (4, 43200, "you")
    assert tree["profiles"] == [{"caller": "peer"}, "all"]
    assert tree["variables"] == [{"k": "v"}, {"early": "before"}]
    (brief,) = await call.rpc("dlg.briefing", "cs")
    assert (brief["call-id"], brief["state"]) == ("c1", 4)
    counts = {"starting": 0, "connecting": 0, "answering": 0, "ongoing": 1, "all": 1}
    assert await call.rpc("dlg.stats_active") == counts
    assert await call.rpc("dlg.is_alive", "c1", "peer", "you") == "Alive"
    assert len(await call.rpc("dlg.list_match", "furi", "sw", "sip:peer@")) == 1
    for wrong, code in ((("zz", "eq", "x"), 500), (("furi", "zz", "x"), 500), (("furi", "eq", "x"), 404)):
        with pytest.raises(RpcError) as error:
            await call.rpc("dlg.list_match", *wrong)
        assert error.value.code == code
    with pytest.raises(RpcError, match="Profile not found: nope"):
        await call.rpc("dlg.profile_list", "nope")
    await call.rpc("dlg.end_dlg", tree["h_entry"], tree["h_id"], "X-Extra: 1\\r\\n")
    assert (await call.caller.expect("BYE")).header("X-Extra") == "1"
    await call.callee.expect("BYE")
    with pytest.raises(RpcError, match="Dialog not found"):
        await call.rpc("dlg.end_dlg", 1, 1)


async def test_set_state_five_forgets_a_call_silently(calls):
    call = await calls()
    await call.establish()
    assert await call.rpc("dlg.set_state", "c1", "peer", "you", 5) == "Done"
    assert (call.stats()[0], len(call.module.table)) == (0, 0)
    assert call.events() == ["start:200:v"]


async def test_a_reinvite_moves_the_target_of_bye(calls):
    call = await calls()
    await call.establish()
    await call.within("INVITE", cseq=2, headers="Contact: <sip:alice@127.0.0.1:9>\r\n")
    invite = await call.callee.expect("INVITE")
    dialog = next(iter(call.module.table))
    assert dialog.caller.contact == "sip:alice@127.0.0.1:9"
    moved = "Contact: <sip:bob@127.0.0.1:8>\r\n"
    call.callee.send(call.callee.answer(invite, 200, headers=moved), call.port)
    await call.answered(200)
    assert dialog.callee.contact == "sip:bob@127.0.0.1:8"


def database_cfg(path, mode=1):
    return f'modparam("dialog", "db_url", "sqlite:///{path}")\nmodparam("dialog", "db_mode", {mode})\n'


def rows(path, sql):
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("mode", [1, 2, 3])
async def test_calls_outlive_a_restart(calls, tmp_path, mode):
    path = tmp_path / "d.db"
    call = await calls(database_cfg(path, mode))
    await call.establish(value="kept")
    dialog = next(iter(call.module.table))
    await call.server.stop()
    ((call_id, state, cseq, sock, extra),) = rows(
        path, "SELECT callid, state, caller_cseq, caller_sock, xdata FROM dialog"
    )
    assert (call_id, state, cseq, sock) == ("c1", 4, "1", f"udp:127.0.0.1:{call.port}")
    assert '"name":"caller","value":"peer"' in extra
    again = await calls(database_cfg(path, mode))
    (known,) = again.module.table
    assert (known.hash_entry, known.hash_id) == (dialog.hash_entry, dialog.hash_id)
    assert (known.variables, again.stats()[0]) == ({"early": "before", "k": "kept"}, 1)
    assert await again.rpc("dlg.profile_get_size", "caller", "peer") == 1
    again.caller, again.callee = call.caller, call.callee
    again.route = call.route.replace(str(call.port), str(again.port))
    assert (await again.bye()).header("X-Seen") == "5/5/kept/1/1"
    await again.server.stop()
    assert rows(path, "SELECT count(*) FROM dialog") == [(0,)]
    assert rows(path, "SELECT count(*) FROM dialog_vars") == [(0,)]


async def test_of_several_workers_each_takes_its_own_calls(calls):
    call = await calls()
    call.server.team = SimpleNamespace(size=2)
    taken = [call.module._adopt_own(made(f"c{n}", n, state=4, callee=Party("tt")), 100) for n in range(40)]
    assert 0 < sum(taken) < 40
    call.server.team = None
    assert all(call.module._adopt_own(made(f"d{n}", n, state=4, callee=Party("tt")), 100) for n in range(40))


async def test_a_dialog_of_another_server_is_read_when_asked_for(calls, tmp_path):
    path = tmp_path / "d.db"
    migrate(path)
    call = await calls(database_cfg(path))
    with sqlite3.connect(path) as connection:
        names = (
            "hash_entry, hash_id, callid, from_uri, from_tag, to_uri, to_tag, caller_cseq, callee_cseq, "
            "caller_contact, callee_contact, caller_sock, callee_sock, state, start_time, timeout, req_uri"
        )
        values = (
            hash_of("x1", 4096), 7, "x1", "sip:a@x", "ft", "sip:b@x", "tt", "1", "0", "sip:a@127.0.0.1",
            "sip:b@127.0.0.1", "udp:127.0.0.1:5060", "udp:127.0.0.1:5060", 4, int(time.time()),
            int(time.time()) + 100, "sip:b@x",
        )  # fmt: skip
        connection.execute(f"INSERT INTO dialog ({names}) VALUES ({', '.join('?' * len(values))})", values)
    assert await call.module.dlg_db_load_callid(None, "other") is False
    assert await call.module.dlg_db_load_callid(None, "x1") is True
    assert await call.module.dlg_db_load_extra(None) is False  # nothing that is not known
    (tree,) = await call.rpc("dlg.dlg_list", "x1", "ft")
    assert (tree["state"], tree["callee"]["tag"]) == (4, "tt")


# Without sockets


def made(call_id="c", number=1, **more):
    return Dialog(
        hash_of(call_id, 4096), number, call_id, "sip:a@x", "sip:b@x", "sip:b@x", Party("ft"), **more
    )


def test_slots_and_cookies_are_kamailios():
    assert [hash_of(text, 4096) for text in ("c1", "c2", "b2")] == [3943, 3940, 3716]
    assert cookie_of(Dialog(3943, 5214, "c1", "", "", "", Party())) == "76f.e541"
    assert read_cookie("76f.e541") == (3943, 5214)
    for wrong in ("", ".", "1", "1.", ".1", "g.1", "1.-1", "1.1.1", "123456789.1", "+1.1", "1_1.1"):
        assert read_cookie(wrong) is None


def test_deadlines_may_move_both_ways():
    table, due = Table(4096), []
    one, two = made(number=1), made(number=2)
    for dialog in (one, two):
        table.add(dialog)
        table.expect(dialog, 100.0)
    table.expect(one, 200.0)
    table.expect(two, 50.0)
    table.sweep(60.0, due.append)
    assert due == [two]
    table.sweep(150.0, due.append)
    assert due == [two]
    table.sweep(202.0, due.append)
    assert due == [two, one]


def test_a_removed_dialog_is_never_due():
    table, due = Table(4096), []
    dialog = made()
    table.add(dialog)
    table.expect(dialog, 10.0)
    table.remove(dialog)
    table.remove(dialog)
    table.sweep(100.0, due.append)
    assert (due, len(table), table.of_call("c")) == ([], 0, [])


def test_profiles_count_dialogs_here_and_elsewhere():
    profiles, dialog = Profiles(), made()
    profiles.define("caller ; callee", valued=True)
    profiles.define("all", valued=False)
    profiles.add(dialog, "caller", "alice")
    profiles.add(dialog, "caller", "alice")
    profiles.add(dialog, "all", "ignored")
    profiles.add_remote("caller", "alice", "k1", 50)
    assert (profiles.size("caller"), profiles.size("caller", "alice"), profiles.size("all", "x")) == (3, 3, 1)
    assert profiles.members("caller") == [dialog]
    assert profiles.discard(dialog, "caller", "alice")
    assert not profiles.discard(dialog, "caller", "bob")
    profiles.expire(51)
    assert profiles.size("caller", "alice") == 1
    profiles.leave(dialog)
    assert (profiles.size("caller"), profiles.size("all"), dialog.profiles) == (0, 0, [])
    with pytest.raises(ConfigError):
        profiles.define("caller", valued=False)


def test_a_route_set_of_strict_routers_is_turned_round():
    """RFC 3261 12.2.1.1."""
    loose = routed("sip:b@x", "<sip:p1;lr>,<sip:p2;lr>")
    assert loose == ("sip:b@x", [("Route", "<sip:p1;lr>"), ("Route", "<sip:p2;lr>")], "sip:p1;lr")
    strict = routed("sip:b@x", "<sip:p1>,<sip:p2;lr>")
    assert strict == ("sip:p1", [("Route", "<sip:p2;lr>"), ("Route", "<sip:b@x>")], "sip:p1")
    assert routed("sip:b@x", "") == ("sip:b@x", [], "")


def test_header_lines_are_read_with_their_line_ends_spelled_or_real():
    assert read_headers("A: 1\\r\\nB:2\r\n") == [("A", "1"), ("B", "2")]
    with pytest.raises(ValueError, match="no header line"):
        read_headers("nothing")


@pytest.mark.parametrize(
    ("name", "value"),
    [("hash_size", 1000), ("dlg_match_mode", 3), ("db_mode", 4), ("ka_interval", 10), ("dlg_flag", 32),
     ("enable_dmq", 1), ("event_callback", "f"), ("dlg_extra_hdrs", "x"), ("profiles_no_value", "a b")],
)  # fmt: skip
def test_what_cannot_work_is_refused(name, value):
    from kamtool.modules.dialog import DialogModule

    module = DialogModule(SimpleNamespace(modules={}, stats={}))
    module.set_param(name, value)
    assert [error.code for error in module.verify(None)] == ["KT1201"]
