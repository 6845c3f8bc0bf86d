"""The location tables: memory, journal, database, and what the control plane shows of them."""

import asyncio
import sqlite3
import time
from types import SimpleNamespace

import pytest

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.modules.usrloc.contact import Contact, Details
from kamtool.modules.usrloc.matching import Matching, find
from kamtool.modules.usrloc.table import Event, Table
from kamtool.store.url import database_url
from tests.support.host import TCP, Host
from tests.support.until import until


@pytest.fixture
async def hosts():
    made = []

    def make():
        made.append(Host())
        return made[-1]

    yield make
    for host in made:
        await host.stop()


@pytest.fixture
def url(tmp_path):
    return database_url(tmp_path / "k.db")


async def usrloc(host, url, mode, **params):
    await host.load("db_sqlite")
    return await host.load("usrloc", db_url=url, db_mode=mode, **params)


def rows(url, columns="*", where="1"):
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        return file.execute(f"SELECT {columns} FROM location WHERE {where} ORDER BY id").fetchall()


def contact(host, module, aor="alice", uri="sip:alice@10.0.0.1", expires=3600.0, **fields):
    at = {"expires_at": host.now() + expires, "modified_at": host.now()}
    return Contact(aor, uri, module.ruids.next(), **at, **fields)


# ----- the table in memory


def test_a_contact_that_lives_shorter_than_those_before_expires_in_time():
    table = Table("t")
    table.insert(Contact("alice", "sip:a@h", "r1", 3600.0))
    assert table.expire(1.0) is False
    table.insert(Contact("bob", "sip:b@h", "r2", 60.0))
    table.expire(62.0)
    assert [contact.aor for contact in table] == ["alice"]


def test_expiry_takes_out_only_what_is_due():
    table, gone = Table("t"), []
    table.listeners.append(
        lambda event, contact: gone.append(contact.uri) if event is Event.EXPIRED else None
    )
    for number in range(10):
        table.insert(Contact("a", f"sip:{number}@h", str(number), expires_at=100.5 + number))
    table.insert(Contact("a", "sip:for-ever@h", "x"))
    assert table.expire(104.0) is False
    assert gone == ["sip:0@h", "sip:1@h", "sip:2@h", "sip:3@h"][: len(gone)]
    table.expire(105.6)
    assert gone == [f"sip:{number}@h" for number in range(5)]
    table.expire(10_000.0)
    assert [c.uri for c in table.get("a")] == ["sip:for-ever@h"]
    assert table.count == 1


def test_a_refreshed_contact_outlives_its_first_bucket():
    table = Table("t")
    entry = Contact("a", "sip:a@h", "1", expires_at=100.0)
    table.insert(entry)
    entry.expires_at = 200.0
    table.refreshed(entry, reorder=False)
    table.expire(150.0)
    assert table.count == 1
    table.expire(202.0)
    assert table.count == 0


def test_a_shortened_contact_goes_earlier_and_once():
    table = Table("t")
    entry = Contact("a", "sip:a@h", "1", expires_at=1000.0)
    table.insert(entry)
    entry.expires_at = 100.0
    table.refreshed(entry, reorder=False)
    table.expire(102.0)
    assert (table.count, table.expired) == (0, 1)
    table.expire(2000.0)
    assert (table.count, table.expired) == (0, 1)


def test_a_contact_deleted_and_inserted_again_is_not_expired_by_its_past():
    table = Table("t")
    entry = Contact("a", "sip:a@h", "1", expires_at=100.0)
    table.insert(entry)
    table.delete(entry)
    entry.expires_at = 500.0
    table.insert(entry)
    table.expire(400.0)
    assert table.count == 1


def test_expiry_of_very_many_comes_in_pieces():
    table = Table("t")
    for number in range(5000):
        table.insert(Contact(str(number), "sip:a@h", str(number), expires_at=100.0 + number % 10))
    pieces = 1
    while table.expire(1000.0, most=500):
        pieces += 1
    assert pieces >= 9
    assert table.count == 0


def test_newest_first_orders_by_time():
    table = Table("t", newest_first=True)
    first, second = Contact("a", "sip:1@h", "1", q=1000), Contact("a", "sip:2@h", "2")
    table.insert(first)
    table.insert(second)
    assert table.get("a") == (second, first)
    table.refreshed(first, reorder=False)
    assert table.get("a") == (first, second)


@pytest.mark.parametrize(
    ("mode", "uri", "call_id", "path", "found"),
    [
        (Matching.CONTACT_ONLY, "sip:a@h", "other", "other", True),
        (Matching.CONTACT_ONLY, "sip:b@h", "c", "p", False),
        (Matching.CONTACT_CALLID, "sip:a@h", "c", "other", True),
        (Matching.CONTACT_CALLID, "sip:a@h", "other", "p", False),
        (Matching.CONTACT_PATH, "sip:a@h", "other", "p", True),
        (Matching.CONTACT_PATH, "sip:a@h", "c", "other", False),
        (Matching.CALLID_ONLY, "sip:b@h", "c", "other", True),
        (Matching.CALLID_ONLY, "sip:a@h", "other", "p", False),
    ],
)
def test_matching_mode_says_what_makes_two_contacts_the_same(mode, uri, call_id, path, found):
    known = (Contact("a", "sip:a@h", "1", call_id="c", details=Details("p")),)
    assert (find(known, uri, call_id, path, "", 0, mode) is not None) is found


# ----- the database


async def test_memory_mode_needs_no_database(hosts):
    host = hosts()
    module = await host.load("usrloc")
    module.locations["location"].insert(contact(host, module))
    assert host.stats["usrloc:registered_users"] == 1


async def test_write_through_writes_soon(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 1)
    location = module.locations["location"]
    entry = contact(
        host,
        module,
        q=500,
        call_id="c",
        cseq=7,
        user_agent="ua",
        socket="udp:127.0.0.1:5060",
        methods=5,
        cflags=64,
    )
    location.insert(entry)
    await until(lambda: rows(url))
    ((*facts, expires),) = rows(
        url, "ruid, username, domain, contact, q, callid, cseq, user_agent, socket, methods, cflags, expires"
    )
    assert facts == [
        entry.ruid, "alice", None, "sip:alice@10.0.0.1", 0.5, "c", 7, "ua", "udp:127.0.0.1:5060", 5, 64,
    ]  # fmt: skip
    assert isinstance(expires, float)  # a Julian day, the only form that db_sqlite reads
    assert (expires - 2440587.5) * 86400 == pytest.approx(time.time() + 3600, abs=20)
    location.delete(entry)
    await until(lambda: not rows(url))


async def test_write_back_writes_with_its_timer(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module))
    await asyncio.sleep(0.1)
    assert rows(url) == []
    await host.tick()
    assert len(rows(url)) == 1


@pytest.mark.parametrize("mode", [1, 2])
async def test_contacts_survive_a_restart(hosts, url, mode):
    first = hosts()
    module = await usrloc(first, url, mode)
    entry = contact(
        first, module, q=250, call_id="c", cseq=3, received="sip:192.0.2.1:5", connection=9,
        details=Details("<sip:p;lr>", "<urn:x>", 2),
    )  # fmt: skip
    module.locations["location"].insert(entry)
    module.locations["location"].insert(contact(first, module, uri="sip:for-ever@h", expires=-first.now()))
    await first.stop()
    second = hosts()
    second.clock = 5_000_000.0  # another boot, another clock
    again = (await usrloc(second, url, mode)).locations["location"].get("alice")
    assert [c.uri for c in again] == ["sip:alice@10.0.0.1", "sip:for-ever@h"]
    assert (again[0].q, again[0].call_id, again[0].cseq, again[0].received) == (
        250,
        "c",
        3,
        "sip:192.0.2.1:5",
    )
    assert again[0].details == Details("<sip:p;lr>", "<urn:x>", 2)
    assert again[0].connection == 0  # that connection died with the process
    assert again[0].remaining(second.now()) == pytest.approx(3600, abs=20)
    assert again[1].expires_at == 0
    assert again[0].ruid == entry.ruid


async def test_expired_rows_are_not_loaded(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module, expires=-5.0))
    await host.stop()
    assert (await usrloc(hosts(), url, 2)).locations["location"].table.count == 0


async def test_loading_goes_page_by_page(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    for number in range(25):
        module.locations["location"].insert(contact(host, module, aor=f"u{number}"))
    await host.stop()
    second = hosts()
    assert (await usrloc(second, url, 2, fetch_rows=10)).locations["location"].table.count == 25
    assert second.stats["usrloc:location_users"] == 25


async def test_an_expired_contact_leaves_the_database_too(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module, expires=60.0))
    await host.tick()
    assert len(rows(url)) == 1
    host.clock += 62
    await host.tick()
    assert rows(url) == []
    assert host.stats["usrloc:location_expires"] == 1
    assert host.stats["usrloc:registered_users"] == 0


async def test_memory_only_contacts_stay_out_of_the_database(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module), memory_only=True)
    await host.tick()
    assert rows(url) == []


async def test_load_only_reads_and_never_writes(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module))
    await host.stop()
    second = hosts()
    module = await usrloc(second, url, 4)
    location = module.locations["location"]
    location.delete(location.get("alice")[0])
    location.insert(contact(second, module, aor="bob"))
    await second.stop()
    assert [row[0] for row in rows(url, "username")] == ["alice"]


async def test_db_only_keeps_nothing_in_memory(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 3)
    location = module.locations["location"]
    location.insert(contact(host, module, q=100))
    location.insert(contact(host, module, uri="sip:b@h", q=900))
    await location.commit()
    assert location.get("alice") == ()
    assert [c.uri for c in await location.fetch("alice")] == ["sip:b@h", "sip:alice@10.0.0.1"]
    (found, _) = await location.fetch("alice")
    found.cseq = 99
    location.update(found)
    location.delete((await location.fetch("alice"))[1])
    await location.commit()
    assert rows(url, "contact, cseq") == [("sip:b@h", 99)]


async def test_db_only_drops_expired_rows_with_its_timer(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 3)
    heard = []
    module.listen(lambda event, contact: heard.append((event, contact.uri)))
    location = module.locations["location"]
    location.insert(contact(host, module, expires=-10.0))
    location.insert(contact(host, module, uri="sip:b@h"))
    await location.commit()
    heard.clear()
    await host.tick()
    assert rows(url, "contact") == [("sip:b@h",)]
    assert heard == [(Event.EXPIRED, "sip:alice@10.0.0.1")]


async def test_durable_commits_before_it_returns(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 1, durable=1)
    location = module.locations["location"]
    assert location.waits
    location.insert(contact(host, module))
    await location.commit()
    assert len(rows(url)) == 1


async def test_what_a_full_disk_refuses_is_written_later(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.database._writer.connection.execute("PRAGMA max_page_count=1")
    location = module.locations["location"]
    for number in range(300):
        location.insert(contact(host, module, aor=f"u{number}", uri="sip:" + "x" * 400 + "@h"))
    with pytest.raises(StoreError, match="disk is full"):
        await location.commit()
    assert len(location.journal) == 300
    module.database._writer.connection.execute("PRAGMA max_page_count=1073741823")
    await location.commit()
    assert len(rows(url)) == 300


async def test_bytes_that_are_no_utf8_survive(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    uri = b"sip:\xff\xe9@h".decode("utf-8", "surrogateescape")
    module.locations["location"].insert(contact(host, module, uri=uri, user_agent="ü"))
    await host.stop()
    (again,) = (await usrloc(hosts(), url, 2)).locations["location"].get("alice")
    assert (again.uri, again.user_agent) == (uri, "ü")


async def test_use_domain_fills_the_domain_column(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 3, use_domain=1)
    location = module.locations["location"]
    location.insert(contact(host, module, aor="alice@example.com"))
    location.insert(contact(host, module, aor="alice@example.org"))
    await location.commit()
    assert rows(url, "username, domain") == [("alice", "example.com"), ("alice", "example.org")]
    assert [c.aor for c in await location.fetch("alice@example.org")] == ["alice@example.org"]


async def test_columns_may_have_other_names(hosts, url):
    host = hosts()
    await host.load("db_sqlite")
    await host.databases.open(url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute("ALTER TABLE location RENAME COLUMN callid TO call_id")
    module = await host.load("usrloc", db_url=url, db_mode=3, callid_column="call_id")
    location = module.locations["location"]
    location.insert(contact(host, module, call_id="c"))
    await location.commit()
    assert (await location.fetch("alice"))[0].call_id == "c"


async def test_dates_of_every_form_are_loaded(hosts, url):
    host = hosts()
    await host.load("db_sqlite")
    await host.databases.open(url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute(
            "INSERT INTO location (ruid, username, contact, expires) VALUES"
            "('1', 'text', 'sip:1@h', datetime('now', '+1 hour')),"
            "('2', 'epoch', 'sip:2@h', CAST(strftime('%s', 'now', '+1 hour') AS INTEGER)),"
            "('3', 'julian', 'sip:3@h', julianday('now', '+1 hour')),"
            "('4', 'default', 'sip:4@h', '2030-05-28 21:32:15')"
        )
    location = (await host.load("usrloc", db_url=url, db_mode=2)).locations["location"]
    for user in ("text", "epoch", "julian"):
        assert location.get(user)[0].remaining(host.now()) == pytest.approx(3600, abs=20)
    assert location.get("default")


async def test_server_id_filter_loads_only_our_own(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module, details=Details(server_id=4)))
    await host.stop()
    assert (await usrloc(hosts(), url, 2, server_id_filter=1)).locations["location"].table.count == 0
    assert (await usrloc(hosts(), url, 2)).locations["location"].table.count == 1


async def test_a_foreign_socket_and_a_dead_connection_may_be_left_behind(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    location = module.locations["location"]
    location.insert(contact(host, module, aor="here", socket="udp:127.0.0.1:5060"))
    location.insert(contact(host, module, aor="there", socket="udp:192.0.2.1:5060"))
    location.insert(contact(host, module, aor="tcp", uri="sip:a@h;transport=tcp"))
    await host.stop()
    records = (
        (await usrloc(hosts(), url, 2, skip_remote_socket=1, db_clean_tcp=1))
        .locations["location"]
        .table.records
    )
    assert list(records) == ["here"]


async def test_a_table_of_another_version_stops_the_start(hosts, url):
    host = hosts()
    await host.load("db_sqlite")
    database = await host.databases.open(url)
    await database.write("UPDATE version SET table_version = 10 WHERE table_name = 'location'")
    with pytest.raises(StoreError, match="version 10"):
        await host.load("usrloc", db_url=url, db_mode=1)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"db_mode": 7}, "7"),
        ({"matching_mode": 9}, "9"),
        ({"db_mode": 1}, "db_url is not set"),
        ({"db_mode": 1, "db_url": "sqlite:////x"}, r"needs db_sqlite\.so"),
    ],
)
async def test_wrong_parameters_stop_the_start(hosts, params, words):
    with pytest.raises(ConfigError, match=words):
        await hosts().load("usrloc", **params)


async def test_another_table_is_loaded_when_it_is_wanted(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    await module.open("aliases")
    assert host.stats["usrloc:aliases_users"] == 0
    with pytest.raises(StoreError):
        await module.open("absent")
    with pytest.raises(StoreError):
        await module.open("location; DROP TABLE location")


# ----- the control plane


async def test_ul_add_lookup_dump_and_rm(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 1)
    await module.ul_add(
        "location", "alice", "sip:alice@10.0.0.1", 100, "0.5", ".", 0, 64, 0, "sip:1.2.3.4:5060"
    )
    await module.ul_add("location", "alice", "sip:alice@10.0.0.1", 200, "0.7")
    assert len(rows(url)) == 1
    found = await module.ul_lookup("location", "alice")
    facts = found["Contacts"][0]["Contact"]
    assert facts["Address"] == "sip:alice@10.0.0.1"
    assert facts["Expires"] == 200
    assert facts["Q"] == 0.7
    assert facts["Received"] == "[not set]"
    (domain,) = (await module.ul_dump())["Domains"]
    assert domain["Domain"]["Stats"] == {"Records": 1, "Max-Slots": 1}
    assert domain["Domain"]["AoRs"][0]["Info"]["AoR"] == "alice"
    (domain,) = (await module.ul_dump("brief"))["Domains"]
    assert domain["Domain"]["AoRs"] == [{"AoR": "alice"}]
    assert await module.ul_db_users("location") == 1
    assert await module.ul_db_contacts("location") == 1
    assert await module.ul_db_expired_contacts("location") == 0
    await module.ul_rm_contact("location", "alice", "sip:alice@10.0.0.1")
    assert rows(url) == []
    await module.ul_add("location", "alice", "sip:a@h", 0)
    assert (await module.ul_lookup("location", "alice"))["Contacts"][0]["Contact"]["Expires"] == "permanent"
    await module.ul_rm("location", "alice")
    assert host.stats["usrloc:registered_users"] == 0


async def test_ul_says_what_is_not_there(hosts):
    module = await hosts().load("usrloc")
    for call in (
        module.ul_lookup("location", "bob"),
        module.ul_rm("location", "bob"),
        module.ul_rm_contact("location", "bob", "sip:b@h"),
        module.ul_lookup("absent", "bob"),
        module.ul_db_users("location"),
        module.ul_add("location", "bob", "no uri", 10),
        module.ul_add("location", "bob", "sip:b@h\r\nX: y", 10),
        module.ul_add("location", "bob", "sip:b@h", 10, "7"),
    ):
        with pytest.raises(RpcError):
            await call


async def test_ul_flush_writes_now(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    module.locations["location"].insert(contact(host, module))
    await module.ul_flush()
    assert len(rows(url)) == 1


async def test_a_contact_goes_with_its_connection(hosts):
    host = hosts()
    module = await host.load("usrloc", handle_lost_tcp=1)
    location = module.locations["location"]
    moved, lost, other = (
        contact(host, module, aor=name, connection=7, uri=f"sip:{name}@h;transport=tcp")
        for name in ("moved", "lost", "other")
    )
    for entry in (moved, lost, other):
        location.insert(entry)
    moved.connection = 8
    location.update(moved)
    location.delete(other)
    (closed,) = host.closed_watchers
    closed(TCP)
    assert list(location.table.records) == ["moved"]
    assert host.stats["usrloc:location_contacts"] == 1


async def test_the_connection_of_a_contact_that_expired_is_closed(hosts):
    host, closed = hosts(), []
    end = SimpleNamespace(close=closed.append)
    host.transports = SimpleNamespace(tcp=SimpleNamespace(connections={7: end, 8: end}))
    module = await host.load("usrloc", close_expired_tcp=1)
    table = module.locations["location"].table
    for name, connection, expires in (("early", 7, 10.0), ("late", 8, 3600.0), ("udp", 0, 10.0)):
        entry = contact(host, module, aor=name, expires=expires)
        entry.connection = connection
        table.insert(entry)
    table.expire(host.now() + 100)
    assert list(table.records) == ["late"]
    assert closed == ["its contact has expired"]


@pytest.mark.parametrize("now", [0.1 * step + 7e5 for step in range(200)])
def test_a_contact_just_registered_has_the_seconds_left_that_were_granted(now):
    # `now + 3600 - now` is a little more than 3600 for some of these.
    assert Contact("alice", "sip:a@h", "r", now + 3600).remaining(now) == 3600
    assert Contact("alice", "sip:a@h", "r", now + 1.5).remaining(now) == 2
    assert Contact("alice", "sip:a@h", "r", now).remaining(now) == 0


async def test_a_row_that_cannot_be_used_is_skipped_with_its_id_and_the_reason(hosts, url, caplog):
    await usrloc(hosts(), url, 1)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        for ruid, user, uri, cseq in (
            ("r1", "alice", "sip:a@h", 1), ("r2", "bob", "sip:b@h", "x"), ("r3", "", "sip:c@h", 1),
            ("r4", "dan", "nothing", 1),
        ):  # fmt: skip
            file.execute(
                "INSERT INTO location (ruid, username, contact, cseq, expires, callid, user_agent, "
                "last_modified) VALUES (?, ?, ?, ?, 0, '', '', 0)",
                (ruid, user, uri, cseq),
            )
    module = await usrloc(hosts(), url, 1)
    assert list(module.locations["location"].table.records) == ["alice"]
    skipped = [record.getMessage() for record in caplog.records if "is skipped" in record.getMessage()]
    assert [line.split(": ")[1] for line in skipped] == [f"row {n} is skipped" for n in (2, 3, 4)]
    assert "nothing" in skipped[2]


async def test_a_large_write_back_leaves_the_loop_free_and_writes_every_row(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    location = module.locations["location"]
    for number in range(3000):
        location.insert(contact(host, module, f"u{number}", f"sip:u{number}@h"))
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    writing = asyncio.create_task(location.journal.flush())
    await asyncio.sleep(0)
    (gone,) = location.get("u2999")
    location.delete(gone)  # while it is written: it must not come back
    await writing
    counting.cancel()
    await location.journal.flush()
    assert turns > 6
    assert rows(url, "count(*)") == [(2999,)]


async def test_nothing_is_kept_of_changes_that_nobody_watches(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 0)
    location = module.locations["location"]
    location.insert(contact(host, module))
    begun = module.ul_watch("location")
    assert (begun["Number"], begun["Contacts"], begun["Changes"]) == (0, 1, [])
    location.insert(contact(host, module, "bob", "sip:bob@h"))
    told = module.ul_watch("location", begun["Number"])
    assert [(change["Event"], change["AoR"]) for change in told["Changes"]] == [("inserted", "bob")]
    assert module.ul_watch("location", told["Number"])["Changes"] == []
    assert len(location.table.listeners) == 1
    host.clock += 61
    await module.tick()
    assert location.table.listeners == []
    with pytest.raises(RpcError):
        module.ul_watch("nowhere")


async def test_flash_writes_only_when_a_backup_is_due_and_at_stop(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2, flash=3600)
    location = module.locations["location"]
    location.insert(contact(host, module, "alice", expires=7200.0))
    location.insert(contact(host, module, "gone", "sip:gone@h", expires=60.0))
    await module.tick()
    assert rows(url) == []
    host.clock += 3601
    await module.tick()
    assert rows(url, "username") == [("alice",)]  # who came and went between two backups was never written
    location.insert(contact(host, module, "bob", "sip:bob@h"))
    await module.tick()
    assert rows(url, "username") == [("alice",)]
    await host.stop()
    assert rows(url, "username") == [("alice",), ("bob",)]
    with pytest.raises(ConfigError):
        await usrloc(hosts(), url, 1, flash=3600)


async def test_a_contact_removed_while_a_batch_is_made_does_not_come_back(hosts, url):
    host = hosts()
    module = await usrloc(host, url, 2)
    location = module.locations["location"]
    for number in range(2000):
        location.insert(contact(host, module, f"u{number}", f"sip:u{number}@h"))
    writing = asyncio.create_task(location.journal.flush())
    await asyncio.sleep(0)  # the first rows are made, the others not yet
    (gone,) = location.get("u0")
    location.delete(gone)
    await asyncio.gather(writing, location.journal.flush())
    assert rows(url, "count(*)", "username = 'u0'") == [(0,)]
    assert rows(url, "count(*)") == [(1999,)]
