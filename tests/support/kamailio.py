"""The real Kamailio, where Debian's package is installed: started on a cfg and a port of its own."""

import shutil
import socket
import subprocess
import time

import pytest

from tests.support.until import SOON

CFG = """
#!KAMAILIO
debug=2
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
loadmodule "ctl.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "db_sqlite.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("ctl", "binrpc", "unix:{folder}/ctl.sock")
modparam("usrloc|auth_db", "db_url", "sqlite:///{database}")
modparam("usrloc", "db_mode", {db_mode})
modparam("auth_db", "load_credentials", "")
modparam("auth_db", "calculate_ha1", {calculate_ha1})
modparam("auth_db", "password_column", "{password_column}")
request_route {{
    if (is_method("REGISTER")) {{
        if (!www_authenticate("kamtool", "subscriber")) {{ www_challenge("kamtool", "1"); exit; }}
        save("location");
        exit;
    }}
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    append_to_reply("X-Contact: $ru\\r\\n");
    sl_send_reply("200", "OK");
}}
"""


class Launched:
    """A process of it on the cfg of a test; it stands once `up()` is true, within half a minute.

    Into its SQLite file it does not wait for a lock, it loses the row: who reads keeps one connection open.
    """

    def __init__(self, cfg, folder, up, *words):
        self.path = folder / "kamailio.log"
        self.log = self.path.open("ab")
        self.process = subprocess.Popen(
            ["kamailio", "-DD", "-E", "-m", "32", "-f", cfg, "-Y", folder, "-P", folder / "kamailio.pid",
             *words],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip
        try:
            self._wait(up)
        except BaseException:
            self.end()
            raise

    def _wait(self, up):
        end = time.monotonic() + SOON
        while not up():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < end, self.told()
            time.sleep(0.05)

    def told(self):
        return self.path.read_text(errors="replace")

    def end(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def answers(port, request):
    """Whether anything comes back for this request over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(request)
            return probe.recv(65536)
        except OSError:
            return b""


class Kamailio:
    """A running Kamailio with accounts and locations."""

    def __init__(self, folder, port):
        self.folder, self.port, self.launched = folder, port, None

    def start(self, database, db_mode=1, calculate_ha1=0, password_column="ha1"):
        cfg = self.folder / "kamailio.cfg"
        cfg.write_text(
            CFG.format(
                port=self.port, folder=self.folder, database=database, db_mode=db_mode,
                calculate_ha1=calculate_ha1, password_column=password_column,
            ).lstrip()
        )  # fmt: skip
        self.launched = Launched(cfg, self.folder, lambda: not self.rpc("core.uptime").returncode, "-x", "fm")
        return self

    def rpc(self, *words):
        return subprocess.run(
            ["kamcmd", "-s", f"unix:{self.folder}/ctl.sock", *words],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    def stop(self):
        if self.launched:
            self.launched.end()
            self.launched = None

    def ask(self, text):
        """Send one request over UDP and return the answer as text; `{port}` in it is our own port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            ours.settimeout(SOON)
            text = text.replace("{port}", str(ours.getsockname()[1])).strip("\n").replace("\n", "\r\n")
            ours.sendto(text.encode() + b"\r\n\r\n", ("127.0.0.1", self.port))
            return ours.recv(65536).decode()


@pytest.fixture
def kamailio(tmp_path, free_port):
    if not shutil.which("kamailio") or not shutil.which("kamdbctl"):
        pytest.skip("Kamailio is not installed (Debian: kamailio kamailio-sqlite-modules)")
    folder = tmp_path / "kamailio"
    folder.mkdir()
    running = Kamailio(folder, free_port())
    yield running
    running.stop()
