"""htable: tables shared by all routes. What Kamailio 5.6.3 answered to the same scripts is written here."""

import asyncio
import contextlib
import gc
import inspect
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.modules.htable import Htable
from kamtool.modules.htable.definition import read_definition
from kamtool.modules.htable.locks import Locks
from kamtool.modules.htable.slots import hash_of
from kamtool.modules.htable.table import Table
from kamtool.script.values import to_str
from tests.support.host import Host
from tests.support.script import script  # noqa: F401
from tests.support.until import SOON

TABLES = (
    'loadmodule "htable.so"',
    'modparam("htable", "htable", "h=>size=4;")',
    'modparam("htable", "htable", "d=>size=4;initval=0;autoexpire=60;")',
    'modparam("htable", "htable", "t=>size=4;autoexpire=2;updateexpire=0;")',
)


@pytest.fixture
def shown(script):  # noqa: F811
    """Run statements; what the format at the end of them says."""

    def run(statements, text):
        made = script(*TABLES, f'request_route {{ {statements} xlog("L_ERR", "{text}\\n"); }}')
        return made().log[-1]

    return run


@pytest.mark.parametrize(
    ("statements", "text", "expected"),
    [
        ('$sht(h=>a) = "x";', "$sht(h=>a) $shtex(h=>a) $shtex(h=>none) $shtex(d=>none)", "x 0 0 0"),
        ("$sht(d=>k) = 1;", "$sht(d=>k) $shtex(d=>k)", "1 60"),
        ("$sht(d=>k) = 1; $shtex(d=>k) = 10;", "$shtex(d=>k)", "10"),
        ("$sht(d=>k) = 1; $shtex(d=>k) = 0;", "$sht(d=>k) $shtex(d=>k)", "1 0"),
        ('$sht(h=>a) = "x"; $shtex(h=>a) = 7;', "$shtex(h=>a) $sht(h=>a)", "0 x"),
        ("$shtex(h=>no) = 7;", "$shtex(h=>no) $sht(h=>no)", "0 <null>"),
        ('$sht(h=>a) = "x";', "$shtinc(h=>no) $shtdec(h=>no) $shtinc(h=>a)", "<null> <null> <null>"),
        ('$sht(h=>a) = "5";', "$shtinc(h=>a) $sht(h=>a)", "<null> 5"),
        ("", "$shtinc(d=>c) $shtinc(d=>c) $shtdec(d=>e) $shtex(d=>c) $sht(d=>e)", "1 2 -1 60 -1"),
        ("", "$sht(zz=>a) $shtinc(zz=>a) $shtcn(zz=>**)", "<null> <null> <null>"),
        ('$sht(h=> sp ) = "s";', "<$sht(h=>sp)> <$sht(h=> sp)> <$sht(h=> sp )>", "<<null>> <<null>> <s>"),
        ('$sht(h=>CASE) = "u";', "$sht(h=>case)", "<null>"),
        ('$sht(h=>e) = "";', "[$sht(h=>e)] $shtcn(h=>)", "[] 0"),
        ('$sht(h=>a) = "x"; $sht(h=>a) = $null;', "$sht(h=>a) $shtcn(h=>**)", "<null> 0"),
        ('$sht(h=>$fU::n) = "u";', "$sht(h=>bob::n)", "u"),
        ('$sht(h=>bob::n) = "u";', "$sht(h=>$fU::n) $sht( h =>bob::n)", "u u"),
        (
            '$var(t) = "h"; $sht(h=>a) = "u";',
            "$sht($var(t)=>a) $sht($var(no)=>a) $sht(h=>$var(t))",
            "u <null> <null>",
        ),
        ('$sht(h=>a=>b) = "u"; $sht(h=>) = "e";', "$sht(h=>a=>b) $sht(h=>)", "u e"),
        ('$sht(h=><null>) = "u";', "$sht(h=>$avp(no))", "u"),
        ("$sht(zz=>a) = 1;", "$rc", "1"),
    ],
)
def test_items_are_what_kamailio_makes_of_them(shown, statements, text, expected):
    assert shown(statements, text) == expected


@pytest.mark.parametrize(
    ("expression", "names", "values"),
    [
        ("re^a", 0, 0),
        ("~~^a", 2, 0),
        ("~~^x", 0, 2),
        ("~%a", 1, 0),
        ("~%x", 0, 2),
        ("%~b", 1, 0),
        ("%~x", 0, 2),
        ("==a", 1, 0),
        ("==x", 0, 1),
        ("==5", 0, 1),
        ("eq5", 0, 1),
        ("**", 6, 6),
        ("", 0, 0),
        ("zz", 0, 0),
    ],
)
def test_counting_by_name_and_by_value(shown, expression, names, values):
    items = (
        '$sht(h=>init)="i"; $sht(h=>a)="x"; $sht(h=>b)=5; $sht(h=>ab)="xx"; $sht(h=>n)="5"; $sht(h=>neg)=-3;'
    )
    assert shown(items, f"$shtcn(h=>{expression}) $shtcv(h=>{expression})") == f"{names} {values}"


ITEMS = '$sht(h=>m1)="foo"; $sht(h=>m2)="bar"; $sht(h=>m3)=5; $sht(h=>m4)="5"; '


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('sht_match_name("h", "eq", "m1")', "1 4"),
        ('sht_match_name("h", "re", "^m")', "1 4"),
        ('sht_match_name("h", "sw", "m1x")', "-1 4"),
        ('sht_match_name("h", "ne", "m1")', "1 4"),
        ('sht_match_name("h", "re", "^zzz")', "-1 4"),
        ('sht_match_name("h", "xx", "m1")', "-1 4"),
        ('sht_match_name("h", "re", "(")', "-1 4"),
        ('sht_match_name("zz", "eq", "a")', "-1 4"),
        ('sht_match_str_value("h", "eq", "5")', "1 4"),
        ('sht_match_str_value("h", "sw", "fo")', "1 4"),
        ('sht_has_name("h", "eq", "none")', "-1 4"),
        ('sht_has_str_value("h", "re", "^fo")', "1 4"),
        ('sht_rm_name("h", "sw", "m3")', "1 3"),
        ('sht_rm_name("h", "eq", "m4")', "-1 4"),
        ('sht_rm_name("h", "sw", "zz")', "1 4"),
        ('sht_rm_name("h", "re", "(")', "-1 4"),
        ('sht_rm_name("zz", "re", "a")', "-1 4"),
        ('sht_rm_value("h", "re", "^ba")', "1 3"),
        ('sht_rm_value("h", "sw", "fo")', "1 3"),
        ('sht_rm_value_re("h=>^5")', "1 3"),
        ('sht_rm_name_re("h=>^m[12]$$")', "1 2"),
        ('sht_rm_name_re("h=>^nothing")', "1 4"),
        ('sht_rm_name_re("zz=>^m")', "-1 4"),
        ('sht_rm("h", "m1")', "1 3"),
        ('sht_rm("h", "absent")', "1 4"),
        ('sht_rm("zz", "a")', "-1 4"),
        ('sht_reset("h")', "1 0"),
        ('sht_reset("zz")', "-1 4"),
        ('sht_lock("h=>a")', "1 4"),
        ('sht_unlock("h=>a")', "1 4"),
        ("sht_print()", "1 4"),
        ('sht_setxs("h", "m5", "v", "30")', "1 5"),
        ('sht_setxi("d", "m5", "9", "30")', "1 4"),
    ],
)
def test_functions_return_and_leave_what_kamailio_does(shown, call, expected):
    assert shown(f"{ITEMS} {call};", "$rc $shtcn(h=>**)") == expected


def test_a_value_is_set_with_its_lifetime(shown):
    statements = 'sht_setxi("d", "n", "9", "30"); sht_setxs("d", "s", "v", "31");'
    assert shown(statements, "$sht(d=>n) $shtex(d=>n) $sht(d=>s) $shtex(d=>s)") == "9 30 v 31"


def test_an_iterator_walks_over_the_items_and_changes_them(script):  # noqa: F811
    run = script(*TABLES, """request_route {
        $sht(t=>A) = "a1"; $sht(t=>b) = 2; $sht(t=>c) = "c3";
        xlog("$shtitkey(i) $shtitval(i)\\n");
        sht_iterator_next("i"); xlog("$rc\\n");
        sht_iterator_start("i", "t"); xlog("$rc $shtitkey(i)\\n");
        while (sht_iterator_next("i")) {
            xlog("$shtitkey(i) $shtitval(i)\\n");
            if ($shtitkey(i) == "A") { sht_iterator_sets("i", "new"); sht_iterator_setex("i", "100"); }
            if ($shtitkey(i) == "b") { sht_iterator_seti("i", "7"); xlog("$shtitval(i)\\n"); }
            if ($shtitkey(i) == "c") { sht_iterator_rm("i"); xlog("$rc $shtitkey(i)\\n"); }
        }
        sht_iterator_end("i"); xlog("$rc\\n");
        sht_iterator_end("i"); xlog("$rc\\n");
        xlog("$sht(t=>A) $shtex(t=>A) $sht(t=>b) $sht(t=>c)\\n");
        sht_iterator_start("j", "zz"); xlog("$rc\\n");
    }""")  # fmt: skip
    assert [line for line in run().log if "test.cfg" not in line] == [
        "<null> <null>", "-1", "1 <null>", "A a1", "b 2", "7", "c c3", "-2 <null>", "1", "-1",
        "new 100 7 <null>", "-1",
    ]  # fmt: skip


def test_an_iterator_that_removes_skips_nothing(script):  # noqa: F811
    run = script(*TABLES, """request_route {
        $sht(h=>a) = 1; $sht(h=>b) = 2; $sht(h=>c) = 3; $sht(h=>d) = 4;
        sht_iterator_start("i", "h");
        while (sht_iterator_next("i")) { if ($shtitval(i) > 1) sht_iterator_rm("i"); }
        xlog("$shtcn(h=>**) $sht(h=>a)\\n");
    }""")  # fmt: skip
    assert run().log == ["1 1"]


@pytest.mark.parametrize(
    "text",
    [
        "x", "x=>size=abc;", "x=>foo=1;", "x=>size=4;expire=4;", "x=>autoexpire=-1;", "x=>initval=abc",
        "x=>size=4;dmqreplicate=1;", "=>size=4", "x=>size=4;cols='a';dbtable=q;", "x=>dbtable=a b",
        "x=>dbtable=t;cols='a,b';dbmode=1", "x=>size=4,autoexpire=3",
    ],
)  # fmt: skip
def test_a_bad_definition_is_refused_with_its_text(text):
    with pytest.raises(ConfigError, match="htable: ") as refused:
        read_definition(text)
    assert text in str(refused.value)


def test_a_definition_is_read():
    made = read_definition("x => size=20; autoexpire=5;dbtable=q;cols='a, b,c';coldelim=':';initval=-4")
    assert (made.name, made.slots, made.autoexpire, made.dbtable) == ("x", 1 << 20, 5, "q")
    assert (made.columns, made.delimiter, made.initval) == (("a", "b", "c"), ":", -4)
    assert read_definition("x=>").slots == 16
    assert read_definition("x=>size=1;").slots == 8


@given(st.text(alphabet="=>;size0123'\",abdt ", max_size=30))
def test_any_definition_is_read_or_refused(text):
    with contextlib.suppress(ConfigError):
        assert read_definition(text).name


@pytest.mark.parametrize(
    ("name", "value"), [("enable_dmq", 1), ("dmq_init_sync", 1), ("event_callback", "ksr_htable")]
)
def test_what_kamtool_has_not_is_refused(name, value):
    module = Htable(Host())
    with pytest.raises(ConfigError, match="there is no"):
        module.set_param(name, value)


def test_two_tables_of_one_name_are_refused():
    module = Htable(Host())
    module.set_param("htable", "a=>size=4")
    with pytest.raises(ConfigError, match="two tables 'a'"):
        module.set_param("htable", "a=>size=4")


# Expiry ----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


def table(text, capacity=1 << 20):
    clock = Clock()
    return Table(read_definition(text), clock, capacity), clock


def test_an_item_expires_so_long_after_its_last_change():
    made, clock = table("t=>autoexpire=10")
    made.set("a", 1)
    clock.at += 9
    made.set("a", 2)
    clock.at += 9
    assert (made.get("a"), made.remaining("a")) == (2, 1)
    clock.at += 1
    assert (made.get("a"), len(made), made.octets) == (None, 0, 0)


def test_without_updateexpire_a_change_does_not_renew_it():
    made, clock = table("t=>autoexpire=10;updateexpire=0")
    made.set("a", 1)
    clock.at += 9
    made.add("a", 1)
    clock.at += 1
    assert made.find("a") is None
    made.set("a", 3)
    assert made.remaining("a") == 10


def test_a_table_that_is_full_takes_nothing_new_and_keeps_what_it_has():
    made, _ = table("t=>size=4", capacity=1000)
    assert [made.set(key, "x") for key in "abcd"] == [True, True, True, False]
    assert made.set("a", "y") is True
    assert made.set("a", "y" * 1000) is False
    assert made.get("a") == "y"
    made.delete("b")
    assert made.set("d", 1) is True


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=5)),
            st.integers(0, 7),
        )
    )
)
def test_octets_and_deadlines_follow_the_items(steps):
    made, clock = table("t=>autoexpire=5")
    for key, value, wait in steps:
        clock.at += wait
        if value is None:
            made.delete(key)
        else:
            made.set(key, value)
        made.expire(list(made.deadlines))
        assert set(made.deadlines) == set(made.values)
        expected = sum(251 + (len(to_str(v)) if isinstance(v, str) else 0) for v in made.values.values())
        assert made.octets == expected


async def test_the_timer_drops_what_nobody_asks_for_and_tells_the_script():
    host = Host()
    host.program = type("Program", (), {"event_routes": {"htable:expired:s": None}})
    module = await host.load("htable", htable=["s=>autoexpire=1", "q=>autoexpire=1", "h=>size=4"])
    for name in "sqh":
        module.htables[name].set("e", "v")
    await host.tick()
    assert host.events == []
    host.clock += 1.5
    await host.tick()
    assert host.events == [("htable:expired:s", {"htable.record": ("e", "v")})]
    assert [len(module.htables[name]) for name in "sqh"] == [0, 0, 1]


async def test_an_item_that_is_found_expired_is_told_of_too():
    host = Host()
    host.program = type("Program", (), {"event_routes": {"htable:expired:s": None}})
    module = await host.load("htable", htable="s=>autoexpire=1")
    module.htables["s"].set("e", 4)
    host.clock += 1.5
    assert module.htables["s"].get("e") is None
    assert host.events == [("htable:expired:s", {"htable.record": ("e", 4)})]


async def test_the_expiry_of_100_000_items_does_not_hold_up_the_loop():
    host = Host()
    module = await host.load("htable", htable="s=>autoexpire=1")
    for number in range(100_000):
        module.htables["s"].set(f"key{number}", number)
    host.clock += 2
    longest, done = 0.0, asyncio.Event()

    async def watch():
        nonlocal longest
        while not done.is_set():
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await host.tick()
    done.set()
    await watcher
    assert len(module.htables["s"]) == 0
    assert longest < 0.05


# Locks -----------------------------------------------------------------------------------------------------


class Holder:
    """A message, as far as a lock knows."""


async def test_a_locked_key_is_waited_for_and_its_holder_may_lock_it_again():
    locks, first, second, seen = Locks(), Holder(), Holder(), []
    await locks.acquire(("t", "k"), first)
    await locks.acquire(("t", "k"), first)

    async def wait():
        await locks.acquire(("t", "k"), second)
        seen.append("second")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert not locks.release(("t", "k"), second)
    locks.release(("t", "k"), first)
    await asyncio.sleep(0)
    assert seen == []
    locks.release(("t", "k"), first)
    await waiting
    assert seen == ["second"]
    locks.release(("t", "k"), second)
    assert len(locks) == 0


async def test_a_route_that_ended_holds_no_lock():
    locks, first, second = Locks(), Holder(), Holder()
    await locks.acquire(("t", "k"), first)
    waiting = asyncio.create_task(locks.acquire(("t", "k"), second))
    await asyncio.sleep(0)
    del first
    await asyncio.wait_for(waiting, SOON)
    assert len(locks) == 1
    del second, waiting
    gc.collect()
    assert len(locks) == 0


async def test_a_lock_that_is_never_given_back_is_taken_away(monkeypatch, caplog):
    monkeypatch.setattr("kamtool.modules.htable.locks.PATIENCE", 0.05)
    locks, first, second = Locks(), Holder(), Holder()
    await locks.acquire(("t", "k"), first)
    await locks.acquire(("t", "k"), second)
    assert "t=>k" in caplog.text
    assert not locks.release(("t", "k"), first)


# RPC -------------------------------------------------------------------------------------------------------


async def loaded(**params):
    host = Host()
    return host, await host.load(
        "htable", htable=["h=>size=4", "d=>size=4;initval=0;autoexpire=60", "u=>autoexpire=2;updateexpire=0"],
        **params,
    )  # fmt: skip


async def test_rpc_answers_have_kamailios_shape():
    _, module = await loaded()
    assert module.rpc_sets("h", "new", "val") == "Ok. Key set to new value."
    assert module.rpc_seti("h", "newi", 7) == "Ok. Key set to new value."
    module.rpc_seti("h", "xi", 3)
    module.rpc_sets("h", "init", "i")
    assert module.rpc_get("h", "new") == {
        "item": {"name": "new", "value": "val", "flags": 2, "expire": "NEVER"}
    }
    assert module.rpc_get("h", "xi")["item"]["flags"] == 0
    assert await module.rpc_dump("h") == [
        {"entry": 3, "size": 1, "slot": [{"name": "init", "value": "i", "type": "str"}]},
        {"entry": 4, "size": 1, "slot": [{"name": "newi", "value": 7, "type": "int"}]},
        {"entry": 5, "size": 1, "slot": [{"name": "xi", "value": 3, "type": "int"}]},
        {"entry": 11, "size": 1, "slot": [{"name": "new", "value": "val", "type": "str"}]},
    ]
    assert (await module.rpc_stats())[-1] == {"name": "h", "slots": 16, "all": 4, "min": 0, "max": 1}
    tables = module.rpc_list()
    assert [(each["name"], each["expire"], each["updateexpire"]) for each in tables] == [
        ("u", 2, 0), ("d", 60, 1), ("h", 0, 1),
    ]  # fmt: skip
    assert tables[-1] == {
        "name": "h", "dbtable": "", "dbmode": 0, "expire": 0, "updateexpire": 1, "size": 16,
        "dmqreplicate": 0,
    }  # fmt: skip
    assert module.rpc_delete("h", "new") == "Ok. Key deleted."
    assert module.rpc_flush("h") == "Ok. Htable flushed."
    assert await module.rpc_dump("h") == []


async def test_rpc_sets_lifetimes():
    _, module = await loaded()
    module.rpc_setxs("d", "s", "v", 40)
    module.rpc_setxi("d", "i", 3, 50)
    assert [module.htables["d"].remaining(key) for key in "si"] == [40, 50]
    assert module.rpc_setex("d", "s", 70) == "Ok"
    assert module.rpc_setex("d", "absent", 70) == "Ok"
    assert module.htables["d"].remaining("s") == 70
    shown = module.rpc_get("d", "s")["item"]["expire"]
    left = time.mktime(time.strptime(shown, "%Y-%m-%d %H:%M:%S")) - time.time()
    assert 60 < left <= 71


@pytest.mark.parametrize(
    ("method", "arguments", "code", "message"),
    [
        ("rpc_get", ("h", "nope"), 500, "Key name doesn't exist in htable."),
        ("rpc_get", ("zz", "a"), 500, "No such htable"),
        ("rpc_sets", ("zz", "a", "b"), 500, "No such htable"),
        ("rpc_delete", ("h", "nope"), 404, "Key not found in htable."),
        ("rpc_flush", ("zz",), 500, "No such htable"),
        ("rpc_dump", ("zz",), 500, "No such htable"),
        ("rpc_store", ("h",), 500, "No database htable"),
        ("rpc_reload", ("h",), 500, "No database htable"),
        ("rpc_reload", ("zz",), 500, "No such htable"),
    ],
)
async def test_rpc_refuses_with_kamailios_codes(method, arguments, code, message):
    _, module = await loaded()

    async def call():
        result = getattr(module, method)(*arguments)
        return await result if inspect.isawaitable(result) else result

    with pytest.raises(RpcError, match=message) as refused:
        await call()
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("key", "slot"),
    [("init", 3), ("newi", 4), ("xi", 5), ("newj", 7), ("new", 11), ("old", 12), ("badint", 12), ("s", 13),
     ("a", 13), ("em", 0), ("CASE", 12), ("arr::size", 2)],
)  # fmt: skip
def test_a_key_is_in_the_slot_where_kamailio_keeps_it(key, slot):
    assert hash_of(key) & 15 == slot


def test_the_hash_is_kamailios():
    assert [hash_of(key) for key in ("arr[0]", "arr[1]", "long", "r3", " sp ")] == [
        1835895217, 1835895505, 1643237330, 31879, 612553207,
    ]  # fmt: skip


# The database ----------------------------------------------------------------------------------------------

ROWS = (
    "('s',0,0,'str',0), ('i',0,1,'42',0), ('arr',1,0,'x',0), ('arr',1,0,'y',0), ('arr',1,1,'7',0), "
    "('badint',0,1,'abc',0), ('old',0,0,'gone',1000), ('new',0,0,'later',2000000000)"
)


async def kept(tmp_path, rows=ROWS, definition="db=>size=4;dbtable=htable;", **params):
    """A host whose htable `db` stands on a file with these rows."""
    host = Host()
    path = tmp_path / "k.db"
    database = await host.databases.open(f"sqlite:///{path}")
    if rows:
        names = "key_name, key_type, value_type, key_value, expires"
        await database.write(f"INSERT INTO htable ({names}) VALUES {rows}")
    await host.load("db_sqlite")
    params.setdefault("db_url", f"sqlite:///{path}")
    return host, await host.load("htable", htable=definition, **params), path


def stored(path):
    with sqlite3.connect(path) as connection:
        return connection.execute(
            "SELECT key_name, key_type, value_type, key_value, expires FROM htable ORDER BY key_name"
        ).fetchall()


async def test_rows_are_loaded_with_their_types(tmp_path):
    host, module, _ = await kept(tmp_path)
    assert dict(module.htables["db"].items()) == {
        "s": "str", "i": 42, "arr[0]": "x", "arr[1]": "y", "arr[2]": 7, "arr::size": 3, "badint": 0,
        "old": "gone", "new": "later",
    }  # fmt: skip
    await host.stop()


async def test_with_db_expires_what_is_over_is_not_loaded(tmp_path):
    host, module, _ = await kept(
        tmp_path, definition="db=>dbtable=htable;autoexpire=60", db_expires=1, array_size_suffix=":n"
    )
    made = module.htables["db"]
    assert made.find("old") is None
    assert abs(made.remaining("new") - (2_000_000_000 - time.time())) < 5
    assert made.remaining("s") == 60
    assert made.find("arr:n") == 3
    await host.stop()


async def test_dbmode_1_writes_the_table_at_stop_and_another_server_loads_it(tmp_path):
    host, module, path = await kept(
        tmp_path, definition="db=>dbtable=htable;dbmode=1;autoexpire=500", db_expires=1
    )
    made = module.htables["db"]
    made.clear()
    made.set("one", 1)
    made.set("long", "with 'quote' \udcff é")
    made.keep("long", 0)
    await host.stop()
    (long, one) = stored(path)
    assert long[:4] == ("long", 0, 0, "with 'quote' \udcff é".encode("utf-8", "surrogateescape"))
    assert long[4] == 0
    assert one[:4] == ("one", 0, 1, "1")
    assert abs(one[4] - time.time() - 500) < 10
    again, module, _ = await kept(
        tmp_path, rows="", definition="db=>dbtable=htable;autoexpire=5", db_expires=1
    )
    assert dict(module.htables["db"].items()) == {"one": 1, "long": "with 'quote' \udcff é"}
    assert 480 < module.htables["db"].remaining("one") <= 501
    await again.stop()


async def test_without_dbmode_the_rows_stay_what_they_are(tmp_path):
    host, module, path = await kept(tmp_path)
    before = stored(path)
    module.htables["db"].clear()
    await host.stop()
    assert stored(path) == before


async def test_rpc_store_and_reload(tmp_path):
    host, module, path = await kept(tmp_path)
    module.htables["db"].clear()
    module.htables["db"].set("a", 1)
    assert await module.rpc_reload("db") == "Ok. Htable reloaded."
    assert module.htables["db"].find("a") is None
    module.htables["db"].clear()
    module.htables["db"].set("a", 1)
    assert await module.rpc_store("db") == "Ok. Htable successfully stored to DB."
    assert stored(path) == [("a", 0, 1, "1", 0)]
    await host.stop()


async def test_a_table_of_other_columns_is_packed_into_texts(tmp_path):
    host = Host()
    database = await host.databases.open(f"sqlite:///{tmp_path}/k.db")
    await database.write("CREATE TABLE q (a TEXT, b TEXT, c INTEGER, n INTEGER)")
    await database.write("INSERT INTO q VALUES ('k', 'x', 5, 9), ('l', NULL, 6, 8), (NULL, 'z', 7, 7)")
    await host.load("db_sqlite")
    module = await host.load(
        "htable",
        db_url=f"sqlite:///{tmp_path}/k.db",
        htable=["p=>dbtable=q;cols='a,b,c';coldelim=':';colnull='-'", "n=>dbtable=q;cols='a,n'"],
    )
    assert dict(module.htables["p"].items()) == {"k": "x:5", "l": "-:6"}
    assert dict(module.htables["n"].items()) == {"k": 9, "l": 8}
    await host.stop()


async def test_a_table_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(StoreError, match="nosuch"):
        await kept(tmp_path, rows="", definition="db=>dbtable=nosuch")


async def test_rows_that_do_not_fit_stop_the_start_and_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("kamtool.modules.htable.table.OVERHEAD", 1 << 20)
    with pytest.raises(StoreError, match="memory_limit"):
        await kept(tmp_path, definition="db=>dbtable=htable;dbmode=1", memory_limit=4)
    assert len(stored(tmp_path / "k.db")) == 8


async def test_without_db_url_a_dbtable_is_only_a_name(caplog):
    host = Host()
    module = await host.load("htable", htable="db=>dbtable=htable;dbmode=1")
    assert "there is no db_url" in caplog.text
    assert len(module.htables["db"]) == 0
    await host.stop()


# Many at once ----------------------------------------------------------------------------------------------


async def test_many_items_are_put_in_at_once_and_with_replace_alone():
    _, module = await loaded()
    module.rpc_seti("d", "old", 1)
    assert await module.rpc_fill("d", [["a", "x", 5], ["b", 7, 0]]) == "Ok. 2 keys set."
    rows = {row["name"]: (row["value"], row["expires"]) for row in await module.rpc_items("d")}
    assert rows == {"old": (1, 60), "a": ("x", 5), "b": (7, 0)}
    await module.rpc_fill("d", [["b", "y", 9]], 1)
    assert [row["name"] for row in await module.rpc_items("d")] == ["b"]


@pytest.mark.parametrize(
    "wrong",
    [["k", "v"], ["", "v", 1], ["k", None, 1], ["k", "v", -1], ["k", "v", "1"], ["k", True, 1], "k", 5],
)
async def test_one_wrong_item_is_named_and_none_is_put_in(wrong):
    _, module = await loaded()
    with pytest.raises(RpcError, match="item 2 is no"):
        await module.rpc_fill("d", [["a", "x", 5], wrong])
    assert await module.rpc_items("d") == []


async def test_what_does_not_fit_leaves_the_table_as_it_was():
    _, module = await loaded(memory_limit=4)
    module.rpc_setxs("d", "old", "o", 30)
    module.rpc_setxs("d", "kept", "k", 0)
    with pytest.raises(RpcError, match="is full"):
        await module.rpc_fill("d", [["old", "new", 9], *([f"{n}", "x" * 100, 9] for n in range(20_000))], 1)
    rows = {row["name"]: (row["value"], row["expires"]) for row in await module.rpc_items("d")}
    assert rows == {"old": ("o", 30), "kept": ("k", 0)}


async def test_a_database_that_fails_leaves_the_table_as_it_was(tmp_path):
    host, module, _ = await kept(tmp_path, definition="db=>dbtable=htable;dbmode=1")
    before = dict(module.htables["db"].items())
    with sqlite3.connect(tmp_path / "k.db") as file:
        file.execute("DROP TABLE htable")
    with pytest.raises(RpcError, match="nothing was changed"):
        await module.rpc_fill("db", [["a", "x", 5]], 1)
    assert before
    assert dict(module.htables["db"].items()) == before
    await host.stop()
