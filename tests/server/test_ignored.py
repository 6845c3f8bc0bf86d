"""A parameter that does nothing is said to do nothing, once."""

import re
from pathlib import Path

import pytest

from kamtool.script import load
from kamtool.script.settings import ALIASES, PARAMETERS, Honour
from kamtool.server import ignored
from tests.support.server import port_of

ROUTE = 'loadmodule "sl.so"\nrequest_route { sl_send_reply("200", "OK"); }'


def of(head):
    return list(ignored.without_effect(load(f"#!KAMAILIO\n{head}\n{ROUTE}").settings))


@pytest.mark.parametrize("head", ["auto_aliases=yes", "enable_sctp=1", "shm_mem_size=64", "rev_dns=yes"])
def test_what_nothing_reads_is_named(head):
    assert of(head) == [head.partition("=")[0]]


@pytest.mark.parametrize("head", ["auto_aliases=no", "enable_sctp=0", "debug=2", "udp_mtu=1300", "dns=no"])
def test_what_is_off_or_acts_is_not(head):
    assert of(head) == []


async def test_it_is_said_at_start(kamtool, peer, caplog):
    with caplog.at_level("INFO", "kamtool.server"):
        server = await kamtool(f"reply_to_via=1\nmemlog=5\nshm_mem_size=64\n{ROUTE}")
    assert caplog.text.count("reply_to_via does nothing here") == 1
    assert "do nothing: memlog, shm_mem_size" in caplog.text
    alice = await peer()
    alice.send(alice.request("OPTIONS", "sip:x"), port_of(server))
    await alice.expect("200")


def test_every_reason_is_for_a_parameter_that_is_ignored():
    for name in ignored.WHY:
        assert PARAMETERS[name].honour is Honour.NONE, name


def test_what_is_said_to_work_is_read_somewhere():
    """A parameter of the first class whose name stands nowhere in the sources cannot act."""
    root = Path(__file__).parents[2] / "kamtool"
    text = "".join(
        path.read_text() for path in root.rglob("*.py") if path.name not in ("settings.py", "ignored.py")
    )
    built = re.compile(r"dns_(udp|tcp|tls|sctp)_pref(erence)?|dst_bl(ock|ack)list_\w+")
    other_names = set(ALIASES)
    silent = [
        name
        for name, parameter in PARAMETERS.items()
        if parameter.honour is Honour.FULL and name not in other_names and not built.fullmatch(name)
        if not re.search(rf'["\']{name}["\']', text)
    ]
    assert silent == []
