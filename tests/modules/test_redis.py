"""ndb_redis asks Redis servers; topos_redis keeps topos' records in one that several servers share."""

import pytest

from kamtool.errors import ConfigError
from kamtool.modules.ndb_redis import NdbRedis
from tests.modules.test_topos import CFG as TOPOS
from tests.modules.test_topos import answered, bye_of
from tests.support.redis import redis_server  # noqa: F401
from tests.support.server import port_of
from tests.support.until import until

pytest.importorskip("redis", reason="the library redis is not installed")

CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "ndb_redis.so"
modparam("ndb_redis", "server", "name=srv;addr=127.0.0.1;port=REDIS;db=1")
request_route { ROUTE }
"""


async def asked(kamtool, peer, redis, route):
    server = await kamtool(CFG.replace("REDIS", str(redis.port)).replace("ROUTE", route))
    alice = await peer()
    alice.send(alice.request("OPTIONS", "sip:x@127.0.0.1"), port_of(server))
    return await alice.expect(200)


async def test_commands_and_their_answers(kamtool, peer, redis_server):  # noqa: F811
    answer = await asked(
        kamtool, peer, redis_server,
        'redis_cmd("srv", "SET who %s", "alice & bob", "r"); redis_cmd("srv", "GET who", "g");'
        'redis_cmd("srv", "GET nobody", "n"); redis_cmd("srv", "KEYS *", "k");'
        'redis_cmd("srv", "NONSENSE", "e");'
        '$var(rc) = $rc; redis_cmd("other", "GET x", "o"); $var(rc2) = $rc;'
        'sl_send_reply("200", "$redis(g=>value)|$redis(g=>type)|$redis(n=>type)|$redis(k=>size)|'
        '$redis(k=>value[0])|$redis(e=>info)|$var(rc)$var(rc2)");',
    )  # fmt: skip
    assert answer.reason == "alice & bob|1|4|1|who|unknown command|-1-1"


async def test_a_server_that_does_not_answer_refuses_the_start_unless_told_otherwise(kamtool, free_port):
    text = CFG.replace("REDIS", str(free_port())).replace("ROUTE", "exit;")
    with pytest.raises(ConfigError, match="'srv' does not answer"):
        await kamtool(text)
    await kamtool(
        text.replace("request_route", 'modparam("ndb_redis", "init_without_redis", 1)\nrequest_route')
    )


@pytest.mark.parametrize("value", ["addr=127.0.0.1", "name=x;colour=red", "name=x;port=y"])
def test_a_server_that_makes_no_sense_is_refused(value):
    with pytest.raises(ConfigError, match=r"no name|'colour' is unknown|numbers"):
        NdbRedis(None).set_param("server", value)


async def test_a_call_goes_on_at_another_server_that_shares_the_redis(kamtool, peer, redis_server):  # noqa: F811
    alice, bob = await peer(), await peer()
    text = (
        TOPOS.replace('loadmodule "db_sqlite.so"', 'loadmodule "ndb_redis.so"\nloadmodule "topos_redis.so"')
        .replace('modparam("topos", "db_url", "sqlite:///DATABASE")', 'modparam("topos", "storage", "redis")')
        .replace("MORE", f'modparam("ndb_redis", "server", "name=srv;port={redis_server.port}")\n'
                         'modparam("topos_redis", "serverid", "srv")\nalias=127.0.0.1:OTHER')
        .replace("listen=udp:127.0.0.1:PORT", "").replace("ROUTE", "").replace("EVENTS", "")
        .replace("CALLEE", str(bob.port))
    )  # fmt: skip
    one = await kamtool(text.replace("OTHER", "9"))
    invite, ok = await answered(one, alice, bob)
    alias = invite.contacts[0].uri.partition(":")[2].partition("@")[0]
    key = f"d:z:a{alias[1:]}".encode()
    await until(lambda: redis_server.kept.get(key, {}).get(b"b_contact") == bob.uri.encode())
    assert redis_server.kept[f"b:x:{invite.branch}".encode()][b"x_via"].endswith(b"z9hG4bK1")
    assert redis_server.lives[key] in range(10790, 10801)

    other = await kamtool(text.replace("OTHER", str(port_of(one))))
    bob.send(bye_of(bob, invite, ok), port_of(other))
    bye = await alice.expect("BYE")
    assert bye.uri == alice.uri
    alice.send(alice.answer(bye, 200), port_of(other))
    assert (await bob.expect(200)).cseq_method == "BYE"
    bob.send(bye_of(bob, invite, ok).replace(alias, "btpsh-nobody-knows"), port_of(other))
    assert (await bob.expect(404)).status == 404
