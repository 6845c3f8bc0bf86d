"""pipelimit and ratelimit: which messages pass is what Kamailio 5.6.3 let pass."""

import asyncio

import pytest

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.modules.pipelimit.pipes import Control, Pipe, push
from tests.support.host import Host
from tests.support.script import INVITE, OPTIONS


def passed(run, count, text=OPTIONS):
    return [run(text)["avp(rc)"] for _ in range(count)]


@pytest.fixture
def named(script, rows):
    for name, algorithm, limit in [
        ("t", "TAILDROP", 4),
        ("r", "RED", 4),
        ("n", "NOP", 1),
        ("z", "TAILDROP", 0),
    ]:
        rows.add("pl_pipes", pipeid=name, algorithm=algorithm, plimit=limit)

    def make(call, *lines):
        return script(
            *rows.lines("pipelimit"), 'modparam("pipelimit", "load_fetch", 0)', *lines,
            f"request_route {{ {call} $avp(rc) = $rc; }}",
        )  # fmt: skip

    return make


def module(run, name="pipelimit"):
    return run.host.modules[name]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('pl_check("t");', [1] * 4 + [-1] * 4), ('pl_check("z");', [-1] * 2), ('pl_check("n");', [2] * 3),
        ('pl_check("nosuch");', [-2]), ('pl_check("new", "TAILDROP", "3");', [1] * 3 + [-1] * 2),
        ('pl_check("new", "taildrop", "3");', [1]), ('pl_check("new", "FOO", "3");', [-2]),
        ('pl_active("t");', [1]), ('pl_active("nosuch");', [-1]),
    ],
)  # fmt: skip
def test_a_named_pipe_lets_through_its_limit_in_an_interval(named, call, expected):
    assert passed(named(call), len(expected)) == expected


def test_the_next_interval_begins_anew_and_red_lets_every_nth_through(named):
    run = named('pl_check("$hdr(X-P)");')
    taildrop, red = (OPTIONS.replace("X-Num: 42", f"X-P: {name}") for name in "tr")
    assert passed(run, 5, taildrop)[-1] == -1
    assert passed(run, 16, red) == [1] * 16
    module(run).tick()
    assert passed(run, 1, taildrop) == [1]
    assert passed(run, 16, red) == [-1, -1, -1, 1] * 4


def test_pipes_are_shown_changed_and_read_again(named, rows):
    found = module(named('pl_check("t");'))
    found.pl_check(None, "t")
    assert found.rpc_get_pipes()[0] == "PIPE: id=t algorithm=TAILDROP limit=4 counter=1"
    found.tick()
    assert found.rpc_stats() == [
        "PIPE: id=t load=0 counter=1", "PIPE: id=r load=0 counter=0", "PIPE: id=z load=0 counter=0",
    ]  # fmt: skip
    found.rpc_set_pipe("t", "RED", 9)
    assert found.rpc_list("t") == [
        {
            "name": "t", "algorithm": "RED", "limit": 9, "counter": 0, "last_counter": 1,
            "unused_intervals": 0,
        }
    ]  # fmt: skip
    for arguments, message in [(("nosuch", "RED", 9), "Unknown pipe"), (("t", "XX", 9), "Unknown algorithm")]:
        with pytest.raises(RpcError, match=message):
            found.rpc_set_pipe(*arguments)
    rows.add("pl_pipes", pipeid="more", algorithm="TAILDROP", plimit=1)
    asyncio.run(found.rpc_reload())
    assert (found.pipes["more"].limit, found.pipes["t"].algorithm) == (1, "TAILDROP")
    rows.add("pl_pipes", pipeid="bad", algorithm="FOO", plimit=1)
    with pytest.raises(RpcError, match="row 6: 'FOO' 1 is no limit"):
        asyncio.run(found.rpc_reload())
    assert "more" in found.pipes


def test_a_table_with_a_bad_row_is_refused_at_start(named, rows):
    rows.add("pl_pipes", pipeid="bad", algorithm="FOO", plimit=1)
    with pytest.raises(StoreError, match="row 5"):
        named('pl_check("t");')


def test_pipes_that_the_script_made_go_when_they_are_not_used(named):
    found = module(named('pl_check("own", "TAILDROP", "3");', 'modparam("pipelimit", "clean_unused", 2)'))
    found.pl_check(None, "own", "TAILDROP", 3)
    for there in (True, True, False):
        found.tick()
        assert ("own" in found.pipes) == there
    assert "t" in found.pipes, "those of the table stay"


@pytest.mark.parametrize(
    ("call", "allowed"), [("pl_drop", {None}), ("pl_drop 7", {"7"}), ("pl_drop 5 10", set("56789") | {"10"})]
)
def test_pl_drop_answers_with_retry_after(call, allowed):
    host = Host()
    found = asyncio.run(host.load("pipelimit", reply_code=505))
    for _ in range(20):
        found.pl_drop(host.context(OPTIONS), *map(int, call.split()[1:]))
    assert {reply.status for reply in host.replies} == {505}
    assert {reply.header("Retry-After") for reply in host.replies} <= allowed


def test_feedback_drops_more_the_longer_the_cpu_is_over_its_share():
    control, pipe = Control(), Pipe("FEEDBACK", 50)
    shares = []
    for _ in range(4):
        control.load = 0.95
        control.tick(0.5)
        shares.append(sum(push(pipe, 1, control) == -1 for _ in range(100)))
    assert shares == [12, 23, 34, 45], "25 x 0.45 more each time"
    for _ in range(20):
        control.load = 0.1
        control.tick(0.5)
    assert sum(push(pipe, 1, control) == -1 for _ in range(100)) == 0


def test_network_drops_while_octets_wait():
    pipe = Pipe("NETWORK", 1000)
    outcomes = []
    for waiting in (0, 1001, 1000):
        pipe.tick(1000, waiting)
        outcomes.append(push(pipe, 1, Control()))
    assert outcomes == [1, -1, 1]


def rate(script, call, *lines):
    return script(
        'loadmodule "ratelimit.so"', 'modparam("ratelimit", "timer_interval", 3)',
        'modparam("ratelimit", "pipe", "0:TAILDROP:4")', 'modparam("ratelimit", "pipe", "1:RED:1")', *lines,
        f"request_route {{ {call} $avp(rc) = $rc; }}",
    )  # fmt: skip


def test_the_limit_of_a_numbered_pipe_is_a_second_s(script):
    assert passed(rate(script, 'rl_check_pipe("0");'), 16) == [1] * 12 + [-1] * 4
    assert passed(rate(script, 'rl_check_pipe("9");'), 1) == [-1]
    assert passed(rate(script, 'rl_check("0");'), 13)[-2:] == [1, -1]


def test_a_queue_chooses_the_pipe_by_the_method(script):
    run = rate(script, "rl_check();", 'modparam("ratelimit", "queue", "0:INVITE")')
    assert (passed(run, 1, INVITE), passed(run, 1, OPTIONS)) == ([1], [-1])
    run = rate(script, "rl_check();", 'modparam("ratelimit", "queue", "0:INVITE")',
               'modparam("ratelimit", "queue", "1:*")')  # fmt: skip
    assert passed(run, 1, OPTIONS) == [1]
    found = module(run, "ratelimit")
    assert found.rpc_get_queues() == ["QUEUE[0]: 0:INVITE", "QUEUE[1]: 1:*"]
    found.rpc_set_queue(0, "OPTIONS", 1)
    assert found.rpc_get_queues()[0] == "QUEUE[0]: 1:OPTIONS"
    found.rpc_set_pipe(0, "RED", 9)
    assert found.rpc_get_pipes() == [
        "PIPE[0]: 1:RED 0/9 (drop rate: 0) [0]", "PIPE[1]: 1:RED 0/1 (drop rate: 0) [1]",
    ]  # fmt: skip
    with pytest.raises(RpcError, match="Unknown pipe"):
        found.rpc_set_pipe(77, "RED", 9)


@pytest.mark.parametrize(
    ("param", "value"),
    [("pipe", "2:FOO:1"), ("pipe", "x:RED:1"), ("pipe", "0:RED:1"), ("queue", "0"), ("queue", "5:INVITE")],
)
def test_a_pipe_or_queue_that_means_nothing_is_refused(script, param, value):
    with pytest.raises(ConfigError, match="ratelimit"):
        rate(script, "rl_check();", f'modparam("ratelimit", "{param}", "{value}")')


def test_the_controllers_constants_and_load_are_set_by_rpc(script):
    found = module(rate(script, "rl_check();"), "ratelimit")
    assert found.rpc_get_pid() == "ki[-25.000000] kp[0.000000] kd[0.000000] "
    found.rpc_set_pid("0.5", "0.1", "0")
    assert found.rpc_get_pid() == "ki[0.500000] kp[0.100000] kd[0.000000] "
    found.rpc_push_load("0.9")
    assert found.control.load == 0.9
    for text in ("2", "x"):
        with pytest.raises(RpcError):
            found.rpc_push_load(text)
