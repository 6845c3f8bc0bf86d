"""The recipes in cfg/: each is run, and does what its first lines say."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from kamtool.sip.flow import Address
from kamtool.store.migrate import migrate
from tests.support.process import Served
from tests.support.server import port_of

pytestmark = pytest.mark.live

CFG = Path(__file__).parents[2] / "cfg"


@pytest.fixture
def office(tmp_path, free_port):
    """Starts a server on a recipe, with the account alice in its database."""
    made = []

    def start(name, *options):
        server = Served(tmp_path, free_port())
        migrate(tmp_path / "kamtool.db")
        server.add_user("alice", "wonderland")
        server.start("-f", CFG / name, "-A", f'DBURL="sqlite:///{tmp_path}/kamtool.db"', *options)
        server.address = Address("127.0.0.1", server.port)
        made.append(server)
        return server

    yield start
    for server in made:
        assert server.end() == 0
        assert "Traceback" not in server.log(), server.log()


async def statuses(phone, passwords):
    result = []
    for password in passwords:
        phone.password = password
        result.append((await phone.register()).status)
    return result


async def test_three_failures_in_a_row_block_a_user_for_the_time(office, phone):
    server = office("block-guessing.cfg")
    alice = await phone("alice", server.address)
    # Two failures and a success: it begins anew.
    assert await statuses(alice, ["x", "x", "wonderland", "x", "x", "wonderland"]) == [
        401,
        401,
        200,
        401,
        401,
        200,
    ]
    assert await statuses(alice, ["x", "x", "x", "wonderland"]) == [401, 401, 401, 403]
    # 15 minutes later.
    server.cli("rpc", "htable.seti", "a", "alice::last_auth", "1000000000")
    assert await statuses(alice, ["wonderland"]) == [200]


async def test_a_user_stays_blocked_until_the_time_is_over(office, phone):
    server = office("block-guessing.cfg", "-A", "BLOCKED_SECONDS=2")
    alice = await phone("alice", server.address)
    assert await statuses(alice, ["x", "x", "x", "wonderland"]) == [401, 401, 401, 403]
    for _ in range(100):
        (status,) = await statuses(alice, ["wonderland"])
        if status == 200:
            return
        await asyncio.sleep(0.1)
    pytest.fail("never let in again")


async def test_an_address_above_its_threshold_is_not_heard_and_others_are(kamtool, peer):
    server = await kamtool(CFG / "block-floods.cfg", listens=(("udp", "127.0.0.1"),))
    flooder, other = await peer("127.0.0.21"), await peer("127.0.0.22")
    port = port_of(server)
    for number in range(100):
        flooder.send(flooder.request("OPTIONS", "sip:x@y", branch=f"f{number}"), port, "127.0.0.1")
    other.send(other.request("OPTIONS", "sip:x@y"), port, "127.0.0.1")
    await other.expect(200)
    table = server.modules["htable"].htables["ipban"]
    assert list(table.values) == ["127.0.0.21"]
    assert 290 < table.remaining("127.0.0.21") <= 300
    answered = server.stats["sl:sent_replies"] - 1
    assert 16 <= answered <= 48, "pike blocks between one and three times the density"


async def blocking_lines(server):
    return [line for line in server.log().splitlines() if "Blocking traffic" in line]


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed")
async def test_fail2ban_finds_the_address_that_failed_three_times_and_nothing_forged(office, phone, tmp_path):
    server = office("fail2ban.cfg", "-A", "FAILURES=3")
    alice = await phone("alice", server.address)
    assert await statuses(alice, ["x", "x"]) == [401, 401]
    assert await blocking_lines(server) == []
    assert await statuses(alice, ["x"]) == [401]
    (line,) = await blocking_lines(server)
    text = line.split(") ", 1)[1]  # what follows `0(pid)` is what syslog gets
    assert text == "ALERT: <script>: Blocking traffic from 127.0.0.1"

    head = "Nov 23 10:00:00 edge kamtool[4711]: "
    log = tmp_path / "syslog"
    log.write_text(
        f"{head}{text}\n"
        f"{head}NOTICE: <script>: banned 2001:db8::7 for 300 seconds: scanner\n"
        f"{head}NOTICE: <script>: authentication failed: Blocking traffic from 192.0.2.1 from 192.0.2.9\n"
        f"{head}INFO: receive: X ALERT: <script>: Blocking traffic from 192.0.2.2\n"
        f"{head}ALERT: <script>: Blocking traffic from 192.0.2.3 and more\n"
    )
    filter_file = CFG / "fail2ban/filter.d/kamtool.conf"
    # fail2ban finds common.conf beside the filter.
    shutil.copy("/etc/fail2ban/filter.d/common.conf", tmp_path)
    shutil.copy(filter_file, tmp_path / "kamtool.conf")
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop
        ["fail2ban-regex", "--out", "ip", str(log), str(tmp_path / "kamtool.conf")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["127.0.0.1", "2001:db8::7"], done.stdout + done.stderr


def test_the_jail_names_the_filter_that_is_shipped():
    jail = (CFG / "fail2ban/jail.d/kamtool.conf").read_text()
    assert "filter = kamtool\n" in jail
    assert (CFG / "fail2ban/filter.d/kamtool.conf").is_file()
