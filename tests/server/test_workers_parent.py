"""The parent of the workers and its signals, with workers that only start and stop."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.until import until

PARENT = """
import signal, sys
from pathlib import Path
from kamtool.server.notify import Notify
from kamtool.server.workers import Team
from kamtool.server.workers_parent import Parent

folder = Path(sys.argv[1])

def work(team, ready):
    (folder / f"begun{team.number}").touch()
    while not (folder / "go").exists():
        signal.sigtimedwait([], 0.01)
    signal.signal(signal.SIGTERM, lambda *_: None)
    ready()
    signal.sigtimedwait([], 0.01)
    (folder / f"ended{team.number}").touch()
    return 0

sys.exit(Parent(Team(2), work, lambda: None, Notify()).run())
"""


@pytest.fixture
def parent(tmp_path):
    """A parent of two workers that have begun, and are ready once there is a file `go`."""
    process = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path])
    yield process
    process.kill()
    process.wait()


async def test_a_worker_told_to_stop_before_it_is_ready_stops_in_good_order(parent, tmp_path):
    await until(lambda: len([*tmp_path.glob("begun*")]) == 2)
    parent.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert parent.wait(30) == 0
    assert {path.name for path in tmp_path.glob("ended*")} == {"ended0", "ended1"}


async def test_a_second_signal_ends_workers_that_never_get_ready(parent, tmp_path):
    await until(lambda: len([*tmp_path.glob("begun*")]) == 2)
    parent.send_signal(signal.SIGTERM)
    await until(lambda: not is_pending(parent.pid, signal.SIGTERM))
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == 0
    assert not [*tmp_path.glob("ended*")]


def is_pending(pid, number):
    """Whether a blocked signal still waits for a process."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(rows["ShdPnd"], 16) >> (number - 1) & 1)
