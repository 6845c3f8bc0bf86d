"""`kill -9` at random points of a REGISTER load: ten here, as many as KAMTOOL_KILLS says where it is set.

A durable server loses nothing that it acknowledged; write-back no more than its window.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kamtool.store.url import database_url

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KAMTOOL_KILLS", "10"))

SERVER = """
import asyncio, sys, time
from tests.modules.test_registrar import register
from tests.support.host import Host

async def main(url, mode, durable):
    host = Host()
    await host.load("db_sqlite")
    await host.load("usrloc", db_url=url, db_mode=int(mode), durable=int(durable), timer_interval=1)
    registrar = await host.load("registrar")
    async def phone(name):
        for number in range(100000):
            user = f"{name}-{number // 4}"  # new, twice refreshed, and every fifth gone again
            expires = 0 if number % 4 == 3 and number % 20 == 19 else 600
            _, reply = await register(
                host, registrar, f"Contact: <sip:{name}@10.0.0.1>;expires={expires}", user=user,
                call_id=user, cseq=number + 1,
            )
            if reply.status == 200:
                print(f"{time.time()} {user} {expires}", flush=True)
            host.replies.clear()
            await asyncio.sleep(0.002)
    async def timer():
        while True:
            await asyncio.sleep(1)
            began = time.time()
            await host.tick()
            print(f"{began} written 0", flush=True)
    await asyncio.gather(timer(), *(phone(f"p{n}") for n in range(4)))

asyncio.run(main(*sys.argv[1:]))
"""


def killed(path, mode, durable, wait):
    """The users registered and gone as the phones know it, by time; the server is dead after that.

    And when the last write of its timer that is done began; without `durable` there is one at least.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, database_url(path), str(mode), str(durable)],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    lines = []
    end = time.monotonic() + wait
    missing = {"told"} if durable else {"told", "written"}
    while time.monotonic() < end or missing:
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended by itself"
        missing.discard("written" if " written " in lines[-1] else "told")
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()[:-1]  # the last may be half a line
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    told = [(float(at), user, int(expires)) for at, user, expires in map(str.split, lines)]
    written = [at for at, user, _ in told if user == "written"]
    return [line for line in told if line[1] != "written"], max(written, default=0.0)


@pytest.mark.parametrize("point", range(KILLS))
def test_a_server_killed_at_any_point_has_kept_what_it_promised(tmp_path, point):
    chance = random.Random(point)
    mode, durable = chance.choice([(1, 1), (2, 1), (3, 1), (2, 0)])
    wait = chance.uniform(0.05, 0.8) if durable else chance.uniform(1.2, 2.6)
    told, written = killed(tmp_path / "k.db", mode, durable, wait)
    assert told
    with sqlite3.connect(tmp_path / "k.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = {row[0] for row in file.execute("SELECT username FROM location")}
    promised = told if durable else [line for line in told if line[0] < written]
    last = {user: (at, expires) for at, user, expires in promised}
    later = {user for at, user, _ in told if (at, user) not in {(a, u) for a, u, _ in promised}}
    lost = [user for user, (_, expires) in last.items() if expires and user not in kept and user not in later]
    # The one REGISTER of each phone that was not answered any more may have taken its contact away.
    newest = {user.partition("-")[0]: user for _, user, _ in told}
    assert [user for user in lost if newest[user.partition("-")[0]] != user] == []
    back = [user for user, (_, expires) in last.items() if not expires and user in kept and user not in later]
    assert [user for user in back if newest[user.partition("-")[0]] != user] == []
