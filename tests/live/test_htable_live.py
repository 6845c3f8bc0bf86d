"""htable in a running server: what one message stores another finds, and events run when they are due."""

import sqlite3

import pytest

from tests.support.server import MODULES, port_of

pytestmark = pytest.mark.live

CFG = (
    MODULES
    + """
loadmodule "db_sqlite.so"
loadmodule "htable.so"
modparam("htable", "db_url", DBURL)
modparam("htable", "timer_interval", 1)
modparam("htable", "htable", "count=>size=4;initval=0;dbtable=htable;dbmode=1;")
modparam("htable", "htable", "order=>size=4;")
modparam("htable", "htable", "short=>size=4;autoexpire=1;")
event_route[htable:mod-init] { $sht(order=>first) = "init"; }
event_route[core:worker-one-init] { $sht(order=>second) = "after " + $sht(order=>first); }
event_route[htable:expired:short] { $sht(order=>gone) = $shtrecord(key) + "=" + $shtrecord(value); }
request_route {
    sht_lock("count=>$si");
    $var(calls) = $shtinc(count=>$si);
    $sht(short=>$ci) = $var(calls);
    sht_unlock("count=>$si");
    append_to_reply("X-Calls: $var(calls)\\r\\nX-Order: $sht(order=>second)\\r\\n");
    append_to_reply("X-Gone: $sht(order=>gone)\\r\\n");
    sl_send_reply("200", "OK");
}
"""
)


async def test_messages_share_tables_and_events_run_when_due(kamtool, peer, tmp_path):
    defines = {"DBURL": f'"sqlite:///{tmp_path}/k.db"'}
    server = await kamtool(CFG, defines=defines)
    alice, port = await peer(), port_of(server)
    first = await ask(alice, port, "1")
    assert (first.header("X-Calls"), first.header("X-Order")) == ("1", "after init")
    assert (await ask(alice, port, "2")).header("X-Calls") == "2"
    calls = 2
    while (answer := await ask(alice, port, str(calls + 1))).header("X-Gone") == "<null>":
        calls += 1
        await alice.silence(0.2)
        assert calls < 60
    key, _, value = answer.header("X-Gone").partition("=")
    assert key == f"call{value}"
    assert 1 <= int(value) <= calls
    dump = await server.rpc.call("htable.dump", ["count"])
    assert dump[0]["slot"] == [{"name": "127.0.0.1", "value": calls + 1, "type": "int"}]
    await server.stop(drain=0)
    with sqlite3.connect(tmp_path / "k.db") as connection:
        rows = connection.execute("SELECT key_name, value_type, key_value FROM htable").fetchall()
    assert rows == [("127.0.0.1", 1, str(calls + 1))]
    again = await kamtool(CFG, defines=defines)
    assert (await ask(alice, port_of(again), "99")).header("X-Calls") == str(calls + 2)


async def ask(peer, port, number):
    """The answer to a request of its own Call-ID."""
    request = peer.request("OPTIONS", "sip:a@b", branch=f"b{number}", call_id=f"call{number}")
    peer.send(request, port)
    return await peer.expect("200")


LOCKED = (
    MODULES
    + """
loadmodule "cfgutils.so"
loadmodule "htable.so"
modparam("htable", "htable", "h=>size=4;initval=0;")
request_route {
    sht_lock("h=>n");
    $avp(n) = $sht(h=>n) + 1;
    usleep("5000");
    $sht(h=>n) = $avp(n);
    sht_unlock("h=>n");
    sl_send_reply("200", "OK");
}
"""
)


async def test_routes_that_wait_inside_a_lock_lose_no_count(kamtool, peer):
    server = await kamtool(LOCKED)
    alice, port = await peer(), port_of(server)
    for number in range(12):
        alice.send(alice.request("OPTIONS", "sip:a@b", branch=f"b{number}", call_id=f"call{number}"), port)
    for _ in range(12):
        await alice.expect("200")
    assert (await server.rpc.call("htable.get", ["h", "n"]))["item"]["value"] == 12
