"""msilo at Kamailio and kamtool, on the same cfg: the same messages leave, the same rows remain."""

import re
import shutil
import socket
import sqlite3
import time

import pytest

from kamtool.sip.message import parse
from kamtool.store.migrate import migrate
from tests.support.kamailio import Launched, answers
from tests.support.process import Served
from tests.support.until import SOON

pytestmark = pytest.mark.interop

CFG = """
#!KAMAILIO
debug=1
log_stderror=yes
children=1
dns=no
rev_dns=no
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "db_sqlite.so"
loadmodule "msilo.so"
modparam("msilo", "db_url", "sqlite:///{database}")
modparam("msilo", "snd_time_avp", "$avp(at)")
modparam("msilo", "extra_hdrs_avp", "$avp(extra)")
modparam("msilo", "from_address", "sip:desk@example.org")
modparam("msilo", "contact_hdr", "Contact: <sip:desk@example.org>;msilo=yes\\r\\n")
modparam("msilo", "content_type_hdr", "Content-Type: text/html\\r\\n")
modparam("msilo", "offline_message", "User $rU is offline")
modparam("msilo", "extra_hdrs", "X-All: $tU\\r\\n")
modparam("msilo", "outbound_proxy", "sip:127.0.0.1:{phone}")
modparam("msilo", "reminder", "sip:clock@example.org")
modparam("msilo", "send_time", 1)
modparam("msilo", "check_time", 1)
modparam("msilo", "max_messages", 3)
modparam("msilo", "skip_notification_flag", 5)
modparam("msilo", "add_contact", {add_contact})
modparam("msilo", "add_date", {add_date})
modparam("msilo", "use_contact", {use_contact})
request_route {{
    if (is_method("REGISTER")) {{
        if ($hdr(X-Owner) != $null) m_dump("$hdr(X-Owner)");
        else m_dump();
        $var(rc) = $rc;
        append_to_reply("X-Code: $var(rc)\\r\\n");
        sl_send_reply("200", "OK");
        exit;
    }}
    if (!is_method("MESSAGE")) {{ sl_send_reply("200", "OK"); exit; }}
    if ($hdr(X-At) != $null) $avp(at) = $hdr(X-At);
    if ($hdr(X-Extra) != $null) $avp(extra) = "X-Stored: " + $hdr(X-Extra) + "\\r\\n";
    if ($hdr(X-Skip) != $null) setflag(5);
    if ($hdr(X-Owner) != $null) m_store("$hdr(X-Owner)");
    else m_store();
    $var(rc) = $rc;
    append_to_reply("X-Code: $var(rc)\\r\\n");
    sl_send_reply("202", "Accepted");
}}
"""
TEXT, SKIP = "Content-Type: text/plain", "X-Skip: 1"
A, C, D, Z = (f"sip:{user}@example.org" for user in "acdz")
CONTACT = "Contact: <sip:a@192.0.2.1>"
STEPS = [
    ("MESSAGE", A, "hello", TEXT),
    ("MESSAGE", A, "<a/>", "Content-Type: application/xml", "Expires: 100", "X-Extra: one"),
    ("MESSAGE", A, "from a contact", TEXT, "Contact: <sip:bob@192.0.2.9:5066>"),
    ("MESSAGE", A, "one too many", TEXT),
    ("MESSAGE", A, "", TEXT),
    ("MESSAGE", "sip:example.org", "no user", TEXT),
    ("MESSAGE", C, "no type"),
    ("MESSAGE", C, "bad owner", TEXT, "X-Owner: dora"),
    ("MESSAGE", A, "owned", TEXT, SKIP, f"X-Owner: {D}"),
    ("MESSAGE", "sip:c@example.org:5070;transport=udp", "it's", TEXT, SKIP, "Expires: 0"),
    ("MESSAGE", "sips:c@example.org;user=phone", "long", TEXT, SKIP, "Expires: 999999999"),
    ("MESSAGE", "tel:+123", "tel", TEXT, SKIP),
    ("MESSAGE", "sip:h@example.org", "headers", TEXT, SKIP, "P-Foo: 1", "Subject: s", "x-low: 2",
     "Priority: urgent", "Call-Info: <sip:i>", "In-Reply-To: q", "Reason: r", "Reply-To: <sip:r@x>",
     "Privacy: id"),
    ("MESSAGE", "sip:t@example.org", "bad time", TEXT, SKIP, "X-At: nonsense"),
    ("MESSAGE", "sip:t@example.org", "too long", TEXT, SKIP, "X-At: 202701011213149"),
    ("MESSAGE", "sip:t@example.org", "a day", TEXT, SKIP, "X-At: 20370101"),
    ("MESSAGE", "sip:u@example.org", "month 13", TEXT, SKIP, "X-At: 20271301"),
    ("MESSAGE", "sip:u@example.org", "long due", TEXT, SKIP, "X-At: 20260101101010"),
    ("REGISTER", A, "", CONTACT, "Expires: 0"),
    ("REGISTER", A, "", CONTACT, "Allow: INVITE, ACK"),
    ("REGISTER", A, "", CONTACT + ';methods="INVITE"', "Allow: MESSAGE"),
    ("REGISTER", A, ""),
    ("REGISTER", A, "", CONTACT, "Allow: INVITE, MESSAGE"),
    ("REGISTER", A, "", CONTACT),
    ("REGISTER", C, "", CONTACT + ";expires=60"),
    ("REGISTER", "sip:nobody@example.org", "", CONTACT),
    ("REGISTER", Z, "", CONTACT, "X-Owner: sip:h@example.org"),
    ("REGISTER", Z, "", CONTACT, "X-Owner: junk"),
    ("MESSAGE", Z, "refused", TEXT, SKIP),
    ("REGISTER", Z, "", CONTACT, "X-Answer: 480"),
    ("REGISTER", Z, "", CONTACT, "X-Answer: 480"),
]  # fmt: skip
VARIANTS = {"as it comes": (0, 1, 1), "turned round": (1, 0, 0)}
SENT = ("Content-Type", "Contact", "X-All", "X-Stored", "P-Foo", "x-low", "In-Reply-To", "Reply-To",
        "Privacy", "Subject", "Priority", "Call-Info", "Reason", "X-Skip")  # fmt: skip
ROWS = (
    "SELECT src_addr, dst_addr, username, domain, exp_time - inc_time, snd_time, ctype, CAST(body AS TEXT), "
    "CAST(extra_hdrs AS TEXT), callid, status FROM silo ORDER BY id"
)
PING = (
    b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK-p\r\n"
    b"From: <sip:p@x>;tag=p\r\nTo: <sip:p@x>\r\nCall-ID: p\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
CLOCK = re.compile(r"(?<=message - )[^]]+")


class Phone:
    """Sends the steps, answers and remembers the MESSAGEs that come."""

    def __init__(self, wire, port, database):
        self.wire, self.port, self.sent, self.codes = wire, port, [], []
        # One that stays open: the real server loses a row while somebody opens or closes the file.
        self.file = sqlite3.connect(database)
        self.status = "200"

    def play(self):
        for number, step in enumerate(STEPS):
            self._ask(number, *step)
        self._settle(lambda: len(self.sent))
        # Kamailio removes what was accepted when it next looks, each second.
        return self.codes, self.sent, self._settle(self.rows)

    def _ask(self, number, method, uri, body, *headers):
        self.status = next((h[-3:] for h in headers if h.startswith("X-Answer")), "200")
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.wire.getsockname()[1]};branch=z9hG4bK-{number}",
            "From: <sip:bob@example.org>;tag=f", f"To: <{uri}>", f"Call-ID: c{number}",
            f"CSeq: {number + 1} {method}", "Max-Forwards: 70", *headers,
            f"Content-Length: {len(body)}", "", body,
        ]  # fmt: skip
        self.wire.sendto("\r\n".join(lines).encode(), ("127.0.0.1", self.port))
        self._hear(f"c{number}")
        # What this step causes comes before the next one. (Kamailio sends what was refused again only once
        # it has looked, which it does each second.)
        quiet = 1.5 if self.status != "200" else 0.05 if SKIP in headers else 0.3
        self._settle(lambda: len(self.sent), quiet)

    def _settle(self, value, quiet=2.5):
        """Listen until `value()` has not changed for so long; the value."""
        last, since = value(), time.monotonic()
        while time.monotonic() - since < quiet:
            self._hear()
            if (now := value()) != last:
                last, since = now, time.monotonic()
        return last

    def _hear(self, call_id="", limit=SOON):
        """Take what comes; with `call_id` until the answer to that request."""
        end = time.monotonic() + limit
        while True:
            try:
                message = parse(self.wire.recvfrom(65536)[0])
            except TimeoutError:
                assert time.monotonic() < end, f"no answer to {call_id}"
                if call_id:
                    continue
                return
            if message.data.startswith(b"MESSAGE"):
                self._take(message)
            elif message.call_id == call_id:
                self.codes.append((call_id, message.header("X-Code")))
                return

    def _take(self, message):
        lines = [f"SIP/2.0 {self.status} Whatever", *(f"Via: {via}" for via in message.items("Via"))]
        lines += [f"{name}: {message.header(name)}" for name in ("From", "To", "Call-ID", "CSeq")]
        self.wire.sendto(
            ("\r\n".join([*lines, "Content-Length: 0", "", ""])).encode(), ("127.0.0.1", self.port)
        )
        told = message.uri, message.from_.uri, message.to.uri, CLOCK.sub("…", message.body.decode())
        headers = [f"{f.name}: {f.value}" for f in message.fields() if f.name in SENT]
        self.sent.append((*told, bool(message.header("Date")), *sorted(headers)))

    def rows(self):
        return self.file.execute(ROWS).fetchall()


@pytest.fixture
def run(tmp_path, free_port):
    """Play all steps against a server; `start(cfg, port, folder)` starts it and returns what ends it."""
    if not shutil.which("kamailio"):
        pytest.skip("Kamailio is not installed (Debian: kamailio kamailio-sqlite-modules)")

    def play(name, start, variant):
        folder = tmp_path / name
        folder.mkdir()
        database, cfg = folder / "l.db", folder / "msilo.cfg"
        migrate(database)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.bind(("127.0.0.1", 0))
            wire.settimeout(0.02)
            contact, date, back = VARIANTS[variant]
            cfg.write_text(
                CFG.lstrip().format(
                    database=database, phone=wire.getsockname()[1], add_contact=contact, add_date=date,
                    use_contact=back,
                )
            )  # fmt: skip
            port = free_port()
            end = start(cfg, port, folder)
            try:
                return Phone(wire, port, database).play()
            finally:
                end()

    return play


def kamailio(cfg, port, folder):
    return Launched(cfg, folder, lambda: answers(port, PING), "-l", f"udp:127.0.0.1:{port}").end


def ours(cfg, port, folder):
    served = Served(folder, port)
    served.start("-f", cfg)
    return served.end


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_messages_leave_and_the_same_rows_remain(run, variant):
    codes, sent, rows = run("ours", ours, variant)
    wanted_codes, wanted_sent, wanted_rows = run("theirs", kamailio, variant)
    assert codes == wanted_codes
    assert rows == wanted_rows
    reminders = [message for message in wanted_sent if message[1] == "sip:clock@example.org"]
    assert len(reminders) == 1
    assert reminders[0] in sent, "a reminder comes when its second has come"
    assert [m for m in sent if m not in reminders] == [m for m in wanted_sent if m not in reminders]
    assert len(sent) == len(wanted_sent) >= 10
