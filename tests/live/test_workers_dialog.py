"""Dialogs with several workers: one dialog, counted once, whichever worker its requests meet."""

import json

import pytest

from tests.support.until import until
from tests.support.workers import CFG, cfg_file, one_for_each, register

pytestmark = pytest.mark.live

SIZE = 2
DIALOGS = CFG.replace('loadmodule "htable.so"', 'loadmodule "htable.so"\nloadmodule "dialog.so"').replace(
    "    if (!is_method", '    if (is_method("INVITE")) dlg_manage();\n    if (!is_method', 1
)


@pytest.fixture
def crew(served, tmp_path):
    return served().start("-f", cfg_file(tmp_path, DIALOGS), "--workers", SIZE)


def rows(server, *words):
    done = server.cli("rpc", "-o", "json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def active(server):
    return rows(server, "dlg.stats_active")


def invite(caller, call_id, via=""):
    return caller.request(
        "INVITE", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id, via=via,
        headers=f"Contact: <{caller.uri}>\r\n",
    )  # fmt: skip


async def test_the_ack_and_the_bye_of_a_dialog_may_meet_another_worker(crew, peer):
    callers = await one_for_each(peer, crew.port, SIZE)
    phone = await peer()
    await register(phone, crew.port, "bob")
    (first, second), calls = callers.values(), []
    for number, (home, other) in enumerate(((first, second), (second, first)) * 2):
        call_id = f"dialog{number}"
        home.send(invite(home, call_id), crew.port)
        await home.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 200, headers=f"Contact: <{phone.uri}>\r\n"), crew.port)
        ok = await home.expect("200")
        routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
        calls.append((other, call_id, routes))
        text = other.request(
            "ACK", phone.uri, branch=f"a{call_id}", to_tag="you", call_id=call_id, headers=routes
        )
        other.send(text, crew.port)
        await phone.expect("ACK")
    await until(lambda: active(crew)["ongoing"] == 4)
    assert active(crew)["all"] == 4
    listed = rows(crew, "dlg.list")
    assert {row["call-id"] for row in listed} == {f"dialog{n}" for n in range(4)}
    assert {row["state"] for row in listed} == {4}
    for other, call_id, routes in calls:
        text = other.request(
            "BYE", phone.uri, branch=f"b{call_id}", cseq=2, to_tag="you", call_id=call_id, headers=routes
        )
        other.send(text, crew.port)
        phone.send(phone.answer(await phone.expect("BYE"), 200), crew.port)
        await other.expect("200")
    await until(lambda: active(crew)["ongoing"] == 0)
    counted = rows(crew, "stats.fetchn", "dialog:processed_dialogs", "dialog:active_dialogs")
    assert counted == {"dialog.processed_dialogs": 4, "dialog.active_dialogs": 0}
    assert crew.end() == 0


async def test_a_cancel_that_meets_another_worker_ends_the_dialog_that_rings(crew, peer):
    callers = await one_for_each(peer, crew.port, SIZE)
    phone = await peer()
    await register(phone, crew.port, "bob")
    for home, other in (list(callers.values()), list(callers.values())[::-1]):
        call_id = f"cancel{home.port}"
        via = f"127.0.0.1:{home.port}"
        home.send(invite(home, call_id, via), crew.port)
        await home.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 180), crew.port)
        await home.expect("180")
        assert active(crew)["all"] == 1
        text = other.request("CANCEL", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id, via=via)
        other.send(text, crew.port)
        cancelled = await phone.expect("CANCEL")
        phone.send(phone.answer(cancelled, 200), crew.port)
        phone.send(phone.answer(at_phone, 487), crew.port)
        await phone.expect("ACK")
        assert sorted([(await home.expect()).status for _ in range(2)]) == [200, 487]
        ack = home.request(
            "ACK", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id, via=via, to_tag="you"
        )
        home.send(ack, crew.port)
        await until(lambda: active(crew)["all"] == 0)
    assert crew.end() == 0
