"""What happens when the world breaks: a name for each outcome, and nothing lost that was acknowledged.

| what breaks | what comes of it |
|---|---|
| a worker is killed (`kill -9`) under load | it is replaced; calls that stand go on, whichever worker a request meets; a REGISTER that was answered is on the disk (`durable`) or with the other workers, one that comes while nobody writes waits for the successor of worker 0, and is refused with 503 and Retry-After where that takes too long; what was between INVITE and answer in that worker ends by its own timers at the phones |
| the name servers are silent | addresses and registered phones are called as ever; a request to a name is answered 478 once the tries are over; a hundred such requests are one question; the first request after they are back is resolved |
| the disk is full | `durable`: REGISTER is refused (5xx), for a 200 would lie; else it is answered 200, called, kept in memory, written once there is room; the log and `kamtool db` name the full disk; calls do not notice |
| the wall clock jumps, forth or back | timers, transactions, registrations and dialogs run by the monotonic clock and do not notice; nonces of another day are stale: challenged once more (`stale=true`), no password is asked for; after a restart a registration that ended by the calendar is not called |
| more calls come than it can take, or hold (`tests/server/test_overload.py`) | new requests are answered 503 with Retry-After while the loop is late, a queue is full or the bound of transactions is met; a quarter above the bound requests within dialogs are dropped, and counted; what runs goes on, memory is bounded, the tables are empty when it is over |
"""  # noqa: E501

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from kamtool.store.migrate import migrate
from tests.support.digest import authorization, nonce_of
from tests.support.server import port_of
from tests.support.until import SOON, until
from tests.support.workers import CFG, cfg_file, one_for_each, worker_pids

pytestmark = pytest.mark.live

DAY = 86400
AGAIN = 0.3
"""Seconds after which a phone repeats what is not answered."""


class Phone:
    """A peer that repeats its requests until they are answered, and answers what it is asked."""

    def __init__(self, peer, port, name):
        self.peer, self.port, self.name = peer, port, name
        self.answers, self.asked = {}, []
        self.answered, self.is_deaf = asyncio.Event(), False
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        while True:
            message = await self.peer.inbox.get()
            if not message.is_request:
                if message.status >= 200:
                    self.answers.setdefault((message.call_id, message.cseq), message)
                    self.answered.set()
            elif message.method != "ACK":
                self.asked.append(message)
                if self.is_deaf:
                    continue
                contact = f"Contact: <{self.peer.uri}>\r\n"
                self.peer.send(self.peer.answer(message, 200, headers=contact), self.port)

    async def ask(self, text, call_id, cseq=1, limit=SOON):
        """The final answer, however often it has to be asked for."""
        end = time.monotonic() + limit
        while (call_id, cseq) not in self.answers:
            assert time.monotonic() < end, f"{self.name} has no answer"
            self.peer.send(text, self.port)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    while (call_id, cseq) not in self.answers:
                        self.answered.clear()
                        await self.answered.wait()
        return self.answers[call_id, cseq]

    async def register(self, user, extra="", cseq=1, headers=""):
        uri = self.peer.uri.replace("peer@", f"{user}@")
        text = self.peer.request(
            "REGISTER", "sip:example.com", branch=f"r{user}{cseq}", call_id=f"r-{user}", cseq=cseq,
            headers=f"Contact: <{uri}{extra}>;expires=600\r\n{headers}",
        )  # fmt: skip
        return await self.ask(text.replace("<sip:you@", f"<sip:{user}@"), f"r-{user}", cseq)

    async def register_at_last(self, user):
        """As a phone does: it tries again, where the answer says so."""
        for cseq in range(1, 60):
            answer = await self.register(user, cseq=cseq)
            if answer.status == 200:
                return
            assert answer.status == 503
            assert answer.header("Retry-After")
            await asyncio.sleep(0.1)
        raise AssertionError(f"{user} cannot register")

    async def invite(self, user, call_id):
        text = self.peer.request(
            "INVITE", f"sip:{user}@127.0.0.1", branch=f"i{call_id}", call_id=call_id,
            headers=f"Contact: <{self.peer.uri}>\r\n",
        )  # fmt: skip
        return await self.ask(text, call_id)

    async def call(self, user, call_id):
        """An answered call: its route set and the 200."""
        ok = await self.invite(user, call_id)
        assert ok.status == 200
        routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
        self.in_dialog("ACK", 1, call_id, routes, ok)
        return routes, ok

    def in_dialog(self, method, cseq, call_id, routes, ok, *, send=True):
        uri = ok.header("Contact").strip("<>")
        text = self.peer.request(
            method, uri, branch=f"{method}{call_id}", cseq=cseq, to_tag="you", call_id=call_id, headers=routes
        )
        if send:
            self.peer.send(text, self.port)
        return text


@pytest.fixture
async def phones(peer):
    made = []

    async def make(server_port, name, of=None):
        made.append(Phone(of or await peer(), server_port, name))
        return made[-1]

    yield make
    for phone in made:
        phone.reader.cancel()


def stored(path):
    with sqlite3.connect(path) as database:
        return dict(database.execute("SELECT username, contact FROM location"))


@pytest.mark.parametrize("which", [0, 1], ids=["the one that writes", "the other"])
async def test_a_worker_killed_under_load_takes_no_standing_call_and_no_acknowledged_register(
    served, peer, phones, tmp_path, which
):
    path = tmp_path / "kam.db"
    migrate(path)
    server = served().start("-f", cfg_file(tmp_path), "--workers", 2, "-A", f'DBURL="sqlite:///{path}"')
    pair = await one_for_each(peer, server.port, 2)
    victim = worker_pids(server)[which]
    callers = [await phones(server.port, f"caller{pid}", of=one) for pid, one in pair.items()]
    callee = await phones(server.port, "bob")
    assert (await callee.register("bob")).status == 200
    calls = []
    for n in range(8):
        caller = callers[n % 2]
        calls.append((caller, f"stands{n}", *await caller.call("bob", f"stands{n}")))

    done = []

    async def load(phone, part):
        for n in range(60):
            user = f"u{part}x{n}"
            await phone.register_at_last(user)
            done.append(user)

    async def kill():
        await until(lambda: len(done) > 60)
        os.kill(victim, signal.SIGKILL)

    async with asyncio.TaskGroup() as group:
        group.create_task(kill())
        for part in range(4):
            group.create_task(load(callers[part % 2], part))
    await until(lambda: "is replaced" in server.log())
    assert len(done) == 240
    found = stored(path)
    assert set(done) <= set(found), "a REGISTER was answered and is not on the disk"
    for caller, call_id, routes, ok in calls:
        bye = caller.in_dialog("BYE", 2, call_id, routes, ok, send=False)
        assert (await caller.ask(bye, call_id, 2)).status == 200
    assert {each.call_id for each in callee.asked if each.method == "BYE"} == {call[1] for call in calls}
    for n, caller in enumerate(callers * 2):
        await caller.call("bob", f"after{n}")
    assert server.end() == 0


NAMES_CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
request_route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if ($rd == "127.0.0.1" && !lookup("location")) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
"""


async def test_a_register_waits_for_the_successor_of_the_worker_that_writes(served, peer, tmp_path):
    """Worker 0 reads nothing and dies: what was asked before, and what is asked then, comes on the disk."""
    path = tmp_path / "kam.db"
    migrate(path)
    server = served().start("-f", cfg_file(tmp_path), "--workers", 2, "-A", f'DBURL="sqlite:///{path}"')
    writer, other = worker_pids(server)
    phone = (await one_for_each(peer, server.port, 2))[other]

    def send(user):
        headers = f"Contact: <{phone.uri.replace('peer@', f'{user}@')}>;expires=600\r\n"
        text = phone.request(
            "REGISTER", "sip:example.com", branch=user, call_id=f"reg-{user}", headers=headers
        )
        phone.send(text.replace("<sip:you@", f"<sip:{user}@"), server.port)

    os.kill(writer, signal.SIGSTOP)
    for number in range(5):
        send(f"before{number}")
    await phone.silence(0.2)
    os.kill(writer, signal.SIGKILL)
    for number in range(5):
        send(f"after{number}")
    for _ in range(10):
        await phone.expect("200")
    assert len(stored(path)) == 10
    assert server.end() == 0


async def test_silent_name_servers_hold_up_only_who_asks_for_a_name(
    kamtool, nameserver, peer, phones, tmp_path
):
    bob = await peer()
    names = await nameserver("there.example 60 A 127.0.0.1\nother.example 60 A 127.0.0.1")
    names.silent |= {"there.example", "other.example"}
    server = await kamtool(NAMES_CFG, resolver=names.resolver(tmp_path, try_seconds=1, tries=1))
    port = port_of(server)
    caller, callee = await phones(port, "caller"), await phones(port, "bob", of=bob)
    assert (await callee.register("bob")).status == 200

    async def message(uri, name):
        text = caller.peer.request("MESSAGE", uri, branch=name, call_id=name)
        return (await caller.ask(text, name)).status

    lost = [asyncio.create_task(message(f"sip:x@there.example:{bob.port}", f"n{n}")) for n in range(100)]
    await until(lambda: names.asked)
    for n in range(50):
        assert await message("sip:bob@127.0.0.1", f"known{n}") == 200
    assert len(server.transports.resolver.questions.running) <= 1
    assert set(await asyncio.gather(*lost)) == {478}
    names.silent.clear()
    assert await message(f"sip:x@other.example:{bob.port}", "back") == 200


DISK = 'mount -t tmpfs -o size="$1" kamtool-test "$2" && cp "$3" "$2"/kam.db && shift 3 && exec "$@"'
OWN_MOUNTS = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Ur", "--mount"]
LONG = ";note=" + "x" * 380


class Disk:
    """A small file system that only one server sees."""

    def __init__(self, tmp_path):
        self.folder, self.empty = tmp_path / "disk", tmp_path / "empty.db"
        self.folder.mkdir()
        migrate(self.empty)
        size = self.empty.stat().st_size + 250_000
        self.prefix = [*OWN_MOUNTS, "sh", "-c", DISK, "sh", str(size), str(self.folder), str(self.empty)]
        self.url = f'DBURL="sqlite:///{self.folder}/kam.db"'

    def inside(self, server, *words):
        """Run a program in the server's view of the file system; what it prints."""
        enter = ["nsenter", "--target", str(server.process.pid), "--mount"]
        if os.geteuid():
            enter += ["--user", "--preserve-credentials"]
        done = subprocess.run([*enter, *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stored(self, server):
        code = "import sqlite3, sys; print(*sum(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]), ()))"
        sql = "SELECT username FROM location"
        return self.inside(server, sys.executable, "-c", code, f"{self.folder}/kam.db", sql).split()

    def make_room(self, server):
        self.inside(server, "mount", "-o", "remount,size=64m", str(self.folder))


@pytest.fixture
def disk(tmp_path):
    if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no mounts of one's own")
    return Disk(tmp_path)


async def fill(phone, answered, most=400):
    """Register new users until one is refused, or `most` have been answered."""
    for n in range(most):
        user = f"u{n}"
        status = (await phone.register(user, LONG)).status
        if status != 200:
            return status
        answered.append(user)
    return 200


async def test_a_full_disk_refuses_what_must_be_on_it_and_calls_go_on(served, phones, disk, tmp_path):
    server = served()
    server.prefix = disk.prefix
    server.start("-f", cfg_file(tmp_path), "-A", disk.url)
    phone, callee, answered = await phones(server.port, "phone"), await phones(server.port, "bob"), []
    assert (await callee.register("bob")).status == 200
    status = await fill(phone, answered)
    assert 500 <= status < 600, f"{len(answered)} are answered 200"
    assert "disk is full" in server.log()
    await phone.call("bob", "full")
    before = disk.stored(server)
    assert set(answered) <= set(before)
    disk.make_room(server)
    assert (await phone.register("later", LONG)).status == 200
    after = disk.stored(server)
    assert {*answered, "bob", "later"} <= set(after)
    assert server.end() == 0


async def test_a_full_disk_is_written_to_later_where_memory_is_the_truth(served, phones, disk, tmp_path):
    text = CFG.replace('modparam("usrloc", "durable", 1)', "").replace('"db_mode", 1', '"db_mode", 2')
    often = 'modparam("usrloc", "timer_interval", 1)\n'
    text = text.replace("modparam(", often + "modparam(", 1)
    server = served()
    server.prefix = disk.prefix
    server.start("-f", cfg_file(tmp_path, text), "-A", disk.url)
    phone, answered = await phones(server.port, "phone"), []
    assert await fill(phone, answered, 500) == 200
    await until(lambda: "disk is full" in server.log())
    await phone.call(answered[-1], "full")
    assert len(disk.stored(server)) < len(answered)
    disk.make_room(server)
    await until(lambda: set(answered) <= set(disk.stored(server)))
    assert server.end() == 0


CLOCK_CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
loadmodule "db_sqlite.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 1)
modparam("usrloc", "db_url", DBURL)
modparam("tm", "fr_timer", 1500)
request_route {
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("example.com", "secret", "0")) { www_challenge("example.com", "0"); exit; }
        save("location");
        exit;
    }
    if (!lookup("location")) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
"""


@pytest.fixture
def wall(monkeypatch):
    """A wall clock that `wall(seconds)` puts forth or back; the monotonic one goes on as ever."""
    real, jumped = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + jumped[0])

    def jump(seconds):
        jumped[0] += seconds

    return jump


def proof(challenge):
    value = authorization(nonce_of(challenge), "bob", realm="example.com", qop="")
    return f"Authorization: {value}\r\n"


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_clock_that_jumps_ends_no_transaction_and_no_registration(
    kamtool, peer, phones, tmp_path, wall, jump
):
    path = tmp_path / "kam.db"
    migrate(path)
    server = await kamtool(CLOCK_CFG, defines={"DBURL": f'"sqlite:///{path}"'})
    bob, caller = await phones(port_of(server), "bob"), await phones(port_of(server), "caller")
    challenge = await bob.register("bob")
    assert challenge.status == 401
    assert (await bob.register("bob", cseq=2, headers=proof(challenge))).status == 200

    bob.is_deaf = True
    ringing = asyncio.create_task(caller.invite("bob", "rings"))
    await until(lambda: bob.asked)
    wall(jump)
    assert (await ringing).status == 408
    assert len(bob.asked) > 1, "it was not asked again"
    assert len({each.branch for each in bob.asked}) == 1
    bob.is_deaf = False

    assert (await caller.invite("bob", "answered")).status == 200, "the registration is gone"
    stale = await bob.register("bob", cseq=3, headers=proof(challenge))
    assert stale.status == 401
    assert "stale=true" in stale.header("WWW-Authenticate").lower()
    assert (await bob.register("bob", cseq=4, headers=proof(stale))).status == 200


async def test_what_ended_by_the_calendar_is_not_called_after_a_restart(
    kamtool, peer, phones, tmp_path, wall
):
    path = tmp_path / "kam.db"
    migrate(path)
    defines = {"DBURL": f'"sqlite:///{path}"'}
    server = await kamtool(CLOCK_CFG, defines=defines)
    bob = await phones(port_of(server), "bob")
    challenge = await bob.register("bob")
    assert (await bob.register("bob", cseq=2, headers=proof(challenge))).status == 200
    await server.stop()
    for jump, status in ((60, 200), (DAY, 404)):
        wall(jump)
        server = await kamtool(CLOCK_CFG, defines=defines)
        caller = await phones(port_of(server), "caller")
        bob.port = port_of(server)
        assert (await caller.invite("bob", f"again{jump}")).status == status
        await server.stop()
