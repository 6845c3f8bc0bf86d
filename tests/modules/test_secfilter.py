"""secfilter: its verdicts beside those of Kamailio 5.6.3, its lists and its RPC.

Otherwise on purpose: every Contact is judged, not the last; a user is judged without its %-escapes; an empty
row, which would match everything, is skipped; a destination is one whatever its type.
"""

import sqlite3

import pytest

from kamtool.errors import StoreError
from kamtool.store.migrate import migrate
from tests.support.server import port_of

ROWS = [
    (0, 0, "friendly-scanner"), (0, 0, "SIPcli"), (0, 1, "ps"), (0, 1, "x"), (0, 2, "bad.example.com"),
    (0, 3, "127.0.0.9"), (0, 3, "127.0.1."), (0, 4, "sipvicious"), (0, 4, "Mallory"), (1, 0, "sipcli-good"),
    (1, 1, "es"), (1, 2, "good.example.com"), (1, 3, "127.0.0.7"), (1, 4, "trusted"), (1, 4, "mallory-ok"),
    (2, 0, "555123"), (2, 0, "00900"), (0, 3, ""),
]  # fmt: skip
CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "db_sqlite.so"
loadmodule "secfilter.so"
modparam("secfilter", "db_url", "sqlite:///DATABASE")
MORE
request_route {
    if (is_method("MESSAGE")) { secf_check_sqli_all(); sl_send_reply("200", "$rc"); exit; }
    secf_check_ip(); $var(a) = $rc;
    secf_check_ua(); $var(b) = $rc;
    secf_check_from_hdr(); $var(c) = $rc;
    secf_check_to_hdr(); $var(d) = $rc;
    secf_check_contact_hdr(); $var(e) = $rc;
    secf_check_dst($rU); $var(f) = $rc;
    secf_check_country($hdr(X-C)); $var(g) = $rc;
    secf_check_sqli_hdr($hdr(X-S)); $var(h) = $rc;
    sl_send_reply("200", "VERDICTS");
}
""".replace(
    "VERDICTS",
    "ip=$var(a) ua=$var(b) from=$var(c) to=$var(d) contact=$var(e) dst=$var(f) country=$var(g) sqli=$var(h)",
)
USUAL = {
    "method": "OPTIONS", "ua": "x", "from": "<sip:a@h>", "to": "<sip:b@h>", "contact": "<sip:a@h>",
    "dst": "u", "country": "de", "sqli": "ok",
}  # fmt: skip
VERDICTS = [
    ("ua", "friendly-scanner/1", -2), ("ua", "Friendly-Scanner", -2), ("ua", "a friendly-scanner", 1),
    ("ua", "sipcli", -2), ("ua", "sipcli-good/2", 2), ("ua", None, 1),
    ("from", "<sip:sipvicious7@h>", -2), ("from", "<sip:SIPVICIOUS@h>", -2),
    ("from", '"sipvicious" <sip:a@h>', -4), ("from", "sipvicious <sip:a@h>", -4),
    ("from", "<sip:a@bad.example.com>", -3), ("from", "<sip:a@bad.example.com.org>", -3),
    ("from", "<sip:a@x.bad.example.com>", 1), ("from", "<sip:trusted@bad.example.com>", 2),
    ("from", "<sip:sipvicious@good.example.com>", -2), ("from", '"trusted" <sip:sipvicious@h>', 4),
    ("from", '"mallory" <sip:trusted@h>', 2), ("from", "<sip:mallory-ok@h>", 2), ("from", "<sip:h>", 1),
    ("from", '"x" <tel:+123>', 1), ("from", '"mallory" <sip:sipvicious@h>', -2),
    ("from", '"mallory" <sip:a@good.example.com>', -4), ("from", '"trusted" <sip:trusted@h>', 4),
    ("from", "<sip:trusted@good.example.com>", 2), ("from", "<sip:sip%76icious@h>", -2),
    ("to", "<sip:sipvicious@h>", -2), ("to", '"Mallory" <sip:b@h>', -4),
    ("to", "<sip:b@bad.example.com>", -3),
    ("to", "<sip:b@good.example.com>", 3), ("to", '"trusted" <sip:b@h>', 4),
    ("contact", None, 1), ("contact", "*", 1), ("contact", "<sip:sipvicious@h>", -2),
    ("contact", '"sipvicious" <sip:a@h>', 1), ("contact", "<sip:a@bad.example.com:5>", -3),
    ("contact", "<sip:trusted@h>", 2), ("contact", "<sip:a@good.example.com>", 3),
    ("contact", "<sip:a@h>, <sip:sipvicious@h>", -2), ("contact", "<sip:sipvicious@h>, <sip:trusted@h>", -2),
    ("dst", "555123", -2), ("dst", "5551234", 1), ("dst", "55512", 1), ("dst", "00900", -2),
    ("country", "ps", -2), ("country", "PS", -2), ("country", "psx", -2), ("country", "ES", 2),
    ("country", "x1", -2), ("country", "e", 1),
    ("sqli", "a'b", -1), ("sqli", 'a"b', -1), ("sqli", "a--b", -1), ("sqli", "a%27b", -1),
    ("sqli", "a%24b", -1), ("sqli", "a%60b", -1), ("sqli", "a=b", 1), ("sqli", "a;b", 1), ("sqli", "a-b", 1),
    ("sqli", "select", 1), ("sqli", "a`b", 1), ("sqli", "a%22b", 1), ("sqli", "a\\b", 1),
]  # fmt: skip
INJECTIONS = [
    ("ua", "a'b"), ("from", '"a\'b" <sip:a@h>'), ("to", "<sip:a'b@h>"), ("contact", "<sip:a'b@h>"),
    ("to", '"a\'b" <sip:a@h>'),
]  # fmt: skip
HARMLESS = [
    ("ua", "Foo (bar); x=1"), ("ua", None), ("from", "<sip:a=b@h>"), ("contact", "\"a'b\" <sip:a@h>"),
    ("contact", None),
]  # fmt: skip


def message(**given):
    of = USUAL | given
    lines = [
        f"{of['method']} sip:{of['dst']}@h SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK1",
        f"From: {of['from']};tag=1", f"To: {of['to']}", "Call-ID: 1", f"CSeq: 1 {of['method']}",
        f"X-C: {of['country']}", f"X-S: {of['sqli']}",
    ]  # fmt: skip
    lines += [f"User-Agent: {of['ua']}"] * (of["ua"] is not None)
    lines += [f"Contact: {of['contact']}"] * (of["contact"] is not None)
    return "\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "kamtool.db"
    migrate(path)

    def fill(rows):
        connection = sqlite3.connect(path)
        connection.execute("DELETE FROM secfilter")
        connection.executemany("INSERT INTO secfilter (action, type, data) VALUES (?, ?, ?)", rows)
        connection.commit()
        connection.close()
        return path

    return fill


@pytest.fixture
async def start(kamtool, peer, database):
    async def begin(more="", rows=ROWS):
        path = database(rows)
        server = await kamtool(CFG.replace("MORE", more).replace("DATABASE", str(path)))
        return server, await peer()

    return begin


async def verdicts(server, alice, **given):
    alice.send(message(**given), port_of(server))
    answer = await alice.expect(200)
    return dict(item.split("=") for item in answer.reason.split())


async def test_the_verdicts_are_kamailios(start):
    server, alice = await start()
    got = [
        (what, value, int((await verdicts(server, alice, **{what: value}))[what]))
        for what, value, _ in VERDICTS
    ]
    assert got == VERDICTS


@pytest.mark.parametrize(
    ("source", "verdict"),
    [("127.0.0.9", -2), ("127.0.0.99", -2), ("127.0.0.7", 2), ("127.0.1.5", -2), ("127.0.0.1", 1)],
)
async def test_a_source_is_judged_by_how_its_address_begins(start, script_flow, source, verdict):
    server, _ = await start()
    assert server.modules["secfilter"].secf_check_ip(script_flow(source)) == verdict


@pytest.fixture
def script_flow():
    from types import SimpleNamespace

    from kamtool.sip.flow import Address, Flow

    def make(host):
        return SimpleNamespace(flow=Flow("udp", Address("127.0.0.1", 5060), Address(host, 5060)))

    return make


async def test_numbers_are_blocked_by_their_beginning_when_told_so(start):
    server, alice = await start('modparam("secfilter", "dst_exact_match", 0)')
    assert (await verdicts(server, alice, dst="5551234"))["dst"] == "-2"
    assert (await verdicts(server, alice, dst="55512"))["dst"] == "1"


async def test_what_would_end_an_sql_string_ends_the_script(start):
    server, alice = await start()
    for what, value in INJECTIONS:
        alice.send(message(method="MESSAGE", **{what: value}), port_of(server))
    for what, value in HARMLESS:
        alice.send(message(method="MESSAGE", **{what: value}), port_of(server))
        await alice.expect(200)  # and nothing for those before
    stats = server.modules["secfilter"].rpc_stats()
    assert f"[+] SQL injection  : {len(INJECTIONS)}" in stats


async def test_reload_takes_all_rows_or_none(start, database):
    server, alice = await start()
    module = server.modules["secfilter"]
    database([(0, 0, "newbot")])
    assert module.rpc_reload() == "Data reloaded"
    assert (await verdicts(server, alice, ua="newbot"))["ua"] == "-2"
    assert (await verdicts(server, alice, ua="friendly-scanner"))["ua"] == "1"
    database([(0, 0, "other"), (0, 9, "wrong")])
    with pytest.raises(Exception, match="row 2: 9 is no type"):
        module.rpc_reload()
    assert (await verdicts(server, alice, ua="newbot"))["ua"] == "-2"


async def test_a_row_that_means_nothing_refuses_the_start(start):
    with pytest.raises(StoreError, match="row 1: 5 is no action"):
        await start(rows=[(5, 0, "x")])


async def test_lists_grow_and_are_shown(start):
    server, alice = await start()
    module = server.modules["secfilter"]
    assert module.rpc_add_bl("ua", "foo") == "Values (ua, foo) inserted into blacklist"
    assert module.rpc_add_wl("user", "friend") == "Values (user, friend) inserted into whitelist"
    module.rpc_add_dst("999")
    assert (await verdicts(server, alice, ua="foobar", dst="999", to="<sip:friend@h>")) == {
        "ip": "1", "ua": "-2", "from": "1", "to": "2", "contact": "1", "dst": "-2",
        "country": "1", "sqli": "1",
    }  # fmt: skip
    assert module.rpc_print("ua") == [
        "", "User-agent", "==========", "[+] Blacklisted", "    -----------", "    0001 -> friendly-scanner",
        "    0002 -> SIPcli", "    0003 -> foo", "", "[+] Whitelisted", "    -----------",
        "    0001 -> sipcli-good", "",
    ]  # fmt: skip
    assert "    0003 -> 999" in module.rpc_print("dst")
    assert "[+] By user-agent    : 1" in module.rpc_stats()
    module.rpc_stats_reset()
    assert "[+] By user-agent    : 1" not in module.rpc_stats()
    for wrong in (("nope", "x"), ("ua", "")):
        with pytest.raises(Exception, match=r"there is no type|match everything"):
            module.rpc_add_bl(*wrong)
