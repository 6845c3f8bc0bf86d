"""So much of a core and no more for each of some processes: a machine with few cores then has room for many.

A control group for each, with a quota of the completely fair scheduler: `cpu.max` of version 2, where that
has the cpu controller, else `cpu.cfs_quota_us` of version 1.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.servers import Unavailable

PERIOD_US = 20_000
MOUNTED = Path("/sys/fs/cgroup")


@contextmanager
def quotas(processes: Sequence[int], share: float) -> Iterator[None]:
    """Each of `processes` has `share` of a core while this lasts. Raises Unavailable with the reason."""
    quota = round(PERIOD_US * share)
    made: list[Path] = []
    root = _root()
    try:
        for pid in processes:
            group = root / f"kamtool-bench-{os.getpid()}-{pid}"
            _fair(pid)
            try:
                group.mkdir()
                made.append(group)
                if (group / "cpu.max").exists():
                    (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
                else:
                    (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                    (group / "cpu.cfs_quota_us").write_text(str(quota))
                _weigh(group)
                (group / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                raise Unavailable(f"no CPU quota can be given in {root}: {error}") from error
        yield
    finally:
        for group in made:
            _leave(group, root)


def _root() -> Path:
    """Where groups with a quota can be made."""
    if (MOUNTED / "cpu" / "cgroup.procs").exists():
        return MOUNTED / "cpu"
    with contextlib.suppress(OSError):
        if "cpu" in (MOUNTED / "cgroup.controllers").read_text().split():
            (MOUNTED / "cgroup.subtree_control").write_text("+cpu")
            return MOUNTED
    raise Unavailable(f"{MOUNTED} has no cpu controller to write to")


def _fair(pid: int) -> None:
    """Out of a real-time class, which no quota binds: a bench that is run by chrt hands it down."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))


def _weigh(group: Path) -> None:
    """Before all others as long as the quota lasts: what else this machine does is not to be measured."""
    for name, most in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
        if (group / name).exists():
            with contextlib.suppress(OSError):
                (group / name).write_text(most)


def _leave(group: Path, root: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (root / "cgroup.procs").write_text(pid)
    for _ in range(100):  # one that has just ended still counts for a moment
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return
