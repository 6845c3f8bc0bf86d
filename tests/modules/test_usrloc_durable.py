"""What was acknowledged is kept: `kill -9` at any moment, a full disk, a database that goes away."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kamtool.errors import RpcError
from kamtool.modules.usrloc.sharing import Sharing
from kamtool.store.url import database_url
from tests.modules.test_registrar import register
from tests.support.host import Host
from tests.support.until import until

ROOT = Path(__file__).parents[2]

SERVER = """
import asyncio, sys
from tests.modules.test_registrar import register
from tests.support.host import Host

async def main(url, mode):
    host = Host()
    await host.load("db_sqlite")
    await host.load("usrloc", db_url=url, db_mode=int(mode), durable=1)
    registrar = await host.load("registrar")
    async def phone(name):
        for number in range(100000):
            contact = f"Contact: <sip:{name}@10.0.0.1:{number % 60000}>"
            _, reply = await register(host, registrar, contact, user=f"{name}-{number}")
            if reply.status == 200:
                print(f"{name}-{number}", flush=True)
            host.replies.clear()
    await asyncio.gather(*(phone(f"p{n}") for n in range(8)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_kill_9_keeps_every_acknowledged_registration(tmp_path, mode):
    path = tmp_path / "k.db"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, database_url(path), str(mode)],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    acknowledged = [process.stdout.readline().strip() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    # The last line may be half a name: the process died while it wrote it.
    acknowledged += process.stdout.read().splitlines()[:-1]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = {row[0] for row in file.execute("SELECT username FROM location")}
    assert len(acknowledged) >= 300
    assert set(acknowledged) <= kept


async def durable(tmp_path, mode=1, retry_after=7):
    host = Host()
    await host.load("db_sqlite")
    await host.load("usrloc", db_url=database_url(tmp_path / "k.db"), db_mode=mode, durable=1)
    return host, await host.load("registrar", retry_after=retry_after)


@pytest.mark.parametrize("mode", [1, 3])
async def test_a_full_disk_is_answered_with_500_and_forgets_nothing(tmp_path, mode):
    host, module = await durable(tmp_path, mode)
    assert (await register(host, module, "Contact: <sip:first@h>", user="first"))[1].status == 200
    module.usrloc.database._writer.connection.execute("PRAGMA max_page_count=1")
    statuses = [
        (await register(host, module, f"Contact: <sip:{'x' * 200}@h>", user=f"u{n}"))[1] for n in range(100)
    ]
    refused = [reply for reply in statuses if reply.status == 500]
    assert refused
    assert refused[0].header("Retry-After") == "7"
    module.usrloc.database._writer.connection.execute("PRAGMA max_page_count=1073741823")
    assert (await register(host, module, "Contact: <sip:last@h>", user="last"))[1].status == 200
    with sqlite3.connect(tmp_path / "k.db") as file:
        kept = {row[0] for row in file.execute("SELECT username FROM location")}
    accepted = {f"u{n}" for n, reply in enumerate(statuses) if reply.status == 200}
    assert {"first", "last"} | accepted <= kept
    await host.stop()


@pytest.mark.parametrize(("retry_after", "shown"), [(7, ["7"]), (0, ["5"])])
async def test_nobody_to_write_is_answered_with_503_and_when_to_try_again(tmp_path, retry_after, shown):
    """Worker 0 writes for all; where it and its successor do not answer, the phone is to come again."""
    host, module = await durable(tmp_path, retry_after=retry_after)
    assert (await register(host, module, "Contact: <sip:first@h>", user="first"))[1].status == 200

    class Silent:
        def __init__(self):
            self.number, self.snapshots = 1, []

        def on(self, topic, heard): ...
        def answer(self, topic, asked): ...
        def publish(self, topic, value): ...

        async def ask(self, worker, topic, value, patience, *, again):
            assert (worker, again) == (0, True)
            raise RpcError(503, "worker 0 does not answer")

    locations = module.usrloc.locations
    Sharing(Silent(), locations).add(locations["location"])
    _, reply = await register(host, module, "Contact: <sip:second@h>", user="second")
    assert reply.status == 503
    assert reply.items("Retry-After") == shown
    await host.stop()


async def test_write_through_catches_up_by_itself_after_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("kamtool.modules.usrloc.journal.RETRY", 0.05)
    host = Host()
    await host.load("db_sqlite")
    await host.load("usrloc", db_url=database_url(tmp_path / "k.db"), db_mode=1)
    module = await host.load("registrar")
    module.usrloc.database._writer.connection.execute("PRAGMA max_page_count=1")
    for number in range(50):
        contact = f"Contact: <sip:{'x' * 200}@h>"
        assert (await register(host, module, contact, user=f"u{number}"))[1].status == 200
    journal = module.usrloc.locations["location"].journal
    await until(lambda: module.usrloc.database.trouble)
    assert len(journal) == 50 or journal._writing
    module.usrloc.database._writer.connection.execute("PRAGMA max_page_count=1073741823")

    def count():
        with sqlite3.connect(tmp_path / "k.db") as file:
            return file.execute("SELECT count(*) FROM location").fetchone()[0]

    await until(lambda: count() == 50)
    await host.stop()


async def test_many_registrations_at_once_share_their_commits(tmp_path):
    import asyncio

    host, module = await durable(tmp_path)
    writer, commits = module.usrloc.database._writer, []
    commit = writer._commit
    writer._commit = lambda batch: (commits.append(len(batch)), commit(batch))[1]
    await asyncio.gather(*(register(host, module, "Contact: <sip:a@h>", user=f"u{n}") for n in range(200)))
    assert len(commits) < 100
    await host.stop()
