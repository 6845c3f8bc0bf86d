"""mqueue: what Kamailio 5.6.3 does with the same calls."""

import asyncio
import sqlite3

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.mqueue import Mqueue, Queue
from tests.support.host import Host

QUEUES = [
    'loadmodule "mqueue.so"',
    'modparam("mqueue", "mqueue", "name=q;size=2")',
    'modparam("mqueue", "mqueue", "name=u;addmode=1")',
    'modparam("mqueue", "mqueue", "name=v;addmode=2")',
]


def result(script, statements, name="var(r)"):
    return script(*QUEUES, f"request_route {{ {statements} }}")()[name]


def test_the_oldest_gives_way_and_comes_first(script):
    fill = 'mq_add("q","k1","v1"); mq_add("q","k2","v2"); mq_add("q","k3","v3");'
    assert result(script, fill + "$var(r) = $mq_size(q);") == 2
    assert result(script, fill + 'mq_fetch("q"); $var(r) = $mqk(q) + $mqv(q);') == "k2v2"
    rest = 'mq_fetch("q"); mq_fetch("q"); $var(r) = mq_fetch("q");'
    assert result(script, fill + rest) == -2
    assert result(script, fill + rest + "$var(r) = $mqk(q) == $null;") == 1


@pytest.mark.parametrize(
    ("statements", "expected"),
    [('$var(r) = mq_size("q");', -1), ('$var(r) = mq_size("none");', -2), ('$var(r) = mq_fetch("none");', -1),
     ('$var(r) = mq_add("none", "a", "b");', -1),
     ('mq_add("u","k","1"); mq_add("u","k","2"); mq_fetch("u"); $var(r) = $mqv(u);', "1"),
     ('mq_add("v","k","1"); mq_add("v","l","9"); mq_add("v","k","2"); mq_fetch("v"); $var(r) = $mqk(v);',
      "l"),
     ('mq_add("q","k","1"); mq_fetch("q"); mq_pv_free("q"); $var(r) = $mqk(q) == $null;', 1)],
)  # fmt: skip
def test_codes_and_unique_keys(script, statements, expected):
    assert result(script, statements) == expected


def test_a_full_queue_of_unique_keys_drops_the_oldest():
    queue = Queue("q", 2, 2)
    for key in "abac":
        queue.add(key, key)
    assert queue.all() == [("a", "a"), ("c", "c")]


def test_the_control_plane_asks_for_sizes_and_fetches():
    module = Mqueue(Host())
    module.set_param("mqueue_size", 1)
    module.set_param("mqueue_name", "q")
    module.set_param("mqueue", "name=p")
    module.queues["q"].add("a", "1")
    module.queues["q"].add("b", "2")
    assert module.rpc_get_sizes() == [{"name": "p", "size": 0}, {"name": "q", "size": 1}]
    assert module.rpc_fetch("q") == {"key": "b", "val": "2"}
    with pytest.raises(RpcError, match="Empty queue"):
        module.rpc_fetch("q")
    with pytest.raises(RpcError, match="No such queue"):
        module.rpc_get_size("x")


@pytest.mark.parametrize("text", ["", "size=3", "name=q;size=x", "name=q;color=red", "name=q;addmode=3", "q"])
def test_a_definition_that_says_nothing_is_refused(text):
    with pytest.raises(ConfigError):
        Mqueue(Host()).set_param("mqueue", text)


def test_two_queues_of_one_name_are_refused():
    module = Mqueue(Host())
    module.set_param("mqueue", "name=q")
    with pytest.raises(ConfigError, match="two queues"):
        module.set_param("mqueue_name", "q")


def test_a_queue_outlives_a_restart(tmp_path):
    path = tmp_path / "q.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE q (id INTEGER PRIMARY KEY, key TEXT, val TEXT)")

    async def life(fill):
        host = Host()
        host.modules["db_sqlite"] = None
        module = await host.load("mqueue", mqueue="name=q;dbmode=1", db_url=f"sqlite:///{path}")
        found = module.queues["q"].all()
        if fill:
            module.queues["q"].add("a", "1")
            module.queues["q"].add("b", "2")
        del host.modules["db_sqlite"]
        await host.stop()
        return found

    assert asyncio.run(life(fill=True)) == []
    assert asyncio.run(life(fill=False)) == [("a", "1"), ("b", "2")]
