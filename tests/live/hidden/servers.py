"""The two servers, on the same cfg."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.ports import OURS
from tests.support.process import KAMTOOL, PATIENT
from tests.support.until import SOON

CFG = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "db_sqlite.so"
loadmodule "topos.so"
modparam("topos", "db_url", "sqlite:///{database}")
{more}
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    t_check_trans();
    record_route();
    $du = "sip:127.0.0.1:{bob}";
    t_relay();
}}
"""
ROOT = Path(__file__).parents[3]


class Running:
    """A server in a folder of its own, until the end of the block."""

    def __init__(self, kamailio, more=""):
        self.kamailio, self.more = kamailio, more

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hidden"))
        self.process = None
        return self

    def start(self, bob):
        self.port = OURS.choose()
        cfg, database = self.folder / "kamailio.cfg", self.folder / "kamtool.db"
        if self.kamailio:
            for name in ("standard", "topos"):
                script = Path(f"/usr/share/kamailio/db_sqlite/{name}-create.sql").read_text()
                subprocess.run(["sqlite3", database], input=script, text=True, check=True)
        cfg.write_text(CFG.format(port=self.port, bob=bob, database=database, more=self.more))
        begin = (
            ["kamailio", "-x", "fm", "-DD", "-E", "-m", "32"] if self.kamailio
            else [*KAMTOOL, "serve", *PATIENT, "-E", "-D", "--drain", "0"]
        )  # fmt: skip
        self.process = subprocess.Popen(
            [*begin, "-f", cfg, "-Y", self.folder, "-P", self.folder / "pid"],
            cwd=ROOT, stdout=(self.folder / "log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.wait()
        return self.port

    def wait(self):
        """Until it answers."""
        probe = (
            b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKprobe\r\n"
            b"From: <sip:p@x>;tag=1\r\nTo: <sip:p@x>;tag=2\r\nCall-ID: p\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.settimeout(0.2)
            ours.connect(("127.0.0.1", self.port))
            end = time.monotonic() + SOON
            while time.monotonic() < end:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                try:
                    ours.send(probe)
                    ours.recv(65535)
                    return
                except OSError:
                    time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def __exit__(self, *_):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
        shutil.rmtree(self.folder)
