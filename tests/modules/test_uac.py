"""uac: From and To as Kamailio 5.6.3 changes and restores them; credentials, requests, registrations."""

import sqlite3

import pytest

from kamtool.errors import ConfigError, ParseError, RpcError
from kamtool.modules.uac.credentials import Account, challenges_of, choose, read_credential
from kamtool.modules.uac.headers import changed
from kamtool.modules.uac.hiding import hide, reveal
from kamtool.sip import digest
from kamtool.sip.message import parse
from kamtool.store.migrate import migrate
from tests.support.server import MODULES, port_of
from tests.support.until import until

LOAD = MODULES + 'loadmodule "db_sqlite.so"\nloadmodule "dialog.so"\nloadmodule "uac.so"\n'
REPLACE = """
request_route {
  if (has_totag()) { loose_route(); t_relay(); exit; }
  %s
  uac_replace_from("\\"Robin\\"", "sip:robin@gotham.org");
  uac_replace_to("sip:joker@gotham.org");
  record_route();
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_relay();
}
"""
AUTH = """
request_route {
  if (has_totag()) { loose_route(); t_relay(); exit; }
  dlg_manage();
  record_route();
  t_on_failure("AUTH");
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_relay();
}
failure_route[AUTH] {
  if (t_check_status("401|407") && %s) { t_on_failure("AUTH"); t_relay(); }
}
"""
CHALLENGE = 'Digest realm="trunk", nonce="n1", qop="auth,auth-int", algorithm=%s'


async def opened(server, caller, callee, headers=""):
    port = port_of(server)
    text = caller.request(
        "INVITE", f"sip:you@127.0.0.1:{port}", headers=f"X-Port: {callee.port}\r\n{headers}"
    )
    caller.send(text, port)
    return port, await callee.expect("INVITE")


async def answered(peer, status):
    while (reply := await peer.expect()).status != status:
        pass
    return reply


def within(caller, callee, method, route, cseq):
    return caller.request(
        method, f"sip:b@127.0.0.1:{callee.port}", branch=f"{method}{cseq}", cseq=cseq, to_tag="you",
        headers=f"Route: {route}\r\n",
    )  # fmt: skip


def upstream(callee, caller, method, route):
    text = callee.request(
        method, f"sip:a@127.0.0.1:{caller.port}", branch="up", cseq=7, to_tag="peer",
        headers=f"Route: {route}\r\n",
    )  # fmt: skip
    text = text.replace("<sip:peer@example.com>;tag=peer", "<sip:joker@gotham.org>;tag=you")
    return text.replace("<sip:you@example.com>", "<sip:robin@gotham.org>")


@pytest.mark.parametrize("how", ["", "secret", "dialog"])
async def test_a_whole_call_keeps_its_other_from_and_to(kamtool, peer, how):
    params = 'modparam("uac", "restore_dlg", 1)\n' if how == "dialog" else ""
    if how == "secret":
        params = 'modparam("uac", "restore_passwd", "secret")\n'
    server = await kamtool(LOAD + params + REPLACE % ("dlg_manage();" if how == "dialog" else ""))
    caller, callee = await peer(), await peer()
    port, invite = await opened(server, caller, callee)
    assert invite.header("From") == '"Robin" <sip:robin@gotham.org>;tag=peer'
    assert invite.header("To") == "<sip:joker@gotham.org>"
    route = invite.header("Record-Route")
    assert (";vsf=" in route) is (how != "dialog")
    callee.send(callee.answer(invite, 200), port)
    reply = await answered(caller, 200)
    assert reply.header("From") == "<sip:peer@example.com>;tag=peer"
    assert reply.header("To") == "<sip:you@example.com>;tag=you"
    for method, cseq in (("ACK", 1), ("INFO", 2)):
        caller.send(within(caller, callee, method, route, cseq), port)
        request = await callee.expect(method)
        assert (request.from_.uri, request.to.uri) == ("sip:robin@gotham.org", "sip:joker@gotham.org")
    callee.send(callee.answer(request, 200), port)
    assert (await answered(caller, 200)).from_.uri == "sip:peer@example.com"
    callee.send(upstream(callee, caller, "BYE", route), port)
    bye = await caller.expect("BYE")
    assert (bye.from_.uri, bye.to.uri) == ("sip:you@example.com", "sip:peer@example.com")
    caller.send(caller.answer(bye, 200), port)
    reply = await answered(callee, 200)
    assert (reply.from_.uri, reply.to.uri) == ("sip:joker@gotham.org", "sip:robin@gotham.org")


async def test_a_local_reply_has_the_from_that_the_caller_sent(kamtool, peer):
    cfg = 'request_route { uac_replace_from("sip:x@y"); t_newtran(); t_reply("404", "No"); }'
    server = await kamtool(LOAD + cfg)
    caller = await peer()
    caller.send(caller.request("INVITE", "sip:x@y"), port_of(server))
    assert (await caller.expect("404")).from_.uri == "sip:peer@example.com"


def proves(request, name, password, algorithm="MD5"):
    credentials = digest.parse_credentials(request.header(name))
    ha1 = digest.ha1("alice", "trunk", password, algorithm)
    return credentials.username == "alice" and credentials.proves(ha1, request.method, request.body)


@pytest.mark.parametrize(
    ("status", "algorithm", "tracked"),
    [(401, "MD5", False), (407, "SHA-256", True), (407, "MD5-sess", False)],
)
async def test_a_challenge_is_answered_and_the_call_goes_on(kamtool, peer, status, algorithm, tracked):
    params = 'modparam("uac", "credential", "alice:trunk:wonder")\n'
    params += f'modparam("dialog", "track_cseq_updates", {int(tracked)})\n'
    server = await kamtool(LOAD + params + AUTH % "uac_auth()")
    caller, callee = await peer(), await peer()
    port, invite = await opened(server, caller, callee)
    asks, gives = {
        401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")
    }[status]  # fmt: skip
    headers = f"{asks}: {CHALLENGE % algorithm}\r\n"
    callee.send(callee.answer(invite, status, headers=headers), port)
    await callee.expect("ACK")
    again = await callee.expect("INVITE")
    assert proves(again, gives, "wonder", algorithm.removesuffix("-sess"))
    assert again.branch != invite.branch
    assert again.cseq == (2 if tracked else 1)
    callee.send(callee.answer(again, 200), port)
    reply = await answered(caller, 200)
    assert reply.cseq == 1
    caller.send(within(caller, callee, "ACK", again.header("Record-Route"), 1), port)
    assert (await callee.expect("ACK")).cseq == again.cseq
    caller.send(within(caller, callee, "BYE", again.header("Record-Route"), 2), port)
    bye = await callee.expect("BYE")
    assert bye.cseq == again.cseq + 1
    callee.send(callee.answer(bye, 200), port)
    assert (await answered(caller, 200)).cseq == 2


async def test_a_challenge_without_credentials_goes_back(kamtool, peer):
    server = await kamtool(LOAD + 'modparam("uac", "credential", "alice:other:x")\n' + AUTH % "uac_auth()")
    caller, callee = await peer(), await peer()
    port, invite = await opened(server, caller, callee)
    callee.send(callee.answer(invite, 401, headers=f"WWW-Authenticate: {CHALLENGE % 'MD5'}\r\n"), port)
    assert "trunk" in (await answered(caller, 401)).header("WWW-Authenticate")


async def test_the_avps_come_first_and_may_hold_ha1(kamtool, peer):
    params = "".join(
        f'modparam("uac", "auth_{name}_avp", "$avp({name})")\n' for name in ("realm", "username", "password")
    )
    ha1 = digest.ha1("alice", "trunk", "wonder")
    route = f'''{{ $avp(realm) = "trunk"; $avp(username) = "alice"; $avp(password) = "{ha1}";'''
    cfg = AUTH.replace("request_route {", "request_route " + route) % 'uac_auth("1")'
    server = await kamtool(LOAD + params + cfg)
    caller, callee = await peer(), await peer()
    port, invite = await opened(server, caller, callee)
    callee.send(callee.answer(invite, 401, headers=f"WWW-Authenticate: {CHALLENGE % 'MD5'}\r\n"), port)
    await callee.expect("ACK")
    assert proves(await callee.expect("INVITE"), "Authorization", "wonder")


SEND = """
request_route {
  $uac_req(method) = "MESSAGE"; $uac_req(ruri) = $hdr(X-To); $uac_req(furi) = "sip:me@here";
  $uac_req(hdrs) = "X-Mine: 1\\r\\nContent-Type: text/plain\\r\\n"; $uac_req(body) = "hello";
  $uac_req(auser) = "alice"; $uac_req(apasswd) = "wonder"; $uac_req(evroute) = 1;
  $uac_req(evparam) = "p"; $uac_req(callid) = "mine";
  $var(r) = uac_req_send();
  sl_send_reply("200", "$var(r)");
}
event_route[uac:reply] {
  $var(e) = " " + $uac_req(evcode) + ":" + $uac_req(evtype) + ":" + $uac_req(evparam) + ":" + $rs;
  $shv(seen) = $shv(seen) + $var(e);
}
"""


async def test_a_script_sends_a_request_and_hears_of_its_answers(kamtool, peer):
    server = await kamtool(LOAD + 'modparam("pv", "shvset", "seen=s:")\n' + SEND)
    caller, callee = await peer(), await peer()
    port = port_of(server)
    to = f"X-To: sip:bob@127.0.0.1:{callee.port}\r\n"
    caller.send(caller.request("OPTIONS", "sip:x@y", headers=to), port)
    assert (await caller.expect("200")).reason == "1"
    first = await callee.expect("MESSAGE")
    assert (first.body, first.header("X-Mine"), first.call_id) == (b"hello", "1", "mine")
    callee.send(callee.answer(first, 401, headers=f"WWW-Authenticate: {CHALLENGE % 'MD5'}\r\n"), port)
    second = await callee.expect("MESSAGE")
    assert proves(second, "Authorization", "wonder")
    assert (second.cseq, second.from_tag) == (first.cseq + 1, first.from_tag)
    callee.send(callee.answer(second, 202), port)
    variable = server.variable("$shv(seen)")
    await until(lambda: variable.get(server_context(server)).split() == ["401:1:p:401", "202:1:p:202"])


def server_context(server):
    from kamtool.server.listen import event_context

    return event_context(server)


async def test_a_request_without_a_target_is_not_sent(kamtool, peer):
    cfg = (
        'request_route { $uac_req(all) = $null; $var(r) = uac_req_send(); sl_send_reply("200", "$var(r)"); }'
    )
    server = await kamtool(LOAD + cfg)
    caller = await peer()
    caller.send(caller.request("OPTIONS", "sip:x@y"), port_of(server))
    assert (await caller.expect("200")).reason == "-1"


REGISTER = """
request_route {
  $var(s) = uac_reg_status("$rU");
  if (is_method("INVITE")) {
    if (!uac_reg_request_to("acct", 0)) { sl_send_reply("404", "$var(s)"); exit; }
    sl_send_reply("200", "$ru $du $avp(username) $avp(password)"); exit;
  }
  $var(x) = "none";
  if (uac_reg_lookup("$rU", "$var(x)")) { $var(y) = 1; }
  sl_send_reply("200", "$var(s) $var(x)");
}
"""


@pytest.fixture
def registering(kamtool, peer, tmp_path):
    async def start(extra="", **columns):
        registrar = await peer()
        path = tmp_path / "uac.db"
        migrate(path)
        row = {
            "l_uuid": "acct", "l_username": "bob", "l_domain": "here", "r_username": "4711",
            "r_domain": "trunk", "realm": "trunk", "auth_username": "alice", "auth_password": "wonder",
            "auth_proxy": f"sip:127.0.0.1:{registrar.port}", "expires": 600, **columns,
        }  # fmt: skip
        with sqlite3.connect(path) as connection:
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO uacreg ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )
        params = f'modparam("uac", "reg_db_url", "sqlite:///{path}")\n'
        params += 'modparam("uac", "reg_contact_addr", "192.0.2.1:5060")\n'
        params += "".join(
            f'modparam("uac", "auth_{name}_avp", "$avp({name})")\n'
            for name in ("realm", "username", "password")
        )
        server = await kamtool(LOAD + params + extra + REGISTER)
        server.modules["uac"].refresh_due()
        return server, registrar

    return start


async def test_an_account_is_registered_with_its_password_and_renewed(registering, peer):
    server, registrar = await registering()
    port, module = port_of(server), server.modules["uac"]
    first = await registrar.expect("REGISTER")
    assert first.uri == "sip:trunk"
    assert (first.from_.uri, first.header("Contact")) == ("sip:4711@trunk", "<sip:acct@192.0.2.1:5060>")
    registrar.send(registrar.answer(first, 401, headers=f"WWW-Authenticate: {CHALLENGE % 'MD5'}\r\n"), port)
    second = await registrar.expect("REGISTER")
    assert proves(second, "Authorization", "wonder")
    assert second.call_id == first.call_id
    registrar.send(registrar.answer(second, 200, headers="Expires: 300\r\n"), port)
    record = module.records["acct"]
    await until(lambda: record.flags & 4)
    assert server.stats["uac:regtotal"] == 1
    caller = await peer()
    caller.send(caller.request("OPTIONS", f"sip:acct@127.0.0.1:{port}"), port)
    assert (await caller.expect("200")).reason == "1 sip:bob@here"
    (tree,) = await server.rpc.call("uac.reg_dump")
    assert (tree["auth_password"], tree["flags"] & 4) == ("***", 4)
    assert 290 < tree["diff_expires"] <= 300
    module.refresh_due()
    await registrar.silence(0.2)
    record.due_at -= 250
    module.refresh_due()
    assert (await registrar.expect("REGISTER")).cseq > second.cseq


async def test_a_wrong_password_stops_after_one_try(registering):
    server, registrar = await registering()
    port, record = port_of(server), server.modules["uac"].records["acct"]
    for _ in range(2):
        request = await registrar.expect("REGISTER")
        headers = f"WWW-Authenticate: {CHALLENGE % 'MD5'}\r\n"
        registrar.send(registrar.answer(request, 401, headers=headers), port)
    await until(lambda: record.flags & 1)
    server.modules["uac"].refresh_due()
    await registrar.silence(0.2)
    await server.rpc.call("uac.reg_enable", ["l_uuid", "acct"])
    server.modules["uac"].refresh_due()
    await registrar.expect("REGISTER")


async def test_what_failed_is_tried_again_when_that_is_wished(registering):
    server, registrar = await registering('modparam("uac", "reg_retry_interval", 60)\n')
    record = server.modules["uac"].records["acct"]
    registrar.send(registrar.answer(await registrar.expect("REGISTER"), 503), port_of(server))
    await until(lambda: not record.flags & 2)
    assert not record.flags & 1
    assert 50 < record.due_at - server.now() <= 60


async def test_a_request_goes_out_as_an_account(registering, peer):
    server, registrar = await registering()
    caller, port = await peer(), port_of(server)
    caller.send(caller.request("INVITE", f"sip:x@127.0.0.1:{port}"), port)
    wanted = f"sip:4711@trunk sip:127.0.0.1:{registrar.port} alice wonder"
    assert (await caller.expect("200")).reason == wanted


async def test_disabling_takes_the_registration_away(registering):
    server, registrar = await registering()
    port = port_of(server)
    registrar.send(registrar.answer(await registrar.expect("REGISTER"), 200), port)
    record = server.modules["uac"].records["acct"]
    await until(lambda: record.flags & 4)
    await server.rpc.call("uac.reg_disable", ["auth_username", "alice"])
    assert (await registrar.expect("REGISTER")).header("Expires") == "0"
    with pytest.raises(RpcError, match="Record not found"):
        await server.rpc.call("uac.reg_info", ["l_uuid", "nobody"])


# Without sockets


def test_the_hidden_uri_is_kamailios():
    pair = ("sip:alice@a.com", "sip:robin@gotham.org")
    assert hide(*pair, "") == "AAAAABMDCwoLAAZBFwcMbS5vcmc-"
    assert hide(*pair, "secret") == "c2VjcnZ3eG9ocmM1ZGJvH0sbAQI-"
    for password in ("", "secret"):
        hidden = hide(*pair, password)
        assert reveal(hidden, pair[0], password) == pair[1]
        assert reveal(hidden, pair[1], password) == pair[0]
    for wrong in ("", "%%%", "AAAA", "A" * 2000, "é"):
        with pytest.raises(ParseError):
            reveal(wrong, "not a uri", "")


@pytest.mark.parametrize(
    ("value", "display", "uri", "result"),
    [('"A" <sip:a@x>;tag=1', None, "sip:b@y", '"A" <sip:b@y>;tag=1'),
     ('"A" <sip:a@x>;tag=1', "", "sip:b@y", "<sip:b@y>;tag=1"),
     ("sip:a@x;tag=1", "Bob", "sip:b@y", "Bob <sip:b@y>;tag=1"),
     ('"<sip:a@x>" <sip:a@x>;tag=1', None, "sip:b@y", '"<sip:a@x>" <sip:b@y>;tag=1'),
     ("<sip:a@x>;tag=1", "a\r\nEvil: 1", "sip:b@y", "a Evil: 1 <sip:b@y>;tag=1")],
)  # fmt: skip
def test_only_what_is_asked_for_changes(value, display, uri, result):
    assert changed(value, uri, display) == result


def test_the_strongest_challenge_that_fits_is_answered():
    """RFC 8760 2.2."""
    text = "SIP/2.0 401 No\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n"
    text += "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
    text += "Call-ID: 1\r\nCSeq: 1 INVITE\r\n"
    for algorithm in ("MD5", "SHA-256", "FOO"):
        text += f'WWW-Authenticate: Digest realm="r", nonce="n", algorithm={algorithm}\r\n'
    challenges = challenges_of(parse((text + "Content-Length: 0\r\n\r\n").encode()))
    assert [challenge.algorithm for challenge in challenges] == ["SHA-256", "MD5"]
    assert choose(challenges, [Account("u", "r", "p")])[0].algorithm == "SHA-256"
    assert choose(challenges, [Account("u", "r", "p", hashed=True)])[0].algorithm == "MD5"
    assert choose(challenges, [Account("u", "other", "p")]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("restore_mode", "sometimes"), ("event_callback", "f"), ("credential", "user"),
     ("auth_realm_avp", "$avp(x)"),
     ("reg_contact_addr", "sip:x")],
)  # fmt: skip
def test_what_cannot_work_is_refused(name, value):
    from types import SimpleNamespace

    from kamtool.modules.uac import Uac

    module = Uac(SimpleNamespace(modules={}, stats={}))
    module.set_param(name, value)
    assert [error.code for error in module.verify(None)] == ["KT1201"]
    assert read_credential("a:b:c:d") == Account("a", "b", "c:d")
    with pytest.raises(ConfigError):
        read_credential("a:b")
