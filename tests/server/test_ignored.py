"""A parameter that does nothing is said to do nothing, once."""

import re
from pathlib import Path

import pytest

from kamtool.module import available, declaration, find
from kamtool.script import load
from kamtool.script.settings import ALIASES, PARAMETERS, Honour
from kamtool.server import ignored
from tests.support.server import port_of

PACKAGE = Path(__file__).parents[2] / "kamtool"
ROUTE = 'loadmodule "sl.so"\nrequest_route { sl_send_reply("200", "OK"); }'


def of(head):
    return list(ignored.without_effect(load(f"#!KAMAILIO\n{head}\n{ROUTE}").settings))


@pytest.mark.parametrize(
    "head", ["auto_aliases=yes", "enable_sctp=1", "shm_mem_size=64", "rev_dns=yes", "tcp_async=no"]
)
def test_what_nothing_reads_is_named(head):
    assert of(head) == [head.partition("=")[0]]


@pytest.mark.parametrize(
    "head", ["auto_aliases=no", "enable_sctp=0", "debug=2", "udp_mtu=1300", "dns=no", "tcp_async=yes"]
)
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


@pytest.mark.parametrize(("head", "times"), [("children=8", 1), ("children=1", 0), ("", 0)])
async def test_children_alone_make_no_workers_and_that_is_said_once(kamtool, caplog, head, times):
    with caplog.at_level("INFO", "kamtool.server"):
        await kamtool(f"{head}\n{ROUTE}")
    assert caplog.text.count("makes no workers: one process serves all") == times


async def test_a_modules_parameter_that_does_nothing_is_named_with_its_reason(kamtool, caplog):
    head = 'loadmodule "pv.so"\nloadmodule "usrloc.so"\nmodparam("usrloc", "timer_procs", 4)\n'
    with caplog.at_level("INFO", "kamtool.server"):
        await kamtool(
            head + 'modparam("usrloc", "timer_procs", 2)\nmodparam("usrloc", "db_mode", 0)\n' + ROUTE
        )
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("modparam")]
    assert len(said) == 1
    assert said[0].startswith("modparam usrloc timer_procs is accepted: ")


def test_every_reason_is_for_a_parameter_that_is_ignored():
    for name in ignored.WHY:
        assert PARAMETERS[name].honour is Honour.NONE, name


def test_what_is_said_to_work_is_read_somewhere():
    """A parameter of the first two classes whose name stands nowhere in the sources cannot act."""
    text = "".join(
        path.read_text() for path in PACKAGE.rglob("*.py") if path.name not in ("settings.py", "ignored.py")
    )
    built = re.compile(r"dns_(udp|tcp|tls|sctp)_pref(erence)?|dst_bl(ock|ack)list_\w+")
    other_names = set(ALIASES)
    silent = [
        name
        for name, parameter in PARAMETERS.items()
        if parameter.honour in (Honour.FULL, Honour.PART)
        and name not in other_names
        and not built.fullmatch(name)
        if not re.search(rf'["\']{name}["\']', text)
    ]
    assert silent == []


MADE_OF_PARTS = re.compile(r"\w+_column|mos_\w+")
"""Names that code puts together: `f"{field}_column"`."""
SET = {("pv", "avp_aliases")}
"""What `set_param` takes apart as it comes, as the one that is left."""


@pytest.mark.parametrize("name", available())
def test_a_modules_parameter_is_read_or_says_that_it_is_not(name):
    """What `modparam` takes and no line of code mentions does nothing: its doc begins with `accepted`."""
    try:
        params = declaration(find(name)).params
    except ImportError as error:
        pytest.skip(str(error))
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    folder = PACKAGE / "modules" / name
    own = [*folder.rglob("*.py")] if folder.is_dir() else [folder.with_suffix(".py")]
    source = re.sub(r"(?m)^    \w+(: [^=\n]+)? = Param\(", "", "".join(path.read_text() for path in own))
    inert = [
        param
        for param, declared in params.items()
        if not declared.is_ignored
        and not re.search(rf"\.{param}\b|[\"']{param}[\"']", source)
        and not (
            MADE_OF_PARTS.fullmatch(param)
            and re.search(rf"\}}?_{param.rpartition('_')[2]}[\"']|_column", source)
        )
        and not re.search(rf"\b{name}\.{param}\b", text)
        and (name, param) not in SET
    ]
    assert inert == []
