"""What the system allows this process, against what the cfg may need of it: said at the start."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from kamtool.transport.tcp_options import TcpOptions

OWN_FILES = 128
"""Files beside connections: sockets, databases, the log, the loop's own."""
CONNECTION_BYTES = 24 << 10
"""Memory of an idle TLS connection; one of TCP takes less."""
SMALLEST_BYTES = 64 << 20
TRANSACTION_BYTES = 8 << 10
"""A relayed INVITE with its SDP, its branch and its answer, from growth under overload."""
TRANSACTIONS_SHARE = 4
"""One part of so many is for transactions; the rest is for contacts, tables, connections and the system."""


def raise_open_files(wanted: int) -> int:
    """Allow this process `wanted` open files, as far as the hard limit goes; what is allowed now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else soft


def complaints(options: TcpOptions, allowed_files: int, memory: int) -> Iterator[str]:
    """A line for each limit that the cfg's own limits could meet. `memory` 0 is unlimited."""
    files = options.max_connections + OWN_FILES
    if files > allowed_files:
        yield (
            f"{allowed_files} open files are allowed, but tcp_max_connections={options.max_connections} may "
            f"need {files}: `ulimit -n {files}`, or LimitNOFILE={files} in the unit"
        )
    wanted = SMALLEST_BYTES + options.max_tls_connections * CONNECTION_BYTES + options.max_total_bytes
    if 0 < memory < wanted:
        yield (
            f"{memory >> 20} MB of memory are allowed, but "
            f"tls_max_connections={options.max_tls_connections} and tcp_wq_max={options.max_total_bytes} "
            f"may need {wanted >> 20}"
        )


def memory_allowed(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The octets that ulimit and the control group allow this process; 0 for no limit."""
    limits = []
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    try:
        own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        text = (cgroup / own / "memory.max").read_text().strip()
        limits += [int(text)] if text.isdigit() else []
    except OSError:
        pass
    return min(limits, default=0)


def memory_of_the_machine() -> int:
    """Its octets of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def most_transactions() -> int:
    """So many transactions may be held at once, all workers together."""
    memory = memory_of_the_machine()
    return min(memory_allowed() or memory, memory) // TRANSACTIONS_SHARE // TRANSACTION_BYTES
