"""`kamtool serve` as a process: how it starts, refuses to start, and stops."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from tests.support.process import KAMTOOL
from tests.support.until import SOON

pytestmark = pytest.mark.live

SMALL = """
loadmodule "sl.so"
loadmodule "pv.so"
request_route { sl_send_reply("200", "OK"); }
"""
OPTIONS = (
    "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1;branch=z9hG4bKa;rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
    "Call-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def first_line(port, transport="udp"):
    """What the server answers to an OPTIONS."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.settimeout(SOON)
        peer.connect(("127.0.0.1", port))
        peer.sendall(OPTIONS.format(port=port, transport=transport.upper()).encode())
        return peer.recv(4096).partition(b"\r\n")[0].decode()


@pytest.fixture
def small(tmp_path):
    """A cfg that answers everything with 200."""
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)
    return path


def refusal(server, *arguments):
    """Start in vain: the exit code, and what was said."""
    done = server.cli("serve", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_default_cfg_answers_options(served, transport):
    server = served().start()
    assert first_line(server.port, transport) == "SIP/2.0 200 OK"


def test_it_says_where_everything_is_and_what_to_type_next(served):
    server = served().start()
    said = server.log()
    assert "kamtool 0.1.0 (" in said
    assert f"{server.folder / 'kamtool.db'} (created)" in said
    assert f"udp:127.0.0.1:{server.port}" in said
    assert f"tcp:127.0.0.1:{server.port}" in said
    assert "kamtool user add alice" in said
    assert server.end() == 0
    server.start()
    assert f"{server.folder / 'kamtool.db'} (found)" in server.log()


def test_the_database_is_for_its_owner_alone(served):
    server = served().start()
    assert (server.folder / "kamtool.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_good_order(served, number):
    server = served().start()
    assert server.end(number) == 0
    assert not (server.folder / "control.sock").exists()


def test_usr1_logs_the_counters(served):
    server = served().start()
    assert first_line(server.port)
    server.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "core:rcv_requests=1" in server.log(), server)
    assert first_line(server.port)


def wait_for(claim, server, limit=SOON):
    end = time.monotonic() + limit
    while not claim():
        assert time.monotonic() < end, server.log()
        time.sleep(0.05)


def test_a_port_in_use_is_one_clear_line(served, small):
    first, second = served(), served()
    first.start()
    code, said = refusal(second, "-f", small, "-l", f"udp:127.0.0.1:{first.port}")
    assert code == 1
    assert f"127.0.0.1:{first.port}" in said
    assert "in use" in said
    assert len(said.splitlines()) <= 2


def test_a_control_socket_in_use_is_one_clear_line(served, small):
    first, second = served(), served()
    first.start()
    listen = ("-l", f"udp:127.0.0.1:{second.port}")
    code, said = refusal(second, "-f", small, *listen, "-s", first.folder / "control.sock")
    assert code == 1
    assert "another server is using it" in said
    assert first_line(first.port)


def test_a_missing_cfg_is_not_found(served, tmp_path):
    code, said = refusal(served(), "-f", tmp_path / "nothing.cfg")
    assert code == 3
    assert "nothing.cfg" in said


def test_a_bad_cfg_is_refused_with_all_its_errors(served, tmp_path):
    cfg = tmp_path / "bad.cfg"
    cfg.write_text(
        'loadmodule "sl.so"\nrequest_route {\n  nosuch();\n  sl_send_reply("200");\n  route(NOWHERE);\n}\n'
    )
    code, said = refusal(served(), "-f", cfg)
    assert code == 7
    assert [f"{cfg}:{line}:" in said for line in (3, 4, 5)] == [True] * 3
    code, said = refusal(served(), "-c", "-f", cfg)
    assert code == 255
    assert [f"in config file {cfg}, line {line}," in said for line in (3, 4, 5)] == [True] * 3


def test_check_alone_starts_nothing(served, small):
    server = served()
    done = server.cli("serve", "-c", "-f", small)
    assert (done.returncode, done.stderr.strip()) == (0, "config file ok, exiting...")
    assert list(server.folder.iterdir()) == []


def test_a_module_that_is_not_built_is_refused_with_its_line(served, tmp_path):
    cfg = tmp_path / "far.cfg"
    cfg.write_text('loadmodule "sl.so"\nloadmodule "nosuchmodule.so"\nrequest_route { exit; }\n')
    code, said = refusal(served(), "-f", cfg)
    assert code == 7
    assert f"{cfg}:2:" in said
    assert "nosuchmodule" in said


def test_an_unreadable_database_is_one_clear_line(served):
    server = served()
    (server.folder / "kamtool.db").write_bytes(b"this is no database, but long enough to look at" * 100)
    code, said = refusal(server, "-l", f"udp:127.0.0.1:{server.port}")
    assert code == 1
    assert str(server.folder / "kamtool.db") in said
    assert len(said.splitlines()) <= 2


def test_a_newer_database_is_one_clear_line_and_stays_as_it_is(served):
    server = served()
    server.start()
    assert server.end() == 0
    path = server.folder / "kamtool.db"
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO kamtool_migrations VALUES ('usrloc', '9999_future.sql', 0)")
    database.close()
    code, said = refusal(server, "-l", f"udp:127.0.0.1:{server.port}")
    assert code == 1
    assert "newer" in said
    with sqlite3.connect(path) as database:
        assert database.execute(
            "SELECT count(*) FROM kamtool_migrations WHERE name LIKE '9999%'"
        ).fetchone() == (1,)
    database.close()


def test_a_folder_that_cannot_be_written_is_one_clear_line(served):
    server = served()
    (server.folder / "file").write_text("")
    server.environment["KAMTOOL_DB"] = str(server.folder / "file" / "kamtool.db")
    code, said = refusal(server, "-l", f"udp:127.0.0.1:{server.port}")
    assert code == 1
    assert "kamtool.db" in said


def test_the_pid_file_names_the_process_and_goes_with_it(served, small):
    server = served()
    pid_file = server.folder / "kamtool.pid"
    server.start("-f", small, "-P", pid_file)
    assert int(pid_file.read_text()) == server.process.pid
    code, said = refusal(served(), "-f", small, "-P", pid_file)
    assert code == 4
    assert str(server.process.pid) in said
    assert server.end() == 0
    assert not pid_file.exists()
    pid_file.write_text("999999999\n")
    server.start("-f", small, "-P", pid_file)
    assert int(pid_file.read_text()) == server.process.pid


def test_in_the_background_the_command_returns_once_the_server_runs(served, small):
    server = served()
    pid_file = server.folder / "kamtool.pid"
    done = server.cli("serve", "-f", small, "-l", f"udp:127.0.0.1:{server.port}", "-DDD", "-P", pid_file)
    assert done.returncode == 0, done.stderr
    number = int(pid_file.read_text())
    try:
        assert first_line(server.port) == "SIP/2.0 200 OK"
        assert os.getsid(number) == number
    finally:
        os.kill(number, signal.SIGTERM)
    wait_for(lambda: not pid_file.exists(), server)


def test_a_background_server_that_cannot_start_tells_the_caller(served, small):
    first, second = served(), served()
    first.start()
    code, said = refusal(second, "-f", small, "-l", f"udp:127.0.0.1:{first.port}", "-DDD")
    assert code == 1
    assert "in use" in said


def test_defines_reach_the_cfg(served, tmp_path):
    cfg = tmp_path / "defines.cfg"
    cfg.write_text(
        'loadmodule "sl.so"\nloadmodule "pv.so"\nrequest_route {\n#!ifdef WITH_WORD\n'
        'sl_send_reply("299", WORD);\n#!else\nsl_send_reply("200", "OK");\n#!endif\n}\n'
    )
    server = served().start("-f", cfg, "-A", "WITH_WORD", "-A", 'WORD="Very Well"')
    assert first_line(server.port) == "SIP/2.0 299 Very Well"


@pytest.mark.parametrize("letter", ["-v", "-V", "--version"])
def test_the_version_begins_as_kamailios(served, letter):
    assert served().cli("serve", letter).stdout.startswith("version: kamtool 0.1.0 (")


def test_internals_name_the_files_it_would_use(served):
    server = served()
    said = server.cli("serve", "-I").stdout
    assert str(server.folder / "kamtool.db") in said
    assert "default.cfg" in said


def test_kamailios_other_letters_are_taken(served, small):
    letters = [
        "-n",
        "4",
        "-N",
        "2",
        "-m",
        "64",
        "-M",
        "8",
        "-x",
        "fm",
        "-X",
        "fm",
        "-L",
        "/usr/lib",
        "-W",
        "epoll_lt",
        "-O",
        "3",
        "-S",
        "--atexit",
        "no",
        "-a",
        "no",
        "-e",
        "-dd",
        "-DD",
        "-E",
    ]
    server = served()
    assert server.cli("serve", "-c", "-f", small, *letters, "-Y", server.folder, "-w", "/tmp").returncode == 0


@pytest.mark.parametrize("number", ["0", "65", "many", "-1"])
def test_a_number_of_workers_that_cannot_be_is_refused(served, number):
    code, said = refusal(served(), "--workers", number)
    assert code == 2
    assert "--workers" in said


def test_an_idle_server_is_small_and_imports_nothing_heavy(served):
    server = served().start()
    status = (f"/proc/{server.process.pid}/status", f"/proc/{server.process.pid}/maps")
    with open(status[0]) as file:
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1))
    with open(status[1]) as file:
        assert "cryptography" not in file.read()
    assert resident < 45_000, f"{resident} kB"


def test_the_server_process_imports_neither_rich_nor_prompt_toolkit_nor_cryptography(
    tmp_path, small, free_port
):
    code = (
        "import os, signal, sys, threading, time\n"
        "from kamtool.cli.main import main\n"
        "def stop():\n"
        "    while not os.path.exists(sys.argv[-1]): time.sleep(0.1)\n"
        "    time.sleep(1); os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Thread(target=stop, daemon=True).start()\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print([n for n in ('rich', 'prompt_toolkit', 'cryptography') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [KAMTOOL[0], "-c", code, "serve", "-f", small, "-l", f"127.0.0.1:{free_port()}",
         "-s", tmp_path / "s"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[]"], done.stderr


def test_rpc_of_the_core_answers_as_kamailios(served):
    server = served().start()

    def rpc(*words):
        done = server.cli("rpc", "-o", "json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert set(rpc("core.uptime")) == {"now", "up_since", "uptime"}
    assert rpc("core.echo", "s:5", "i:6", "x") == ["5", "6", "x"]
    assert {entry["socket"]["proto"] for entry in rpc("core.sockets_list")} == {"udp", "tcp"}
    assert rpc("core.psx")[0]["PID"] == server.process.pid
    assert "registrar" in rpc("core.modules")
    assert "core.uptime" in rpc("system.listMethods")
    assert "core.echo [WORDS …]" in rpc("system.methodHelp", "core.echo")
    first_line(server.port)
    assert rpc("stats.fetchn", "core:rcv_requests") == {"core.rcv_requests": 1}
    assert "core:rcv_requests = 1" in rpc("stats.get_statistics", "core:")
    assert "core:rcv_requests = 1" in rpc("stats.clear_statistics", "core:")
    assert rpc("stats.fetch", "core:rcv_requests") == {"core.rcv_requests": "0"}


def test_an_rpc_that_is_refused_is_a_failure_of_the_command(served):
    server = served().start()
    done = server.cli("rpc", "core.uptme")
    assert done.returncode == 1
    assert "did you mean 'core.uptime'?" in done.stderr
    assert server.cli("rpc", "--help", "core.echo").stdout.startswith("core.echo")
    assert server.cli("rpc", "--list", "core.").stdout.count("core.") > 5
    assert server.end() == 0
    assert server.cli("rpc", "core.uptime").returncode == 5


def test_rpc_kill_stops_the_server(served):
    server = served().start()
    server.cli("rpc", "core.kill")
    assert server.process.wait(SOON) == 0
