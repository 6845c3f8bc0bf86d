"""Limits of the system that are below what a cfg may need."""

import resource
from pathlib import Path

from kamtool.server import limits
from kamtool.transport.tcp_options import TcpOptions


def test_too_few_open_files_are_told_with_the_remedy():
    (told,) = limits.complaints(TcpOptions(max_connections=5000), 1024, 0)
    assert "tcp_max_connections=5000" in told
    assert f"ulimit -n {5000 + limits.OWN_FILES}" in told


def test_too_little_memory_is_told():
    (told,) = limits.complaints(TcpOptions(max_tls_connections=100_000), 1 << 20, 512 << 20)
    assert "512 MB" in told
    assert "tls_max_connections=100000" in told


def test_limits_that_are_enough_are_not_mentioned():
    assert list(limits.complaints(TcpOptions(), 65_536, 0)) == []


def test_open_files_are_raised_to_what_is_wanted_but_not_past_the_hard_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        assert limits.raise_open_files(600) == 600
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
        assert limits.raise_open_files(300) == 600  # never lowered
        if before[1] != resource.RLIM_INFINITY:
            assert limits.raise_open_files(before[1] + 5) == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_memory_of_the_control_group_is_seen(tmp_path):
    own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
    place = tmp_path / own
    place.mkdir(parents=True, exist_ok=True)
    (place / "memory.max").write_text("123456789\n")
    assert limits.memory_allowed(tmp_path) == 123456789
    (place / "memory.max").write_text("max\n")
    assert limits.memory_allowed(tmp_path) == 0
