"""`kamtool debug --tui`: the whole terminal, over a pseudo-terminal, screen by screen."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.support.debugged import Phone
from tests.support.process import KAMTOOL

pytestmark = pytest.mark.live
KEYS = " F1 help F4 back F5 continue F6 zoom F7 step F8 next F9 break ^↑↓ line PgUp"
F1, F4, F5, F6, F7, F8, F9 = (
    b"\x1bOP", b"\x1bOS", b"\x1b[15~", b"\x1b[17~", b"\x1b[18~", b"\x1b[19~", b"\x1b[20~",
)  # fmt: skip
C_DOWN, PAGE_UP = b"\x1b[1;5B", b"\x1b[5~"
STOPPED = (
    """ kamtool debug   ■1 OPTIONS request_route:8                          history 32
─ edge.cfg ───────────────────────────────────────┬─ stack ─────────────────────
     4 loadmodule "tm.so"                         │ request_route edge.cfg:8
     5 loadmodule "siputils.so"                   ├─ watches ───────────────────
     6 loadmodule "textops.so"                    │ $ru = "sip:bob@example.com"
     7 request_route {                            │ `display $du` watches it
●→   8     if (is_method("OPTIONS")) {            │
     9         route(GREET);                      │
    10         $du = "sip:127.0.0.1:9";           │
    11         sl_send_reply("200", "OK");        │
    12     }                                      │
─ message ──────────────────────────────────────────────────────────────────────
  OPTIONS sip:bob@example.com SIP/2.0
  Via: SIP/2.0/UDP PEER;branch=z9hG4bKd1
  From: <sip:alice@example.com>;tag=a
  To: <sip:bob@example.com>
  Call-ID: call-1
────────────────────────────────────────────────────────────────────────────────
kamtool> break request_route
breakpoint 1 at edge.cfg:8
■ 1 OPTIONS sip:bob@example.com SIP/2.0 from udp:PEER
  breakpoint 1, request_route at edge.cfg:8
(1)
"""
    + KEYS
)
STEPPED = """ kamtool debug   ■1 OPTIONS route[GREET]:16                          history 32
─ edge.cfg ───────────────────────────────────────┬─ stack ─────────────────────
     9         route(GREET);                      │ route[GREET] edge.cfg:16
    10         $du = "sip:127.0.0.1:9";           │ request_route edge.cfg:9
    11         sl_send_reply("200", "OK");        ├─ watches ───────────────────
    12     }                                      │ 1: $avp(who) = "alice"
    13 }                                          │ $ru = "sip:bob@example.com"
    14 route[GREET] {                             │ $avp(who) = "alice"
    15     $avp(who) = $fU;                       │
 →  16     append_to_reply("Hello: $avp(who)\\r\\n")│
    17 }                                          │"""


def seen(terminal):
    text = "\n".join(terminal.glass.lines)
    return re.sub(r"127\.0\.0\.1:\d{4,5}", "PEER", text)


def stopped(debugged, **size):
    """A server, its screen with one request parked, and the phone that sent it."""
    server, debug = debugged
    one = debug("--tui", **size)
    one.shows("kamtool>", "nothing is parked")
    one.type("break request_route")
    one.shows("breakpoint 1 at edge.cfg:8")
    phone = Phone(server.port)
    phone.asks()
    one.shows("■1 OPTIONS request_route:8", "Call-ID: call-1", "(1)")
    return server, one, phone


def test_a_session_on_80x24_is_golden(debugged):
    _server, one, phone = stopped(debugged)
    with phone:
        one.shows("`display $du` watches it")
        assert seen(one) == STOPPED
        one.type("delete 1")
        one.type("display $avp(who)")
        for line in ("→   8", "→   9", "→  15", "→  16"):
            if line != "→   8":
                one.press(F7)
            else:
                one.type("step")
            one.shows(line)
        one.shows('1: $avp(who) = "alice"', "$avp(who) = ")
        assert seen(one)[: len(STEPPED)] == STEPPED
        one.press(F4)
        one.shows("as it was before statement", "→  15")
        one.type("now")
        one.shows("→  16")
        one.type('call append_hf("X-New: 1\\r\\n")')
        one.shows("message, 1 new and 0 gone", "+ X-New: 1")
        one.press(F6)
        one.shows("Content-Length: 0")
        one.press(F6 + F6)
        one.press(F8)
        one.shows("→  10")
        one.press(F5)
        assert "Hello: alice" in phone.hears()
        one.shows("nothing is parked")
    one.type("quit")
    assert one.ends() == 0


def test_a_wide_terminal_has_the_message_beside_the_source(debugged):
    _server, one, phone = stopped(debugged, columns=200, rows=50)
    with phone:
        row = next(line for line in one.glass.lines if "OPTIONS sip:bob" in line and "│" in line)
        assert row.index("│") == 110
        assert all(len(line) <= 200 for line in one.glass.lines)
        one.press(F5)
        phone.hears()


def test_f9_sets_and_removes_a_breakpoint_where_the_cursor_is(debugged):
    _server, debug = debugged
    one = debug("--tui")
    one.shows("›   8")
    one.press(C_DOWN)
    one.shows("›   9")
    one.press(F9)
    one.shows("●›   9", "breakpoint 1 at edge.cfg:9")
    one.press(F9)
    one.shows("delete 1", " ›   9")
    one.press(F1)
    one.shows("First: break request_route")
    one.press(PAGE_UP)
    one.shows("`help break` tells more.")
    one.type("brake")
    one.shows("error: there is no command 'brake'", "hint: did you mean `break`?")
    assert one.ends(b"\x04") == 0


def test_a_dead_terminal_ends_the_screen_and_what_it_parked_goes_on(debugged):
    _server, one, phone = stopped(debugged)
    with phone:
        one.process.send_signal(signal.SIGHUP)
        assert one.ends() == 129
        assert phone.hears().startswith("SIP/2.0 200")


def test_a_terminal_that_is_torn_away_ends_the_screen_and_it_never_spins(debugged):
    """Its end of the terminal is closed: SIGHUP, and reads that fail at once."""
    _server, one, phone = stopped(debugged)
    with phone:
        before = os.times()
        os.close(one.fd)
        one.fd = -1
        assert one.process.wait(30) != 0
        after = os.times()
        assert phone.hears().startswith("SIP/2.0 200")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 20, "all the CPU of its life, start included, and not that of a loop that spins"


def test_without_hangup_signal_the_end_of_its_input_ends_it(debugged):
    """A terminal that is nobody's: no SIGHUP comes, only the end of what can be read."""
    server, _ = debugged
    code = (
        "import os, pty, subprocess, sys\n"
        "ours, theirs = pty.openpty()\n"
        f"command = [*{KAMTOOL!r}, 'debug', '--tui']\n"
        "one = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)\n"
        "os.close(theirs)\n"
        "while b'kamtool>' not in os.read(ours, 65536): pass\n"
        "os.close(ours)\n"
        "sys.exit(one.wait(30))\n"
    )
    environment = {**server.environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=90, check=False,
                          start_new_session=True, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 129, (done, time.monotonic() - began)


def test_a_server_that_goes_ends_the_screen_and_says_so(debugged):
    server, debug = debugged
    one = debug("--tui")
    one.shows("kamtool>")
    server.end()
    one.until("the server has gone")
    assert one.ends() == 5


def test_without_a_terminal_it_says_so(debugged):
    server, _ = debugged
    done = server.cli("debug", "--tui", text_in="")
    assert done.returncode == 2
    assert "--tui needs a terminal" in done.stderr
