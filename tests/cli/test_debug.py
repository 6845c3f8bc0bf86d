"""`kamtool debug` as its user has it: over a pseudo-terminal of 80x24, from a file, and as JSON."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from tests.support.debugged import Phone
from tests.support.process import KAMTOOL
from tests.support.until import SOON

pytestmark = pytest.mark.live


def test_a_first_session_at_a_terminal(debugged):
    server, debug = debugged
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


def test_a_wrong_line_is_an_error_and_a_hint_and_the_prompt_stays(debugged):
    _server, debug = debugged
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


def test_names_are_completed_with_their_manual(debugged):
    _server, debug = debugged
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


def test_a_dead_terminal_ends_it_and_what_it_parked_goes_on(debugged):
    server, debug = debugged
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


def test_a_server_that_goes_ends_it(debugged):
    server, debug = debugged
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


def test_a_file_of_commands_gives_the_same_transcript_each_time(debugged):
    server, _ = debugged
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


def test_json_has_an_object_a_line(debugged):
    server, _ = debugged
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


def test_dap_over_stdio_answers_initialize(debugged):
    server, _ = debugged
    body = b'{"seq": 1, "type": "request", "command": "initialize", "arguments": {}}'
    done = subprocess.run(
        [*KAMTOOL, "debug", "--dap"], env=server.environment, capture_output=True, timeout=60, check=False,
        input=b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )  # fmt: skip
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"Content-Length: ")
    assert json.loads(answer)["body"]["supportsConditionalBreakpoints"] is True
    assert done.returncode == 0


def test_dap_is_served_to_this_machine_only(debugged):
    server, _ = debugged
    done = server.cli("debug", "--dap", "192.0.2.1:4711")
    assert done.returncode == 2
    assert "192.0.2.1 is not this machine" in done.stderr


def test_dap_over_tcp_serves_one_editor_after_another(debugged):
    server, _ = debugged
    process = subprocess.Popen(
        [*KAMTOOL, "debug", "--dap", "127.0.0.1:0"], env=server.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stderr.readline().rpartition(":")[2])
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=SOON) as editor:
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
        process.wait(SOON)
