"""The schema: made once, in order, equal to Kamailio's, and never older than the file."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from kamtool.errors import StoreError
from kamtool.store.connection import connect
from kamtool.store.databases import Databases, require_version
from kamtool.store.migrate import migrate, migrations, status
from kamtool.store.url import database_url

KAMAILIO = Path("/usr/share/kamailio/db_sqlite")


def test_a_new_file_gets_every_migration_once(tmp_path):
    path = tmp_path / "deep/k.db"
    assert migrate(path) == [str(m) for m in migrations()]
    assert migrate(path) == []
    assert status(path).pending == ()
    assert path.stat().st_mode & 0o077 == 0


def test_the_versions_are_kamailios(tmp_path):
    migrate(tmp_path / "k.db")
    versions = status(tmp_path / "k.db").versions
    assert {
        name: versions[name] for name in ("version", "subscriber", "location", "location_attrs", "acc")
    } == {
        "version": 1,
        "subscriber": 7,
        "location": 9,
        "location_attrs": 1,
        "acc": 5,
    }


@pytest.mark.interop
@pytest.mark.skipif(not KAMAILIO.is_dir(), reason="Kamailio's SQL scripts are not installed")
def test_every_table_has_kamailios_columns_in_kamailios_order(tmp_path):
    migrate(tmp_path / "ours.db")
    ours = sqlite3.connect(tmp_path / "ours.db")
    theirs = sqlite3.connect(":memory:")
    theirs.executescript((KAMAILIO / "standard-create.sql").read_text())
    # Kamailio has no script for sipcapture on SQLite.
    for module in {m.module for m in migrations()} - {"standard", "sipcapture"}:
        theirs.executescript((KAMAILIO / f"{module}-create.sql").read_text())
    tables = [row[0] for row in theirs.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert len(tables) > 30
    for table in tables:
        columns = f"PRAGMA table_info({table})"
        assert ours.execute(columns).fetchall() == theirs.execute(columns).fetchall(), table
        unique = f"PRAGMA index_list({table})"
        assert indexes(ours, unique) == indexes(theirs, unique), table
    rows = "SELECT table_name, table_version FROM version"
    assert set(theirs.execute(rows)) <= set(ours.execute(rows))


def indexes(database, pragma):
    return {
        (unique, tuple(row[2] for row in database.execute(f"PRAGMA index_info({name})")))
        for _, name, unique, *_ in database.execute(pragma).fetchall()
    }


def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "k.db"
    migrate(path)
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO kamtool_migrations VALUES ('usrloc', '0099_later.sql', 0)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer kamtool made it \(usrloc/0099_later\.sql"):
        migrate(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    folder = tmp_path / "db"
    (folder / "standard").mkdir(parents=True)
    (folder / "standard/0001_create.sql").write_text("CREATE TABLE version (table_name, table_version);\n")
    (folder / "z").mkdir()
    (folder / "z/0001_create.sql").write_text("CREATE TABLE half (a);\nINSERT INTO absent VALUES (1);\n")
    path = tmp_path / "k.db"
    with pytest.raises(StoreError, match=r"z/0001_create\.sql: no such table: absent"):
        migrate(path, folder)
    assert len(status(path, folder).pending) == 2
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_a_file_made_by_another_tool_only_gets_what_it_lacks(tmp_path):
    path = tmp_path / "k.db"
    with sqlite3.connect(path) as file:
        for module in ("standard", "auth_db"):
            first = next(m for m in migrations() if m.module == module)
            file.executescript(first.path.read_text())
        file.execute("INSERT INTO subscriber (username) VALUES ('alice')")
    assert not status(path).made_by_kamtool
    assert "auth_db/0001_create.sql" not in migrate(path)
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT username FROM subscriber").fetchall() == [("alice",)]


async def test_opening_a_database_that_is_not_there_makes_it(tmp_path):
    databases = Databases()
    url = database_url(tmp_path / "new.db")
    database = await databases.open(url)
    assert await databases.open(url) is database
    await require_version(database, "location", 9)
    await databases.close()


async def test_a_table_of_another_version_is_refused(tmp_path):
    databases = Databases()
    database = await databases.open(database_url(tmp_path / "new.db"))
    await database.write("UPDATE version SET table_version = 10 WHERE table_name = 'location'")
    with pytest.raises(StoreError, match="version 10, newer than the 9"):
        await require_version(database, "location", 9)
    with pytest.raises(StoreError, match="no table 'absent'"):
        await require_version(database, "absent", 1)
    await databases.close()


async def test_a_kamdbctl_file_is_opened_without_a_change(tmp_path):
    path = tmp_path / "k.db"
    with sqlite3.connect(path) as file:
        file.executescript(migrations()[0].path.read_text())
    databases = Databases()
    await databases.open(database_url(path))
    await databases.close()
    assert not status(path).made_by_kamtool


OPENER = """
import asyncio, sys
from kamtool.store.connection import connect
from kamtool.store.databases import Databases, require_version

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    databases = Databases()
    database = await databases.open(sys.argv[1])
    await require_version(database, "topos_d", 2)
    await databases.close()

asyncio.run(main())
"""


def test_many_that_start_at_once_on_a_new_file_all_find_it_whole(tmp_path):
    url = database_url(tmp_path / "new.db")
    openers = [
        subprocess.Popen([sys.executable, "-c", OPENER, url], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
        for _ in range(8)
    ]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [opener.communicate(timeout=60)[1] for opener in openers] == [""] * 8
    assert {opener.returncode for opener in openers} == {0}
    with sqlite3.connect(tmp_path / "new.db") as file:
        assert file.execute("SELECT count(*) FROM kamtool_migrations").fetchone() == (len(migrations()),)


def test_whoever_looks_while_a_file_is_made_waits_for_it(tmp_path):
    """The moment in which the file has a first page, and no table yet."""
    path = tmp_path / "new.db"
    maker = connect(path, create=True)
    assert path.stat().st_size > 0
    maker.execute("BEGIN IMMEDIATE")
    maker.execute("CREATE TABLE unfinished (a)")
    opener = subprocess.Popen(
        [sys.executable, "-c", OPENER, database_url(path)], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    )
    assert opener.stdout.readline() == "ready\n"
    opener.stdin.write("go\n")
    opener.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        opener.wait(timeout=0.5)
    maker.execute("ROLLBACK")
    maker.close()
    assert opener.communicate(timeout=60)[1] == ""
    assert status(path).pending == ()
