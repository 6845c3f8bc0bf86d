"""What the kernel knows of a process and its children: CPU, memory, datagrams dropped."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants that live now."""
    found, queue = [], [pid]
    while queue:
        process = queue.pop()
        found.append(process)
        for task in PROC.glob(f"{process}/task/*/children"):
            with contextlib.suppress(OSError):
                queue.extend(int(child) for child in task.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """CPU used so far by `pid`, its threads and its descendants.

    `schedstat` counts nanoseconds; the 10 ms ticks of `stat` would drown a short run. A thread that has ended
    is missing from it, so nothing that starts threads per operation may be measured this way.
    """
    total = 0
    for process in tree(pid):
        for schedstat in PROC.glob(f"{process}/task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(schedstat.read_text().split()[0])
    return total / 1e9


def rss_bytes(pid: int) -> int:
    """Resident memory of the tree; a page that several processes share is counted once (PSS)."""
    return sum(_smaps(process, "Pss") for process in tree(pid))


def _smaps(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def resident_bytes(pid: int) -> int:
    """VmRSS of one process as `ps` shows it."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE


def drops(port: int) -> int:
    """Datagrams the kernel threw away because the receive queue of a UDP socket on `port` was full."""
    total = 0
    for table in ("udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if int(columns[1].rpartition(":")[2], 16) == port:
                    total += int(columns[-1])
    return total


def pin(cores: set[int], pid: int = 0) -> None:
    """Keep a process on `cores`, as far as this machine has them."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, cores & set(range(os.cpu_count() or 1)) or {0})


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Keep this process on `cores` for a while."""
    before = os.sched_getaffinity(0)
    pin(cores)
    try:
        yield
    finally:
        pin(before)
