"""What the kernel knows of a process: CPU, memory, which one listens on a port; and what the machine's
energy meter says.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PROC = Path("/proc")
POWERCAP = Path("/sys/class/powercap")


def tree(pid: int) -> list[int]:
    """`pid` and its descendants that live now."""
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        for task in PROC.glob(f"{one}/task/*/children"):
            with contextlib.suppress(OSError):
                queue.extend(int(child) for child in task.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """CPU used so far by `pid`, its threads and descendants that live now."""
    total = 0
    for one in tree(pid):
        for schedstat in PROC.glob(f"{one}/task/*/schedstat"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                total += int(schedstat.read_text().split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Resident memory of `pid` and its descendants; shared pages count once for each."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int((PROC / str(one) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def open_files(pid: int) -> int:
    """How many files and sockets a process has open, 0 when that may not be read."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def drops(port: int) -> int:
    """Datagrams thrown away because the receive queue of a UDP socket on `port` was full."""
    total = 0
    for table in ("udp", "udp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if int(columns[1].rpartition(":")[2], 16) == port:
                    total += int(columns[-1])
    return total


def listener(port: int, transport: str) -> int:
    """The process that listens on a port of this machine, the first of several; 0 when it cannot be seen."""
    inodes = set()
    for table in ("udp", "udp6") if transport == "udp" else ("tcp", "tcp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                listening = transport == "udp" or columns[3] == "0A"
                if listening and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    pids = sorted(int(entry) for entry in os.listdir(PROC) if entry.isdigit()) if inodes else []
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                        return pid
    return 0


def why_no_joules() -> str:
    """Why `joules` gives None here."""
    meters = list(POWERCAP.glob("*-rapl:[0-9]/energy_uj")) if POWERCAP.exists() else []
    if not meters:
        return "this machine shows no energy meter (RAPL)"
    return f"{meters[0]} may not be read by this user"


def joules() -> float | None:
    """What the processor packages have used so far (RAPL), None where that cannot be read."""
    total, found = 0.0, False
    for meter in POWERCAP.glob("*-rapl:[0-9]/energy_uj") if POWERCAP.exists() else ():
        with contextlib.suppress(OSError, ValueError):
            total += int(meter.read_text()) / 1e6
            found = True
    return total if found else None
