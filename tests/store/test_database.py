"""One writer, committed batches, nothing lost."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kamtool.errors import StoreError
from kamtool.store.connection import connect
from kamtool.store.database import Database
from tests.support.until import until

ROOT = Path(__file__).parents[2]
INSERT = "INSERT INTO t (a) VALUES (?)"


@pytest.fixture
async def database(tmp_path):
    made = connect(tmp_path / "t.db", create=True)
    made.execute("CREATE TABLE t (a INTEGER UNIQUE, b TEXT)")
    made.close()
    database = Database(tmp_path / "t.db")
    yield database
    await database.close()


def count(database):
    with sqlite3.connect(database.path) as other:
        return other.execute("SELECT count(*) FROM t").fetchone()[0]


async def test_a_write_is_committed_when_it_returns(database):
    assert await database.write(INSERT, (1,)) == 1
    assert count(database) == 1


async def test_a_flush_commits_everything_posted_before_it(database):
    for number in range(10_000):
        database.post(INSERT, (number,))
    await database.flush()
    assert count(database) == 10_000


async def test_posted_rows_arrive_without_a_flush(database):
    database.post(INSERT, (1,))
    await until(lambda: count(database) == 1)


async def test_close_commits_what_is_still_posted(database):
    database.post(INSERT, (1,))
    await database.close()
    assert count(database) == 1


async def test_a_bad_statement_is_told_to_its_writer_and_hurts_no_other(database):
    database.post(INSERT, (1,))
    refused = database.write(INSERT, (1,))
    accepted = database.write(INSERT, (2,))
    results = await asyncio.gather(refused, accepted, return_exceptions=True)
    assert isinstance(results[0], StoreError)
    assert "UNIQUE" in str(results[0])
    assert results[1] == 1
    assert count(database) == 2


async def test_write_all_writes_all_or_nothing(database):
    with pytest.raises(StoreError):
        await database.write_all([(INSERT, (1,)), (INSERT, (2,)), (INSERT, (1,))])
    assert count(database) == 0


async def test_queries_see_what_was_committed(database):
    await database.write(INSERT, (7,))
    assert await database.query("SELECT a FROM t WHERE a = ?", (7,)) == [(7,)]
    assert database.read("SELECT a FROM t") == [(7,)]


async def test_a_bad_query_is_a_store_error_that_names_the_file(database):
    with pytest.raises(StoreError, match=r"t\.db: no such table"):
        await database.query("SELECT * FROM absent")


async def test_the_generation_changes_when_another_program_writes(database):
    before = database.generation()
    assert database.generation() == before
    with sqlite3.connect(database.path) as other:
        other.execute(INSERT, (1,))
    assert database.generation() != before


async def test_another_program_may_write_while_we_do(database):
    """No `database is locked`: both wait their turn."""
    script = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n"
        "for n in range(200): db.execute('INSERT INTO t (a) VALUES (?)', (1000000 + n,))\n"
    )
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(database.path))
    written = 0
    while other.returncode is None:
        await database.write(INSERT, (written,))
        written += 1
        await asyncio.sleep(0)
    assert await other.wait() == 0
    assert count(database) == 200 + written


async def test_a_full_disk_loses_nothing(database, caplog):
    """The page limit stands for the disk: SQLite answers SQLITE_FULL to both."""
    database._writer.connection.execute("PRAGMA max_page_count=20")
    for number in range(200):
        database.post("INSERT INTO t VALUES (?, ?)", (number, "x" * 1000))
    with pytest.raises(StoreError, match="disk is full"):
        await database.flush()
    # The writer may have begun before the last was posted: a first batch that found room is written.
    assert count(database) + database.backlog >= 200
    assert database.backlog >= 1
    assert "disk is full" in database.trouble
    database._writer.connection.execute("PRAGMA max_page_count=1073741823")
    await until(lambda: count(database) == 200)
    await database.flush()
    assert database.trouble == ""
    assert [r.levelname for r in caplog.records if "kept and tried again" in r.message] == ["ERROR"]


async def test_a_refused_write_is_not_done_later(database):
    database._writer.connection.execute("PRAGMA max_page_count=20")
    with pytest.raises(StoreError, match="disk is full"):
        await database.write_all([("INSERT INTO t VALUES (?, ?)", (n, "x" * 1000)) for n in range(200)])
    database._writer.connection.execute("PRAGMA max_page_count=1073741823")
    await database.write(INSERT, (1,))
    assert count(database) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not a database at all, " * 100, "not an SQLite database"), (None, "kamtool db init")],
)
def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=words) as caught:
        Database(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (a)")
    data = bytearray(path.read_bytes())
    data[100:200] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        Database(path)


def test_a_path_that_cannot_be_opened_is_refused_in_one_line(tmp_path):
    with pytest.raises(StoreError, match="permissions"):
        Database(tmp_path)


KILLED = """
import asyncio, sys
from pathlib import Path
from kamtool.store.database import Database
async def main():
    database = Database(Path(sys.argv[1]))
    number = 0
    while True:
        await database.write("INSERT INTO t (a) VALUES (?)", (number,))
        print(number, flush=True)
        number += 1
asyncio.run(main())
"""


def test_kill_9_keeps_every_acknowledged_write(tmp_path):
    made = connect(tmp_path / "t.db", create=True)
    made.execute("CREATE TABLE t (a INTEGER)")
    made.close()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "t.db")], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    acknowledged = -1
    while acknowledged < 100:
        acknowledged = int(process.stdout.readline())
    process.kill()
    rest = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    acknowledged = rest[-1] if rest else acknowledged
    with sqlite3.connect(tmp_path / "t.db") as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert other.execute("SELECT max(a) FROM t").fetchone()[0] >= acknowledged


async def test_a_reader_gets_text_that_is_no_utf8_byte_for_byte(database):
    await database.write("INSERT INTO t (a, b) VALUES (1, CAST(x'61ff62' AS TEXT))")
    await database.write("INSERT INTO t (a, b) VALUES (2, ?)", ("é",))
    for _ in range(2):
        assert await database.query("SELECT b FROM t ORDER BY a") == [("a\udcffb",), ("é",)]
    assert await database.query("SELECT a FROM t WHERE b = ?", ("é",)) == [(2,)]


def test_a_file_opened_by_many_at_once_for_the_first_time_opens_for_each(tmp_path):
    for turn in range(40):
        path, at_once = tmp_path / f"{turn}.db", threading.Barrier(4)

        def first(path=path, at_once=at_once):
            at_once.wait(30)
            connect(path, create=True).close()

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(first) for _ in range(4)]:
                done.result()
