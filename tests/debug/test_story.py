# ruff: noqa: E501
"""`kamtool explain`: twenty planted failures, and the line and the value that decided each."""

import pytest

from kamtool.debug.offline.server import Offline
from kamtool.debug.watching import Watching
from kamtool.errors import RpcError
from kamtool.script import load
from kamtool.sip.flow import Address

MODULES = "#!KAMAILIO\n" + "".join(
    f'loadmodule "{name}.so"\n'
    for name in (
        "tm", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "usrloc", "registrar", "auth", "pike",
        "permissions", "htable", "sanity", "cfgutils", "tmx", "db_sqlite", "auth_db",
    )
)  # fmt: skip
PARAMS = """
modparam("usrloc", "db_mode", 0)
modparam("pike", "reqs_density_per_unit", 3)
modparam("tm", "fr_timer", 2000)
modparam("htable", "htable", "banned=>size=4;")
modparam("auth_db", "db_url", "sqlite:///x/k.db")
modparam("auth_db", "password_column", "password")
modparam("auth_db", "calculate_ha1", 1)
modparam("permissions", "db_url", "sqlite:///x/k.db")
"""
ALICE = Address("192.0.2.10", 5060)
BOB = Address("192.0.2.20", 5060)


def request(method="INVITE", uri="sip:bob@192.0.2.20", *, mf=70, headers="", from_="alice", to_tag="", n=1):
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKx{n}\r\n"
        f"From: <sip:{from_}@192.0.2.1>;tag=a\r\nTo: <sip:bob@192.0.2.1>{tag}\r\nCall-ID: call\r\n"
        f"CSeq: {n} {method}\r\nMax-Forwards: {mf}\r\n{headers}Content-Length: 0\r\n\r\n"
    ).encode()


def answer(sent, status, reason):
    """A callee's response to what the server sent it."""
    head = sent.data.decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    kept = [x for x in head if x.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    kept = [x + ";tag=b" if x.startswith("To:") and "tag=" not in x else x for x in kept]
    return "\r\n".join([f"SIP/2.0 {status} {reason}", *kept, "Content-Length: 0", "", ""]).encode()


class Scene:
    """A server that keeps its history, and what happens to it."""

    def __init__(self, cfg, **options):
        self.cfg = MODULES + PARAMS + cfg
        self.offline = Offline(load(self.cfg, name="edge.cfg"), **options)
        self.watching = Watching(self.offline.server)
        self.offline.start()
        self.offline.rpc("debug.history", [100])

    def send(self, data, source=ALICE):
        return self.offline.receive(data, self.offline.flow(source))

    def story(self, number=-1):
        return self.offline.rpc("debug.explain", ["call"])[number]

    def line_of(self, text):
        return next(n for n, line in enumerate(self.cfg.split("\n"), 1) if text in line)


def authorized(scene, user, password, method="REGISTER"):
    """The request once more, with an answer to the challenge."""
    import hashlib
    import re

    sent = scene.send(request(method, "sip:192.0.2.1", from_=user))
    nonce = re.search(rb'nonce="([^"]+)"', sent[0].data)[1].decode()

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    given = md5(f"{md5(f'{user}:home:{password}')}:{nonce}:{md5(f'{method}:sip:192.0.2.1')}")
    header = (
        f'Authorization: Digest username="{user}", realm="home", nonce="{nonce}", uri="sip:192.0.2.1", '
        f'response="{given}"\r\n'
    )
    return scene.send(request(method, "sip:192.0.2.1", from_=user, headers=header, n=2))


AUTH = """request_route {
  route(AUTH);
  sl_send_reply("200", "OK");
}
route[AUTH] {
  if (!auth_check("home", "subscriber", "0")) {
    auth_challenge("home", "0");
    exit;
  }
}"""
RELAY = """request_route {
  if (is_method("CANCEL")) { exit; }
  route(RELAY);
}
route[RELAY] {
  if (!t_relay()) {
    sl_reply_error();
  }
  exit;
}"""
ROWS = {"subscriber": [{"username": "alice", "domain": "192.0.2.1", "password": "secret"}]}


def one(**more):
    return lambda scene: scene.send(request(**more))


def busy(scene):
    (_, sent) = scene.send(request())
    scene.offline.receive(answer(sent, 486, "Busy Here"), scene.offline.flow(BOB))


def silent(scene):
    scene.send(request())
    scene.offline.wait(10)


def flood(scene):
    for n in range(9):
        scene.send(request("OPTIONS", n=n + 1))


def busy_behind(scene):
    (_, sent) = scene.send(request())
    scene.offline.receive(answer(sent, 486, "Busy Here"), scene.offline.flow(BOB))


FAILURES = {
    "wrong password": (AUTH, lambda s: authorized(s, "alice", "wrong"), 401, "if (!auth_check", -2, "the password is wrong"),
    "unknown user": (AUTH, lambda s: authorized(s, "zoe", "secret"), 401, "if (!auth_check", -3, "no such user"),
    "no credentials": (AUTH, one(method="REGISTER", uri="sip:192.0.2.1"), 401, "if (!auth_check", -5, "no credentials"),
    "max forwards": (
        'request_route {\n if (!mf_process_maxfwd_header("10")) {\n  sl_send_reply("483", "Too Many Hops");\n  exit;\n }\n}',
        one(mf=0), 483, "if (!mf_process", -1, "used up",
    ),
    "pike": (
        "request_route {\n if (!pike_check_req()) {\n  exit;\n }\n sl_send_reply(\"200\", \"OK\");\n}",
        flood, 0, "if (!pike_check_req", -1, "sent too much",
    ),
    "permission": (
        'request_route {\n if (!allow_source_address("1")) {\n  sl_send_reply("403", "Forbidden");\n  exit;\n }\n}',
        one(), 403, "if (!allow_source", -1, "not in the address table",
    ),
    "branch timeout": (RELAY, silent, 408, "t_relay", 408, "no answer came in time"),
    "no route": (RELAY, one(uri="sip:bob@nowhere.example"), 478, "t_relay", -478, "leads nowhere"),
    "busy": (RELAY, busy, 486, "t_relay", "486 Busy Here", "its answer"),
    "not registered": (
        'request_route {\n if (!lookup("location")) {\n  sl_send_reply("404", "Not Found");\n  exit;\n }\n t_relay();\n}',
        one(), 404, "if (!lookup", -1, "nobody is registered",
    ),
    "foreign domain": (
        'request_route {\n if (uri != myself) {\n  sl_send_reply("403", "Not relaying");\n  exit;\n }\n}',
        one(uri="sip:x@elsewhere.example"), 403, "if (uri != myself", "sip:x@elsewhere.example", "",
    ),
    "scanner": (
        'request_route {\n if ($ua =~ "friendly-scanner") {\n  sl_send_reply("406", "No");\n  exit;\n }\n}',
        one(headers="User-Agent: friendly-scanner\r\n"), 406, "if ($ua", "friendly-scanner", "",
    ),
    "empty user": (
        'request_route {\n if ($rU == $null) {\n  sl_send_reply("484", "Address Incomplete");\n  exit;\n }\n}',
        one(uri="sip:192.0.2.1"), 484, "if ($rU == $null", None, "",
    ),
    "banned in a hash table": (
        'request_route {\n $sht(banned=>$si) = 1;\n if ($sht(banned=>$si) != $null) {\n  send_reply("603", "Banned");\n  exit;\n }\n}',
        one(), 603, "if ($sht(banned", 1, "",
    ),
    "method": (
        'request_route {\n if (!is_method("INVITE|ACK")) {\n  sl_send_reply("405", "No");\n  exit;\n }\n}',
        one(method="OPTIONS"), 405, "if (!is_method", -1, "",
    ),
    "a way out not taken": (
        'request_route {\n if ($rU =~ "^[0-9]+$") {\n  t_relay();\n  exit;\n }\n sl_send_reply("404", "No such number");\n}',
        one(), 404, "if ($rU =~", "bob", "",
    ),
    "a case of a switch": (
        'request_route {\n switch ($rU) {\n  case "bob":\n   sl_send_reply("410", "Gone");\n   exit;\n  default:\n   exit;\n }\n}',
        one(), 410, "switch ($rU)", "bob", "",
    ),
    "outside of a dialog": (
        'request_route {\n if (has_totag()) {\n  if (!loose_route()) {\n   sl_send_reply("481", "No such dialog");\n   exit;\n  }\n }\n}',
        one(method="BYE", to_tag="zz"), 481, "if (!loose_route", -1, "does not name this server",
    ),
    "a failure route": (
        'request_route {\n t_on_failure("F");\n t_relay();\n}\nfailure_route[F] {\n'
        ' if (t_check_status("486|600")) {\n  t_reply("480", "Try later");\n }\n}',
        busy_behind, 480, "if (t_check_status", 1, "has that status",
    ),
    "the caller's condition": (
        'request_route {\n if ($fU == "alice") {\n  route(NO);\n }\n}\nroute[NO] {\n sl_send_reply("403", "Not you");\n exit;\n}',
        one(), 403, 'if ($fU == "alice")', "alice", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_explain_names_the_line_and_the_value(name):
    cfg, happens, status, line, value, means = FAILURES[name]
    scene = Scene(cfg, rows=ROWS)
    happens(scene)
    story = scene.story()
    decision = story["decision"]
    assert story["status"] == status
    assert decision["line"] == scene.line_of(line), story
    values = [each["value"] for each in decision["values"]]
    assert value in values, story
    assert means in "; ".join(each["means"] for each in decision["values"])
    scene.offline.stop()


def test_there_are_twenty():
    assert len(FAILURES) == 20


def test_why_finds_the_last_request_with_that_answer():
    scene = Scene(FAILURES["foreign domain"][0])
    for n, host in enumerate(("one.example", "two.example"), 1):
        scene.send(request(uri=f"sip:x@{host}", n=n))
    (found,) = scene.offline.rpc("debug.why", ["4xx"])
    assert found["request"] == "INVITE sip:x@two.example SIP/2.0"
    assert len(scene.offline.rpc("debug.why", ["403", 5])) == 2
    with pytest.raises(RpcError, match="answered with 486"):
        scene.offline.rpc("debug.why", ["486"])


def test_without_a_history_the_plain_program_runs_and_the_answer_says_what_to_do():
    scene = Scene(FAILURES["method"][0])
    server = scene.offline.server
    watched = server.program
    scene.offline.rpc("debug.history", [0])
    assert server.program is not watched
    assert not server.program.actions
    with pytest.raises(RpcError, match="serve --history"):
        scene.offline.rpc("debug.why", ["403"])
    with pytest.raises(RpcError, match="between 0"):
        scene.offline.rpc("debug.history", [-1])


@pytest.mark.parametrize(
    "modules", [MODULES, MODULES.replace('loadmodule "tmx.so"\n', "")], ids=["tmx", "no tmx"]
)
def test_the_story_of_a_failure_route_says_what_it_ran_for(modules, monkeypatch):
    monkeypatch.setitem(globals(), "MODULES", modules)
    scene = Scene(FAILURES["a failure route"][0])
    FAILURES["a failure route"][1](scene)
    assert scene.story()["before"] == "failure_route[F] ran because of 486 Busy Here"
    scene.offline.stop()
