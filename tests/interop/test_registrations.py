"""The same REGISTER sequences at Kamailio and kamtool, on the same cfg: same answers, same rows."""

import re
import shutil
import socket
import sqlite3
import time

import pytest

from kamtool.store.migrate import migrate
from kamtool.store.times import to_epoch
from tests.interop.registrations import SEQUENCES, VARIANTS, Ask
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
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_url", "sqlite:///{database}")
modparam("usrloc", "db_mode", 1)
{params}
request_route {{
    if (is_method("REGISTER")) {{
        save("location");
        exit;
    }}
    $var(code) = lookup("location");
    append_to_reply("X-Code: $var(code)\\r\\nX-Ru: $ru\\r\\nX-Du: $du\\r\\n");
    append_to_reply("X-Branches: $branch(count) $(branch(uri)[0]) $(branch(uri)[1])\\r\\n");
    sl_send_reply("200", "OK");
}}
"""
COLUMNS = (
    "username", "contact", "received", "path", "q", "callid", "cseq", "flags", "cflags", "user_agent",
    "methods", "instance", "reg_id", "expires",
)  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM location ORDER BY username, id"
COMPARED = ("path", "require", "unsupported", "flow-timer", "min-expires", "retry-after")


class Server:
    """One of the two: a port, a database."""

    def __init__(self, port, database):
        self.port = port
        # One that stays open: the real server loses a row while somebody opens or closes the file.
        self.file = sqlite3.connect(database)

    def ask(self, text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            ours.settimeout(SOON)
            ours.sendto(text.encode(), ("127.0.0.1", self.port))
            return ours.recv(65536).decode()

    def rows(self):
        """The rows by user, ready to be compared: of times what is left, in tens of seconds."""
        found = self.file.execute(
            f"SELECT {', '.join(COLUMNS)} FROM location ORDER BY username, id"
        ).fetchall()
        users = {}
        for row in found:
            named = {column: value or None for column, value in zip(COLUMNS, row, strict=True)}
            named["expires"] = round((to_epoch(row[-1]) - time.time()) / 10)
            users.setdefault(named.pop("username"), []).append(named)
        return users


def request(user, step, number, cseq):
    method = step.method if isinstance(step, Ask) else "REGISTER"
    target = "sip:example.com"
    lines = []
    if isinstance(step, Ask):
        name = (step.uri or "{user}").format(user=user, USER=user.upper())
        target = f"sip:{name}" if "@" in name else f"sip:{name}@example.com"
        call = f"ask-{number}"
    else:
        lines = [*(f"Contact: {contact}" for contact in step.contacts), *step.headers]
        call = step.call
    return "\r\n".join([
        f"{method} {target} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK-{user}-{number}",
        f"From: <sip:{user}@example.com>;tag=f", f"To: <sip:{user}@example.com>",
        f"Call-ID: {user}-{call}",
        f"CSeq: {cseq} {method}", "Max-Forwards: 70", "User-Agent: phone", *lines,
        "Content-Length: 0", "", "",
    ])  # fmt: skip


def outcome(answer):
    """What is compared of an answer; the temporary GRUU and the text of an error are each server's own."""
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    found = {"status": head[0].split(" ")[1], "contacts": []}
    for line in head[1:]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if name == "contact":
            found["contacts"] += [contact(entry) for entry in re.split(r",\s*(?=<)", value)]
        elif name in COMPARED or name.startswith("x-"):
            found[name] = value.strip().rstrip()
        elif name == "p-registrar-error":
            found[name] = "there"
    return found


def contact(entry):
    uri, *params = re.findall(r'<[^>]*>|[^;"]+(?:"[^"]*")?', entry)
    facts = dict(param.partition("=")[::2] for param in params)
    if "expires" in facts:
        facts["expires"] = round(int(facts["expires"]) / 10)
    if "temp-gruu" in facts:
        facts["temp-gruu"] = "there"
    return uri, facts


def play(server, names):
    """Every answer of every sequence."""
    answers = {}
    for name in names:
        cseq = 0
        for number, step in enumerate(SEQUENCES[name].steps):
            cseq = getattr(step, "cseq", 0) or cseq + 1
            answers[name, number] = outcome(server.ask(request(name, step, number, cseq)))
    return answers


def cfg_of(folder, variant):
    folder.mkdir()
    database = folder / "l.db"
    migrate(database)
    cfg = folder / "registrar.cfg"
    cfg.write_text(CFG.format(database=database, params=VARIANTS[variant]).lstrip())
    return cfg, database


@pytest.fixture
def pair(tmp_path, free_port):
    """Starts both servers on a variant."""
    if not shutil.which("kamailio"):
        pytest.skip("Kamailio is not installed (Debian: kamailio kamailio-sqlite-modules)")
    running = []

    def start(variant):
        cfg, database = cfg_of(tmp_path / "theirs", variant)
        port = free_port()
        ping = request("nobody", Ask(), 0, 1).encode()
        launched = Launched(cfg, tmp_path, lambda: answers(port, ping), "-l", f"udp:127.0.0.1:{port}")
        running.append(launched.end)
        theirs = Server(port, database)
        cfg, database = cfg_of(tmp_path / "ours", variant)
        served = Served(tmp_path / "ours", free_port())
        running.append(lambda: served.process and served.end())
        served.start("-f", cfg)
        return theirs, Server(served.port, database)

    yield start
    for end in reversed(running):
        end()


@pytest.mark.parametrize("variant", VARIANTS)
def test_kamailio_and_kamtool_answer_and_store_the_same(pair, variant):
    theirs, ours = pair(variant)
    names = [name for name, sequence in SEQUENCES.items() if sequence.variant == variant]
    answered, wanted = play(ours, names), play(theirs, names)
    end = time.monotonic() + SOON
    while (stored := ours.rows()) != (kept := theirs.rows()) and time.monotonic() < end:
        if all(stored.get(n) == kept.get(n) for n in names if not SEQUENCES[n].differs):
            break
        time.sleep(0.1)
    differing = []
    for name in names:
        if SEQUENCES[name].differs:
            continue
        for number in range(len(SEQUENCES[name].steps)):
            if answered[name, number] != wanted[name, number]:
                differing.append(
                    f"{name} {number}:\n  {answered[name, number]}\n  Kamailio {wanted[name, number]}"
                )
        if stored.get(name) != kept.get(name):
            differing.append(f"{name}: rows\n  {stored.get(name)}\n  Kamailio {kept.get(name)}")
    assert not differing, "\n".join(differing)


def test_there_are_forty_sequences_at_least():
    assert sum(not sequence.differs for sequence in SEQUENCES.values()) >= 40
