"""Root given up, and the root folder changed: as the processes of the tests can only where they are root."""

import os
import pwd
import random
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kamtool.errors import UsageError
from kamtool.server import privileges
from tests.support.process import PATIENT
from tests.support.until import SOON

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
USER = "nobody"
KAMTOOL = (sys.executable, "-m", "kamtool.cli.main")
CFG = """#!KAMAILIO
listen=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "db_sqlite.so"
modparam("usrloc", "db_url", "sqlite://{database}")
modparam("usrloc", "db_mode", 1)
request_route {{
    if ($rm == "REGISTER") {{ save("location"); exit; }}
    sl_send_reply("200", "OK");
}}
"""
REGISTER = (
    b"REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK1\r\n"
    b"From: <sip:a@x>;tag=1\r\nTo: <sip:a@x>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
    b"Contact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def folder():
    """A folder that another user may enter: pytest's own are for us alone."""
    if os.getuid() != 0:
        pytest.skip("only root can become another")
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="kamtool-root-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def serve(folder):
    """`serve(port, *options)` starts a server and waits until it answers."""
    running = []

    def start(port, *options, database="/db/kamtool.db"):
        cfg = folder / "kamailio.cfg"
        cfg.write_text(CFG.format(port=port, database=database))
        process = subprocess.Popen(
            [*KAMTOOL, "serve", *PATIENT, "-f", cfg, "-E", "--drain", "0", *map(str, options)],
            cwd=ROOT, stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        running.append(process)
        wait_for_all(process, folder)
        ask(port, process, folder)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def wait_for_all(process, folder):
    """Until every worker runs: then the server says where it is."""
    end = time.monotonic() + 90
    while "  control " not in (log := (folder / "log").read_text()):
        assert time.monotonic() < end, log
        assert process.poll() is None, log
        time.sleep(0.05)


def ask(port, process, folder):
    """A REGISTER until it is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.settimeout(0.3)
        ours.connect(("127.0.0.1", port))
        end = time.monotonic() + SOON
        while time.monotonic() < end and process.poll() is None:
            try:
                ours.send(REGISTER)
                assert ours.recv(65535).startswith(b"SIP/2.0 200")
                return
            except OSError:
                time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


def owned(folder, name):
    place = folder / name
    place.mkdir(mode=0o700)
    account = pwd.getpwnam(USER)
    os.chown(place, account.pw_uid, account.pw_gid)
    return place


def ids_of(process):
    """All user and group numbers of a process and its children, and how many processes that is."""
    numbers, count = set(), 0
    for entry in Path("/proc").glob("[0-9]*/status"):
        try:
            rows = dict(line.split(":", 1) for line in entry.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if str(process.pid) in (entry.parent.name, rows["PPid"].strip()):
            count += 1
            numbers |= {("u", int(n)) for n in rows["Uid"].split()} | {
                ("g", int(n)) for n in rows["Gid"].split()
            }
            assert "0" not in rows["Groups"].split()
    return numbers, count


def a_low_port():
    """A port that only root may bind, free now."""
    for port in random.sample(range(700, 1023), 50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other,
        ):
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no low port is free")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_binds_a_low_port_and_is_root_no_more(serve, folder, workers):
    home, database = owned(folder, "run"), owned(folder, "db")
    options = ("-u", USER, "-Y", home, "-P", home / "pid", "--workers", workers)
    process = serve(a_low_port(), *options, database=f"/{database}/kamtool.db")
    account = pwd.getpwnam(USER)
    ids, count = ids_of(process)
    assert ids == {("u", account.pw_uid), ("g", account.pw_gid)}
    assert count >= workers
    control = home / "kamtool.sock"
    assert control.stat().st_uid == account.pw_uid
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    assert (database / "kamtool.db").stat().st_uid == account.pw_uid
    process.terminate()
    assert process.wait(30) == 0
    assert not control.exists()
    connection = sqlite3.connect(database / "kamtool.db")
    assert connection.execute("SELECT username FROM location").fetchall() == [("a",)]
    connection.close()


def test_a_server_sees_only_its_root_folder(serve, folder):
    jail = owned(folder, "jail")
    process = serve(a_low_port(), "-t", jail, "-u", USER, "-w", "/", "-Y", "/", database="//kamtool.db")
    assert os.readlink(f"/proc/{process.pid}/root") == str(jail)
    assert {path.name for path in jail.iterdir()} >= {"kamtool.db", "kamtool.sock"}
    assert ("u", 0) not in ids_of(process)[0]
    rpc = [*KAMTOOL, "rpc", "-s", jail / "kamtool.sock"]
    for method in ("core.uptime", "ul.dump", "core.tcp_info", "stats.get_statistics all"):
        done = subprocess.run([*rpc, *method.split()], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    process.terminate()
    assert process.wait(30) == 0
    log = (folder / "log").read_text()
    assert "Traceback" not in log, log


def test_the_cfg_says_who_a_server_is_and_what_it_sees_where_the_command_line_does_not(
    serve, folder, monkeypatch
):
    jail = owned(folder, "jail")
    more = f'user="{USER}"\ngroup="nogroup"\nchroot="{jail}"\nworkdir="/"\n'
    monkeypatch.setattr(f"{__name__}.CFG", CFG.replace("listen=", f"{more}listen=", 1))
    process = serve(a_low_port(), "-Y", "/", database="//kamtool.db")
    assert os.readlink(f"/proc/{process.pid}/root") == str(jail)
    assert os.readlink(f"/proc/{process.pid}/cwd") == str(jail)
    numbers = ids_of(process)[0]
    assert ("u", 0) not in numbers
    assert ("g", 0) not in numbers
    process.send_signal(signal.SIGUSR2)
    end = time.monotonic() + SOON
    while "no process can take over" not in (log := (folder / "log").read_text()):
        assert time.monotonic() < end, log
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 0
    assert "Traceback" not in (folder / "log").read_text()


def test_the_command_line_outweighs_the_cfg(serve, folder, monkeypatch):
    owned(folder, "run")
    owned(folder, "db")
    monkeypatch.setattr(f"{__name__}.CFG", CFG.replace("listen=", 'user="no-such-user"\nlisten=', 1))
    process = serve(a_low_port(), "-u", USER, "-Y", folder / "run", database=f"/{folder}/db/kamtool.db")
    assert ("u", 0) not in ids_of(process)[0]


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (("-u", "no-such-user"), "there is no user 'no-such-user'", 2),
        (("-g", "no-such-group"), "there is no group 'no-such-group'", 2),
        (("-t", "/no/such/folder"), "cannot enter /no/such/folder: it is no folder", 1),
    ],
)
def test_who_cannot_be_is_said_in_one_line(tmp_path, free_port, options, said, code):
    cfg = tmp_path / "kamailio.cfg"
    cfg.write_text(CFG.format(port=free_port(), database=f"/{tmp_path}/kamtool.db"))
    done = subprocess.run(
        [*KAMTOOL, "serve", "-f", cfg, *options, "-Y", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert done.stderr.splitlines()[0].endswith(said), done.stderr
    assert "Traceback" not in done.stderr


def test_who_is_not_root_is_told(tmp_path, folder):
    """In a child that has given up root: it cannot become another."""
    script = (
        "from kamtool.server.privileges import *\n"
        f"become(identity({USER!r}, ''))\n"
        "for last in (lambda: become(identity('root', '')), lambda: become(identity('', 'root'))):\n"
        "    try: last()\n"
        "    except UsageError as error: print(error.exit_code, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["6 cannot become root: only root can"] * 2


def test_numbers_are_as_good_as_names():
    account = pwd.getpwnam(USER)
    assert privileges.identity(str(account.pw_uid), "").uid == account.pw_uid
    assert privileges.identity("", "0").gid == 0
    with pytest.raises(UsageError, match="there is no user '99999999999'"):
        privileges.identity("99999999999", "")
