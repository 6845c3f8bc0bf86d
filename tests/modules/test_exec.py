"""exec: return codes and environment as Kamailio 5.6.3 has them."""

import asyncio
import time

import pytest

from tests.support.server import MODULES, port_of
from tests.support.until import until

LOAD = MODULES + 'loadmodule "exec.so"\n'


@pytest.fixture
def ask(kamtool, peer):
    """Runs statements for an OPTIONS and gives the phrase that they answer with."""

    async def run(statements, params=""):
        server = await kamtool(
            LOAD + params + f"request_route {{ {statements} sl_send_reply('200', '$var(r)'); }}"
        )
        caller = await peer()
        caller.send(caller.request("OPTIONS", "sip:bob@b.com"), port_of(server))
        return (await caller.expect("200")).reason

    return run


async def test_exec_msg_gives_the_message_and_its_headers(ask, tmp_path):
    command = f"cat > {tmp_path}/msg; env | grep ^SIP_ > {tmp_path}/env"
    assert await ask(f'$var(r) = exec_msg("{command}");') == "1"
    assert (tmp_path / "msg").read_bytes().startswith(b"OPTIONS sip:bob@b.com SIP/2.0\r\nVia:")
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert environment["SIP_HF_FROM"] == "<sip:peer@example.com>;tag=peer"
    assert environment["SIP_HF_CONTENT_LENGTH"] == "0"
    assert environment["SIP_HF_CALLID"] == "live"
    assert (environment["SIP_RURI"], environment["SIP_USER"]) == ("sip:bob@b.com", "bob")
    assert environment["SIP_SRCIP"] == "127.0.0.1"


async def test_without_setvars_there_are_no_headers(ask, tmp_path):
    params = 'modparam("exec", "setvars", 0)\n'
    assert await ask(f'$var(r) = exec_msg("env | grep -c ^SIP_ > {tmp_path}/n");', params) == "-1"
    assert (tmp_path / "n").read_text() == "0\n"


@pytest.mark.parametrize(
    ("statement", "answer"),
    [('$var(r) = exec_cmd("true");', "1"), ('$var(r) = exec_cmd("exit 2");', "-1"),
     ('$var(r) = exec_msg("exit 3");', "-1"),
     ('exec_avp("echo one; echo two $rU"); $var(r) = $avp(i:1) + "-" + $avp(i:2);', "one-two bob"),
     ('exec_avp("echo one; echo two; echo three", "$avp(a);$avp(b)"); $var(r) = $avp(b);', "two"),
     ('if (!exec_avp("echo x; false", "$avp(z)")) $var(r) = $avp(z);', "x"),
     ('exec_dset("echo sip:x@y #"); $var(r) = $ru;', "sip:x@y"),
     ('exec_dset("echo sip:a@b; echo"); $var(r) = $ru + $(branch(uri)[0]);', "sip:a@bsip:bob@b.com"),
     ('$var(r) = exec_dset("echo no uri #");', "-1"), ('$var(r) = exec_dset("true");', "-1")],
)  # fmt: skip
async def test_what_a_command_answers(ask, statement, answer):
    assert await ask(statement) == answer


async def test_the_r_uri_is_quoted(ask, tmp_path):
    statement = f'$ru = "sip:a;touch$IFS\'{tmp_path}/x\'@b"; $var(r) = exec_dset("echo sip:c@d; true");'
    await ask(statement)
    assert not (tmp_path / "x").exists()


async def test_a_program_that_takes_too_long_is_killed_with_its_children(ask, tmp_path):
    params = 'modparam("exec", "time_to_kill", 1)\n'
    began = time.monotonic()
    assert await ask(f'$var(r) = exec_cmd("sleep 60; touch {tmp_path}/late");', params) == "-1"
    assert time.monotonic() - began < 30
    assert not (tmp_path / "late").exists()


async def test_while_a_program_runs_other_messages_go_on(kamtool, peer, tmp_path):
    cfg = f"""request_route {{
        if (is_method("INFO")) {{ exec_cmd("while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"); }}
        sl_send_reply("200", "$rm");
    }}"""
    server = await kamtool(LOAD + cfg)
    caller, port = await peer(), port_of(server)
    caller.send(caller.request("INFO", "sip:a@b", branch="1"), port)
    await until(lambda: server.modules["exec"]._waiting == 1)
    caller.send(caller.request("OPTIONS", "sip:a@b", branch="2"), port)
    assert (await caller.expect("200")).reason == "OPTIONS"
    (tmp_path / "go").touch()
    assert (await caller.expect("200")).reason == "INFO"


async def test_when_the_server_stops_its_programs_end(kamtool, peer):
    server = await kamtool(LOAD + 'request_route { exec_cmd("sleep 60"); }')
    caller = await peer()
    caller.send(caller.request("INFO", "sip:a@b"), port_of(server))
    module = server.modules["exec"]
    await until(lambda: module._running)
    await module.stop()
    await until(lambda: not module._running)
    await asyncio.sleep(0)
