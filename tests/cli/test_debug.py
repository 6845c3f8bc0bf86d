"""`kamtool debug` as its user has it: over a pseudo-terminal of 80x24, from a file, and as JSON."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from contextlib import suppress

import pytest

from tests.support.process import KAMTOOL

CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {
    if (is_method("OPTIONS")) {
        route(GREET);
        $du = "sip:127.0.0.1:9";
        sl_send_reply("200", "OK");
    }
}
route[GREET] {
    $avp(who) = $fU;
    append_to_reply("Hello: $avp(who)\\r\\n");
}
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")
pytestmark = pytest.mark.live


class Terminal:
    """A program at a pseudo-terminal of 80x24."""

    def __init__(self, arguments, environment):
        self.fd, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [*KAMTOOL, *arguments], stdin=child, stdout=child, stderr=child, start_new_session=True,
            env={**environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(child)
        self.text = ""

    def type(self, line):
        os.write(self.fd, line.encode() + b"\r")

    def until(self, wish, limit=30):
        """Read until `wish` has been shown; what came up to then, without escapes."""
        end = time.monotonic() + limit
        while wish not in ESCAPES.sub("", self.text):
            ready, _, _ = select.select([self.fd], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{wish!r} was not shown:\n{ESCAPES.sub('', self.text)[-3000:]}"
            try:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"it ended before {wish!r}:\n{self.text[-3000:]}") from None
        shown, self.text = ESCAPES.sub("", self.text), ""
        return shown

    def ends(self, keys=b"", limit=30):
        """Its exit code; what it still writes is read away. `keys` are pressed until it heeds them."""
        end = time.monotonic() + limit
        while self.process.poll() is None and time.monotonic() < end:
            if keys:
                with suppress(OSError):
                    os.write(self.fd, keys)
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    break
        return self.process.wait(limit)


@pytest.fixture
def scene(served, tmp_path):
    """A served script, and a way to open debuggers on it."""
    server = served()
    file = server.folder / "edge.cfg"
    file.write_text(CFG)
    server.environment["XDG_STATE_HOME"] = str(tmp_path)
    server.start("-f", file)
    opened = []

    def debug(*arguments):
        terminal = Terminal(["debug", *arguments], server.environment)
        opened.append(terminal)
        return terminal

    yield server, debug
    for terminal in opened:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.fd)


class Phone:
    """Sends OPTIONS and reads what comes."""

    def __init__(self, port):
        self.socket, self.port, self.number = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), port, 0
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def asks(self):
        self.number += 1
        here = self.socket.getsockname()[1]
        text = (
            f"OPTIONS sip:bob@example.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bKd{self.number}\r\n"
            f"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\n"
            f"Call-ID: call-{self.number}\r\n"
            f"CSeq: {self.number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        self.socket.sendto(text.encode(), ("127.0.0.1", self.port))

    def hears(self):
        return self.socket.recv(65535).decode()


def test_a_first_session_at_a_terminal(scene):
    server, debug = scene
    one = debug()
    hello = one.until("kamtool>")
    assert "what you stop waits, all else flows." in hello
    one.type('break request_route if $rm == "OPTIONS"')
    one.until("breakpoint 1 at edge.cfg:8")
    with Phone(server.port) as phone:
        phone.asks()
        shown = one.until("route(GREET);")
        assert "■ 1 OPTIONS sip:bob@example.com SIP/2.0 from udp:127.0.0.1:" in shown
        assert "breakpoint 1, request_route at edge.cfg:8" in shown
        assert '→    8      if (is_method("OPTIONS")) {' in shown
        one.until("(1)")
        one.type("step")
        one.until("→    8")
        one.type("step")
        one.until("→    9")
        one.type("step")
        assert "route[GREET] at edge.cfg:15" in one.until("→   15      $avp(who) = $fU;")
        one.type("")
        assert '$avp(who) = "alice"' in one.until("→   16")
        one.type("where")
        shown = one.until("#1 request_route at edge.cfg:9")
        assert "#0 route[GREET] at edge.cfg:16" in shown
        one.type("print $(ru{uri.host})")
        one.until('"example.com"')
        one.type("finish")
        one.until('→   10          $du = "sip:127.0.0.1:9";')
        one.type("next")
        one.until('$du = "sip:127.0.0.1:9"')
        one.type("who $avp(who)")
        one.until('$avp(who) is "alice" by edge.cfg:15 in request_route')
        one.type("back 2")
        one.until("as it was")
        one.type("now")
        one.until("the present")
        one.type('call append_to_reply("By: hand\\r\\n")')
        one.until("reply header")
        one.type("continue")
        answer = phone.hears()
        assert "Hello: alice" in answer
        assert "By: hand" in answer
    one.type("quit")
    assert one.ends() == 0


def test_a_wrong_line_is_an_error_and_a_hint_and_the_prompt_stays(scene):
    _server, debug = scene
    one = debug()
    one.until("kamtool>")
    one.type("brake 7")
    one.until("hint: did you mean `break`?")
    one.type("break route[GREAT]")
    one.until("hint: did you mean `route[GREET]`?")
    one.type("print $ru")
    one.until("error: no message is parked")
    one.type("help break")
    one.until("e.g. break request_route")
    assert one.ends(b"\x04") == 0


def test_names_are_completed_with_their_manual(scene):
    _server, debug = scene
    one = debug()
    one.until("kamtool>")
    os.write(one.fd, b"break route[G\t")
    one.until("route[GREET]")
    os.write(one.fd, b"\x03")
    one.until("kamtool>")
    os.write(one.fd, b"print $f")
    one.until("$fU")
    os.write(one.fd, b"\x03")  # once: repeated, it would meet a Python that is ending
    assert one.ends(b"\x04") == 0


def test_a_dead_terminal_ends_it_and_what_it_parked_goes_on(scene):
    server, debug = scene
    one = debug()
    one.until("kamtool>")
    one.type("break request_route")
    one.until("breakpoint 1")
    with Phone(server.port) as phone:
        phone.asks()
        one.until("■ 1")
        one.process.send_signal(signal.SIGHUP)
        assert one.ends() == 129
        assert phone.hears().startswith("SIP/2.0 200")


def test_a_server_that_goes_ends_it(scene):
    server, debug = scene
    one = debug()
    one.until("kamtool>")
    server.end()
    one.until("the server has gone")
    assert one.ends() == 5


BATCH = """# a file of commands
break route[GREET]
log fn:sl_send_reply "200 for $fU"
wait
print $rm
where
next
print $avp(who)
history
nosuch
continue
rpc core.psx
wait 1
"""


def test_a_file_of_commands_gives_the_same_transcript_each_time(scene):
    server, _ = scene
    file = server.folder / "first.dbg"
    file.write_text(BATCH)
    process = subprocess.Popen(
        [*KAMTOOL, "debug", "-x", str(file)], env=server.environment, stdout=subprocess.PIPE, text=True
    )
    with Phone(server.port) as phone:
        shown = []
        for line in process.stdout:
            shown.append(line.rstrip())
            if line.startswith("> wait") and "> wait 1" not in line:
                phone.asks()
        assert "Hello: alice" in phone.hears()
    assert process.wait(30) == 1  # one of the lines was wrong
    text = "\n".join(shown[3:]).replace(str(server.folder), "FOLDER")
    text = re.sub(r"127\.0\.0\.1:\d+", "PEER", text).partition("> rpc")[0]
    assert text.split("\n") == TRANSCRIPT.split("\n")


TRANSCRIPT = """> # a file of commands
> break route[GREET]
breakpoint 1 at edge.cfg:15
> log fn:sl_send_reply "200 for $fU"
breakpoint 2 at edge.cfg:11
> wait
■ 1 OPTIONS sip:bob@example.com SIP/2.0 from udp:PEER
  breakpoint 1, route[GREET] at edge.cfg:15
    13  }
    14  route[GREET] {
→   15      $avp(who) = $fU;
    16      append_to_reply("Hello: $avp(who)\\r\\n");
    17  }
> print $rm
"OPTIONS"
> where
  #0 route[GREET] at edge.cfg:15
  #1 request_route at edge.cfg:9
> next
      $avp(who) = "alice"
→   16      append_to_reply("Hello: $avp(who)\\r\\n");
> print $avp(who)
"alice"
> history
   0 edge.cfg:8    if (is_method("OPTIONS")) {
   1 edge.cfg:8    if (is_method("OPTIONS")) {
   2 edge.cfg:9    route(GREET);
   3 edge.cfg:15   $avp(who) = $fU;
      $avp(who) = "alice"
   4 edge.cfg:16   append_to_reply("Hello: $avp(who)\\r\\n");
> nosuch
error: there is no command 'nosuch'
   hint: `help` lists them
> continue
log 2: 200 for alice
"""


def test_json_has_an_object_a_line(scene):
    server, _ = scene
    done = subprocess.run(
        [*KAMTOOL, "debug", "-o", "json"], env=server.environment, capture_output=True, text=True, timeout=60,
        input="break request_route\nprint $ru\nbreakpoints\n", check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(each)) for each in found] == ["hello", "result", "error", "result"]
    assert found[1]["result"]["number"] == 1
    assert found[2] == {
        "error": "no message is parked", "hint": "`break request_route` stops the next one",
        "command": "print $ru",
    }  # fmt: skip
    assert found[3]["result"][0]["text"] == "request_route"
    assert done.returncode == 1


def test_without_a_server_it_says_what_to_do(tmp_path):
    environment = {**os.environ, "KAMTOOL_SOCKET": str(tmp_path / "none.sock")}
    done = subprocess.run(
        [*KAMTOOL, "debug", "-x", os.devnull], env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode in (3, 5)


def test_dap_over_stdio_answers_initialize(scene):
    server, _ = scene
    body = b'{"seq": 1, "type": "request", "command": "initialize", "arguments": {}}'
    done = subprocess.run(
        [*KAMTOOL, "debug", "--dap"], env=server.environment, capture_output=True, timeout=60, check=False,
        input=b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )  # fmt: skip
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"Content-Length: ")
    assert json.loads(answer)["body"]["supportsConditionalBreakpoints"] is True
    assert done.returncode == 0


def test_dap_is_served_to_this_machine_only(scene):
    server, _ = scene
    done = server.cli("debug", "--dap", "192.0.2.1:4711")
    assert done.returncode == 2
    assert "192.0.2.1 is not this machine" in done.stderr


def test_dap_over_tcp_serves_one_editor_after_another(scene):
    server, _ = scene
    process = subprocess.Popen(
        [*KAMTOOL, "debug", "--dap", "127.0.0.1:0"], env=server.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stderr.readline().rpartition(":")[2])
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as editor:
                for number, command in enumerate(("initialize", "attach", "threads", "disconnect"), 1):
                    body = json.dumps({"seq": number, "type": "request", "command": command}).encode()
                    editor.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                said = b""
                while data := editor.recv(65536):
                    said += data
            assert said.count(b'"success": true') == 4
            assert b'"event": "initialized"' in said
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(20)
