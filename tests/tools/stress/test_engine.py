"""The engine against a stand-in server: what it counts, what it measures, and when it gives up."""

import re
import time

import pytest

from kamtool.sip.flow import Address
from kamtool.tools.sippxml.scenario import parse_scenario
from kamtool.tools.stress import builtin
from kamtool.tools.stress.datagrams import open_udp
from kamtool.tools.stress.engine import Engine
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.program import Program
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.stats import Second
from tests.tools.stress.standin import StandIn, answer

pytestmark = pytest.mark.live

KEYS = {"user": "alice", "callee": "bob", "domain": "example.com", "expires": "60"}


def drive(port, load, scenario="options", setting=None, segment=False, each=id, **more):
    """Run an engine in this process; the engine, and all seconds in one."""
    total = Second()

    def report(second):
        each(second)
        total.merge(second)
        return True

    setting = setting or Setting(keys=KEYS)
    found = builtin.scenario(scenario) if isinstance(scenario, str) else scenario
    endpoint = open_udp(Address("127.0.0.1", 0), Address("127.0.0.1", port))
    endpoint.call_id_tail = setting.run.encode()
    if segment:
        endpoint.segment()
    engine = Engine(Program(found, setting), [endpoint], load, report=report, **more)
    try:
        engine.run()
    finally:
        endpoint.close()
    return engine, total


def test_every_call_is_begun_and_ends():
    with StandIn() as server:
        _, total = drive(server.port, Load(rate=400, duration=30, calls=200))
    assert (total.due, total.started, total.succeeded, total.failed) == (200, 200, 200, 0)
    assert total.measures["options"].response.total == 200
    assert len({data.split(b"branch=")[1].split(b";")[0] for data in server.requests}) == 200


def test_a_stall_is_counted_against_every_call_that_was_due_in_it():
    """Times count from the schedule: the p99 is the stall's, not that of the calls that got through."""
    with StandIn(period=1.0, stall=0.3) as server:
        engine, total = drive(server.port, Load(rate=200, duration=30.0, calls=600))
    # The truth: when each call was due, and when the stand-in answered it, however busy the machine was.
    waits = sorted(
        at - (engine.start + (int(call_id.partition(b"-")[0]) - 1) / 200)
        for call_id, at in server.answered_at.items()
    )
    truth = waits[int(len(waits) * 0.99)]
    measured = total.measures["options"].response.percentile(99)
    assert len(waits) == total.due
    assert truth > 0.25
    assert measured == pytest.approx(truth, rel=0.05), (measured, truth)


@pytest.mark.parametrize("scenario", ["options", "timed"])
def test_what_begins_late_took_that_much_longer_than_its_service(scenario):
    """A generator that is held up: response counts from the schedule, service from when it was sent."""
    held = []

    def hold(second):
        if not held:
            held.append(time.sleep(0.4))

    found = parse_scenario(TIMED.encode(), "timed.xml") if scenario == "timed" else scenario
    with StandIn() as server:
        engine, total = drive(server.port, Load(rate=100, duration=30, calls=200), found, each=hold)
    assert (total.succeeded, total.lag.total) == (200, 200)
    assert (engine.stepped_by == "Python") == (scenario == "timed")
    late = total.lag.mean
    assert late > 0.02
    names = {"options", "call", "rtd 1"} if scenario == "timed" else {"options", "call"}
    assert set(total.measures) == names
    for name, one in total.measures.items():
        assert one.response.mean - one.service.mean == pytest.approx(late, rel=0.05), name


def test_the_ack_of_a_challenge_has_the_via_of_its_invite():
    """That and nothing else: what the server wrote into it is not the caller's (RFC 3261 17.1.1.3)."""

    def react(data):
        data = data.replace(b";rport\r\n", b";received=127.0.0.1;rport=9\r\n", 1)
        if data.startswith(b"ACK"):
            return ()
        if data.startswith(b"INVITE") and b"\r\nProxy-Authorization: " not in data:
            return answer(data, b"407 Who", b'Proxy-Authenticate: Digest realm="r", nonce="n"\r\n')
        return answer(data, extra=b"Contact: <sip:bob@127.0.0.1>\r\n")

    setting = Setting(keys=KEYS, user="alice", password="secret")
    with StandIn(react=react) as server:
        _, total = drive(server.port, Load(rate=100, duration=30, calls=1), "invite", setting)
    assert (total.succeeded, total.failed) == (1, 0), total.reasons
    invite, ack = (next(one for one in server.requests if one.startswith(m)) for m in (b"INVITE", b"ACK"))
    assert ack.count(b"\r\nVia: ") == 1
    via = re.compile(rb"\r\nVia: (.*)\r\n")
    assert via.search(ack)[1] == via.search(invite)[1]


def test_a_challenge_is_met_with_the_algorithm_that_was_asked_for():
    from kamtool.sip import digest

    seen = []

    def react(data):
        if b"\r\nAuthorization: " not in data:
            asked = b'WWW-Authenticate: Digest realm="r", nonce="n1", algorithm=SHA-256, qop="auth"\r\n'
            return answer(data, b"401 Unauthorized", asked)
        line = data.split(b"\r\nAuthorization: ")[1].split(b"\r\n")[0].decode()
        seen.append(digest.parse_credentials(line))
        return answer(data)

    setting = Setting(keys=KEYS, user="alice", password="secret")
    with StandIn(react=react) as server:
        _, total = drive(server.port, Load(rate=100, duration=30, calls=5), "register", setting)
    assert total.succeeded == 5
    assert len(seen) == 5
    ha1 = digest.ha1("alice", "r", "secret", "SHA-256")
    assert all(one.proves(ha1, "REGISTER") and one.algorithm == "SHA-256" for one in seen)


def test_an_answer_that_the_scenario_does_not_know_fails_the_call_with_its_words():
    with StandIn(react=lambda data: answer(data, b"486 Busy Here")) as server:
        _, total = drive(server.port, Load(rate=100, duration=30, calls=3))
    assert total.failed == 3
    assert dict(total.reasons) == {"unexpected 486 Busy Here to OPTIONS": 3}


def test_a_lost_request_is_sent_again():
    def react(data, seen=set()):  # noqa: B006
        call_id = data.split(b"Call-ID: ")[1].split(b"\r\n")[0]
        if call_id in seen:
            return answer(data)
        seen.add(call_id)
        return None

    with StandIn(react=react) as server:
        _, total = drive(server.port, Load(rate=100, duration=30, calls=2))
    assert (total.succeeded, total.repeated) == (2, 2)
    assert total.measures["options"].response.percentile(50) > 0.45


def test_a_call_that_is_never_answered_ends_after_its_time_with_the_reason():
    with StandIn(react=lambda data: answer(data) if b"CSeq: 1 OPTIONS" not in data else b"") as server:
        _, total = drive(server.port, Load(rate=100, duration=30, calls=2), timeout=0.7)
    assert total.failed == 2
    (reason,) = total.reasons
    assert reason.startswith("no 200 for OPTIONS within")


def test_nobody_at_the_port_ends_the_run_early():
    with StandIn() as server:
        port = server.port
    engine, total = drive(port, Load(rate=20, duration=30), patience=3)
    assert engine.stop_reason.startswith(("the target refuses", "not one answer"))
    assert total.succeeded == 0


def test_a_closed_loop_has_no_more_calls_at_a_time_than_users():
    with StandIn() as server:
        _, total = drive(server.port, Load(users=3, calls=30, duration=30))
    assert total.succeeded == 30


def test_the_built_in_caller_and_callee_complete_calls_with_each_other():
    """All over one engine each, in threads of one process: INVITE, 180, 200, ACK, BYE, 200."""
    import threading

    setting = Setting(keys=KEYS)
    there = open_udp(Address("127.0.0.1", 0), Address("127.0.0.1", 9))
    there.call_id_tail = b"there"
    callee = Engine(Program(builtin.scenario("uas"), setting), [there], Load(duration=30, calls=20))
    thread = threading.Thread(target=callee.run, daemon=True)
    thread.start()
    _, total = drive(there.local.port, Load(rate=100, duration=30, calls=20), "uac")
    thread.join(20)
    there.close()
    assert (total.succeeded, total.failed) == (20, 0)
    assert set(total.measures) == {"invite", "ringing", "bye", "call"}


TIMED = """\
<scenario name="timed">
  <send start_rtd="1"><![CDATA[
    OPTIONS sip:x@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:a@[local_ip]>;tag=[call_number]
    To: <sip:b@[remote_ip]>
    Call-ID: [call_id]
    CSeq: [cseq] OPTIONS
    Content-Length: 0
  ]]></send>
  <recv response="200" rtd="1"/>
</scenario>
"""
SCENARIO = """\
<scenario name="actions">
  <Global variables="shared"/>
  <send retrans="500"><![CDATA[
    OPTIONS sip:[service]@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:a@[local_ip]>;tag=[call_number]
    To: <sip:[field0]@[remote_ip]>
    Call-ID: [call_id]
    CSeq: [cseq] OPTIONS
    [routes]
    X-Var: [$missing]
    Content-Length: [len]

    body [field1]
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="200">
    <action>
      <ereg regexp="tag=([a-z]+)" search_in="hdr" header="To:" check_it="true" assign_to="whole,tag"/>
      <assignstr assign_to="shared" value="[$tag]-[call_number]"/>
      <strcmp assign_to="same" variable="tag" value="x"/>
      <test assign_to="is_x" variable="same" compare="equal" value="0"/>
      <log message="tag [$tag] of [field0], same [$same]"/>
    </action>
  </recv>
  <nop next="end" test="is_x"/>
  <send><![CDATA[
    INFO sip:never SIP/2.0
    Call-ID: [call_id]
  ]]></send>
  <label id="end"/>
  <Reference variables="whole"/>
</scenario>
"""


def test_actions_variables_and_fields_of_a_scenario():
    from kamtool.tools.sippxml.users import parse_users

    users = parse_users(["SEQUENTIAL", "bob;one", "carol;three"], "users.csv")
    said = []
    scenario = parse_scenario(SCENARIO.encode(), "actions.xml")
    setting = Setting(users={"users.csv": users})
    with StandIn() as server:
        _, total = drive(server.port, Load(rate=50, duration=30, calls=2), scenario, setting, say=said.append)
    assert (total.succeeded, total.failed) == (2, 0), total.reasons
    assert said == ["tag x of bob, same 0", "tag x of carol, same 0"]
    assert [
        b"To: <sip:bob@127.0.0.1>" in server.requests[0],
        b"Content-Length: 10\r\n" in server.requests[0],
    ] == [True, True]
    assert b"\r\nX-Var: \r\nContent" in server.requests[0], (
        "an empty [routes] leaves no line, an empty variable its header"
    )
    assert server.requests[1].endswith(b"\r\n\r\nbody three\r\n")
    assert setting.globals["shared"] == "x-2"


def test_a_pause_longer_than_anybody_waits_does_not_keep_the_run_alive_once_it_is_stopped():
    pausing = SCENARIO.replace("<nop ", '<pause milliseconds="900000"/><nop ')
    scenario = parse_scenario(pausing.encode(), "pausing.xml")
    with StandIn() as server:
        started = []

        def report(second):
            started.append(second.started)
            return False  # as Ctrl-C does

        setting = Setting()
        endpoint = open_udp(Address("127.0.0.1", 0), Address("127.0.0.1", server.port))
        endpoint.call_id_tail = b"x"
        engine = Engine(Program(scenario, setting), [endpoint], Load(rate=20, duration=60), report=report)
        engine.run()
        endpoint.close()
    assert sum(started) > 0
    assert engine.stop_reason == "stopped"
