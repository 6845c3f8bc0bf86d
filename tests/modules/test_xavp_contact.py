"""`xavp_contact` of usrloc: what a script keeps with a contact. The rows and places are Kamailio 5.6.3's."""

import asyncio
import sqlite3

import pytest

from kamtool.errors import StoreError
from kamtool.store.migrate import migrate
from kamtool.store.url import database_url
from tests.modules.test_registrar import request
from tests.support.host import Host


class Office:
    """usrloc and registrar on a database, with the XAVP `ua` kept."""

    def __init__(self, path):
        self.path = path
        self.host = None

    async def start(self, **params):
        await self.stop()
        self.host = Host()
        await self.host.load("db_sqlite")
        url = {"db_url": database_url(self.path)} if params.get("db_mode", 1) else {}
        self.usrloc = await self.host.load("usrloc", **{"db_mode": 1, "xavp_contact": "ua", **url, **params})
        self.registrar = await self.host.load("registrar")
        return self

    async def stop(self):
        if self.host is not None:
            await self.host.stop()
            self.host = None

    async def register(self, contact, call_id, cseq, value=""):
        ctx = request(self.host, f"Contact: {contact}", call_id=call_id, cseq=cseq)
        if value:
            for index, field, one in ((None, "a", value), (0, "n", 7), (0, "a", "second")):
                ctx.avps.xavps.set("ua", index, field, None, one)
        assert await self.registrar.save(ctx, "location") > 0

    async def found(self, *places, before=""):
        """What lookup() leaves at `$xavp(ua[index]=>field[at])`, for each (index, field, at)."""
        ctx = request(self.host, method="MESSAGE", ruri="sip:alice@example.com")
        if before:
            ctx.avps.xavps.set("ua", None, "a", None, before)
        assert await self.registrar.lookup(ctx, "location") == 1
        return [ctx.avps.xavps.get("ua", *place) for place in places]

    def rows(self):
        with sqlite3.connect(self.path) as file:
            return file.execute(
                "SELECT username, domain, aname, atype, avalue FROM location_attrs"
            ).fetchall()


@pytest.fixture
async def office(tmp_path):
    migrate(tmp_path / "l.db")
    made = Office(tmp_path / "l.db")
    yield made
    await made.stop()


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
async def test_lookup_gives_back_what_save_has_kept(office, mode):
    await office.start(db_mode=mode)
    await office.register("<sip:a@h>;q=1", "1", 1, "one")
    await office.register("<sip:b@h>;q=0.5", "2", 1, "two")
    await office.register("<sip:c@h>;q=0.4", "3", 1)
    top = await office.found((None, "a", None), (None, "n", None), (None, "a", 1))
    assert top == ["second", 7, "one"]
    assert await office.found((1, "a", 1), (2, "a", None)) == ["two", None]


async def test_the_place_of_a_record_is_that_of_its_destination(office):
    await office.start(db_mode=0)
    await office.register("<sip:c@h>;q=0.4", "3", 1)
    await office.register("<sip:a@h>;q=0.3", "1", 1, "one")
    await office.register("<sip:d@h>;q=0.2", "4", 1)
    await office.register("<sip:e@h>;q=0.1", "5", 1, "five")
    places = [(n, "a", 1) for n in range(4)]
    assert await office.found(*places) == [None, "one", None, "five"]
    assert await office.found((None, "a", None), *places[1:], before="mine") == ["mine", "one", None, "five"]
    office.registrar.append_branches = 0
    assert await office.found(*places) == [None, None, None, None]


async def test_a_refresh_replaces_it_and_one_without_takes_it_away(office):
    await office.start(db_mode=0)
    await office.register("<sip:a@h>", "1", 1, "one")
    await office.register("<sip:a@h>", "1", 2, "two")
    assert await office.found((None, "a", 1)) == ["two"]
    await office.register("<sip:a@h>", "1", 3)
    assert await office.found((None, "a", None)) == [None]


async def test_its_rows_come_and_go_with_those_of_the_contact(office):
    await office.start(db_mode=2)

    async def rows():
        await office.usrloc.tick()
        return office.rows()

    await office.register("<sip:a@h>", "1", 1, "one")
    kept = [("alice", None, "a", 0, "second"), ("alice", None, "a", 0, "one"), ("alice", None, "n", 1, "7")]
    assert sorted(await rows(), key=str) == sorted(kept, key=str)
    newest = [value for _, _, name, _, value in await rows() if name == "a"]
    assert newest == ["second", "one"], "the newest value stands first, as Kamailio writes it"
    await office.register("<sip:a@h>", "1", 2)
    assert await rows() == []
    await office.register("<sip:a@h>;expires=60", "1", 3, "one")
    assert len(await rows()) == 3
    office.host.clock += 65
    assert await rows() == []


@pytest.mark.parametrize("mode", [1, 2, 4])
async def test_it_is_loaded_at_start(office, mode):
    await office.start()
    await office.register("<sip:a@h>;q=1", "1", 1, "one")
    await office.register("<sip:b@h>", "2", 1)
    await office.start(db_mode=mode)
    assert await office.found((None, "a", None), (None, "n", None), (None, "a", 1), (1, "a", None)) == [
        "second",
        7,
        "one",
        None,
    ]


async def test_a_number_that_is_none_is_kept_as_text(office):
    await office.start()
    await office.register("<sip:a@h>", "1", 1, "one")
    await office.stop()
    with sqlite3.connect(office.path) as file:
        file.execute("UPDATE location_attrs SET avalue = 'seven' WHERE atype = 1")
    await office.start()
    assert await office.found((None, "n", None)) == ["seven"]


async def test_in_db_mode_3_the_rows_of_expired_contacts_are_cleaned_too(office):
    await office.start(db_mode=3)
    await office.register("<sip:a@h>", "1", 1, "one")
    assert len(office.rows()) == 3
    await asyncio.to_thread(_expire, office.path)
    await office.usrloc.tick()
    assert office.rows() == []


def _expire(path):
    with sqlite3.connect(path) as file:
        file.execute("UPDATE location SET expires = expires - 1")


async def test_a_table_of_another_version_is_refused(office):
    with sqlite3.connect(office.path) as file:
        file.execute("UPDATE version SET table_version = 9 WHERE table_name = 'location_attrs'")
    with pytest.raises(StoreError, match="location_attrs"):
        await office.start()


async def test_without_it_nothing_is_kept(office):
    await office.start(xavp_contact="")
    await office.register("<sip:a@h>", "1", 1, "one")
    assert await office.found((None, "a", None)) == [None]
    assert office.rows() == []
