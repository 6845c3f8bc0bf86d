"""The parts of several workers, without any: mail, dispatch, merged answers, shared nonces."""

import asyncio
import os
import signal

import pytest

from kamtool.errors import RpcError
from kamtool.modules.auth.replay import SharedUses
from kamtool.modules.htable.definition import read_definition
from kamtool.modules.htable.sharing import SharedTable
from kamtool.server.workers import Team
from kamtool.server.workers_dispatch import CALL_ID, flat, unflat
from kamtool.server.workers_link import Link
from kamtool.server.workers_rpc import added, joined
from kamtool.sip.flow import Address, Flow
from tests.support.until import SOON


@pytest.fixture
async def links():
    """The links of three workers, all of them here."""
    team = Team(3)
    made = [Link(number, team.mail, lambda work, name: tasks.append(asyncio.ensure_future(work)))
            for number in range(3)]  # fmt: skip
    tasks = []
    for link in made:
        link.start()
    yield made
    for link in made:
        link.stop()
    for ends in team.mail:
        for end in ends:
            end.close()


async def heard(link, topic, count):
    """The next letters of a topic."""
    letters, done = [], asyncio.Event()

    def take(sender, value):
        letters.append((sender, value))
        if len(letters) == count:
            done.set()

    link.on(topic, take)
    await asyncio.wait_for(done.wait(), SOON)
    return letters


async def test_letters_come_in_order_whole_and_to_all(links):
    big = b"x" * 500_000
    waiting = [asyncio.ensure_future(heard(link, "t", 102)) for link in links[1:]]
    await asyncio.sleep(0)
    for number in range(100):
        links[0].publish("t", number)
    links[0].publish("t", big)
    links[0].publish("t", ("é\udcff", 1.5, None))
    for got in await asyncio.gather(*waiting):
        assert got == [(0, n) for n in range(100)] + [(0, big), (0, ("é\udcff", 1.5, None))]


async def test_what_a_full_mailbox_does_not_take_waits_and_is_not_lost(links):
    for number in range(3000):
        links[0].send(1, "t", (number, b"y" * 5000))
        links[0].flush()
    got = await heard(links[1], "t", 3000)
    assert [value[0] for _, value in got] == list(range(3000))


async def test_what_fails_when_it_is_heard_is_logged_with_its_topic_and_the_rest_goes_on(links, caplog):
    links[1].on("locations", lambda sender, value: 1 / value)
    links[1].hold()
    links[1].on("usage", lambda sender, value: 1 / value, work=True)
    for topic in ("locations", "usage"):
        links[0].publish(topic, 0)
    links[0].publish("after", "it")
    assert await heard(links[1], "after", 1) == [(0, "it")]
    links[1].open()
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"what worker 0 said of {topic} failed" for topic in ("locations", "usage")]


async def test_asking_answers_refuses_and_does_not_wait_for_ever(links):
    async def double(sender, value):
        if value < 0:
            raise RpcError(404, "too small")
        return value * 2

    links[1].answer("double", double)
    assert await links[0].ask(1, "double", 21) == 42
    with pytest.raises(RpcError, match="too small") as refused:
        await links[2].ask(1, "double", -1)
    assert refused.value.code == 404
    links[2].stop()
    with pytest.raises(RpcError, match="does not answer") as silent:
        await links[0].ask(2, "double", 1, patience=0.05)
    assert silent.value.code == 503


async def test_a_question_that_a_dead_worker_had_read_is_asked_again(links):
    """It is answered once the successor has begun."""
    answered = []

    async def never(sender, value):
        await asyncio.Event().wait()

    async def double(sender, value):
        answered.append(value)
        return value * 2

    links[1].answer("double", never)
    question = asyncio.ensure_future(links[0].ask(1, "double", 21, 20.0, again=True))
    forgotten = asyncio.ensure_future(links[0].ask(1, "double", 1, 0.2))
    with pytest.raises(RpcError, match="does not answer"):
        await forgotten
    links[1].stop()  # it dies, and another begins with its mailbox
    links[1].answer("double", double)
    links[1].hold()
    links[1].start(late=True)
    assert not question.done()
    links[1].open()
    assert await question == 42
    assert answered == [21]


async def test_a_worker_that_begins_takes_news_and_keeps_work_until_it_has(links):
    heard_now, done = [], asyncio.Event()
    links[1].on("news", lambda sender, value: (heard_now.append(value), done.set()))
    links[1].on("work", lambda sender, value: heard_now.append(value), work=True)
    links[1].hold()
    links[0].send(1, "work", "message")
    links[0].send(1, "news", "contact")
    await asyncio.wait_for(done.wait(), SOON)
    assert heard_now == ["contact"]
    links[1].open()
    assert heard_now == ["contact", "message"]


async def test_a_worker_that_begins_asks_one_that_has_begun_what_it_knows(links):
    told = []

    async def share(sender, value):
        told.append(sender)

    for link in links:
        link.snapshots.append(share)
    links[0].hold()
    links[1].hold()
    await links[0].catch_up()
    assert told == [0]  # worker 2's: worker 1 begins itself


async def test_more_questions_than_memory_is_meant_for_are_refused_at_once(links, monkeypatch):
    monkeypatch.setattr("kamtool.server.workers_link.MOST_OPEN", 1)
    links[1].stop()
    first = asyncio.ensure_future(links[0].ask(1, "x", 1, 0.2))
    await asyncio.sleep(0)
    with pytest.raises(RpcError, match="too many"):
        await links[0].ask(1, "x", 1)
    with pytest.raises(RpcError, match="does not answer"):
        await first


async def test_a_piece_that_a_dead_worker_left_does_not_spoil_what_its_successor_says(links):
    links[0]._post(1, bytes((0, 1)) + b"half of a letter")  # the first piece, and no last one
    links[0].publish("t", "whole")
    assert await heard(links[1], "t", 1) == [(0, "whole")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"INVITE sip:a SIP/2.0\r\nCall-ID: abc@d\r\n", b"abc@d"),
        (b"INVITE sip:a SIP/2.0\r\ni:abc \r\n", b"abc"),
        (b"INVITE sip:a SIP/2.0\r\nCALL-id  :\r\n  folded\r\n", b"folded"),
        (b"INVITE sip:a SIP/2.0\r\nX-Call-ID: no\r\nCall-ID: yes\r\n", b"yes"),
        (b"INVITE sip:a SIP/2.0\r\nSubject: i: no\r\n\r\n", None),
    ],
)
def test_the_call_id_is_found_as_it_may_be_written(text, found):
    match = CALL_ID.search(text)
    assert (match and match[1]) == found


def test_a_flow_survives_the_mail():
    flow = Flow("tls", Address("127.0.0.1", 5061), Address("::1", 40000), 67)
    assert unflat(*flat(flow)) == flow


def test_answers_become_one():
    assert added([{"a": 1, "b": "x"}, {"a": 2, "c": 5}]) == {"a": 3, "b": "x", "c": 5}
    assert added([{"core.x": "3", "usrloc.location_users": "9"}] * 2) == {
        "core.x": "6", "usrloc.location_users": "9",
    }  # fmt: skip
    assert added([["core:x = 1", "usrloc:y = 4"], ["core:x = 2", "usrloc:y = 4"]]) == [
        "core:x = 3", "usrloc:y = 4",
    ]  # fmt: skip
    assert joined([[1, 2], [3], []]) == [1, 2, 3]


class Wire:
    """What tables publish, and the tables that hear it when they are told to."""

    def __init__(self, number):
        self.number, self.sent = number, []

    def publish(self, topic, value):
        self.sent.append((self.number, value))


@pytest.fixture
def tables():
    """Two workers' tables and a clock; `post()` delivers."""
    clock = [100.0]
    definition = read_definition("t=>size=4;initval=0")
    made = [SharedTable(definition, lambda: clock[0], 1 << 20, Wire(number)) for number in range(2)]

    def post():
        for table, other in (made, made[::-1]):
            sent, table._link.sent = table._link.sent, []
            for sender, (_, kind, key, value, at) in sent:
                other.changed(sender, kind, key, value, at)

    return made, clock, post


def test_increments_of_both_add_up(tables):
    (one, two), _, post = tables
    for _ in range(5):
        one.add("n", 1)
        two.add("n", 2)
    post()
    assert one.get("n") == two.get("n") == 15


def test_of_two_values_at_once_both_keep_the_later(tables):
    (one, two), clock, post = tables
    one.set("k", "first")
    clock[0] += 0.001
    two.set("k", "second")
    post()
    assert one.get("k") == two.get("k") == "second"
    one.delete("k")
    clock[0] += 0.001
    two.set("k", "third")
    post()
    assert one.get("k") == two.get("k") == "third"


def test_nothing_is_published_twice(tables):
    (one, two), _, post = tables
    one.set("k", 1)
    one.add("k", 1)
    one.delete("k")
    one.clear()
    post()
    assert two._link.sent == []
    assert len(two) == 0


def test_a_nonce_count_is_good_once_whichever_process_sees_it():
    team = Team(2)
    uses = SharedUses(team.memory, team.lock, 1000)
    assert uses.use(100, 7, 1)
    assert uses.use(100, 7, 2)
    child = os.fork()
    if not child:
        right = not uses.use(100, 7, 2) and uses.use(100, 7, 3) and uses.use(100, 8, 1)
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not uses.use(100, 7, 3)
    assert uses.use(100, 7, 4)
    assert uses.use(101, 1007, 1)  # a later nonce takes the line of an older one
    assert not uses.use(100, 7, 5)  # which can no longer be told from a used one


def test_a_process_that_was_killed_holding_the_lock_stops_nobody():
    team = Team(2)
    uses = SharedUses(team.memory, team.lock, 1000)
    child = os.fork()
    if not child:
        team.lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert uses.use(1, 1, 1)
    assert team.lock.acquire(timeout=0)  # it has been given back
    team.lock.release()
    assert not uses.use(1, 1, 1)


def test_auto_means_the_cfgs_children_but_no_more_than_there_are_cpus():
    from kamtool.cli.crew import size_of
    from kamtool.script import load

    few, many = (load(f"children={count}\nrequest_route {{ exit; }}").settings for count in (1, 500))
    assert size_of("auto", few) == 1
    assert size_of("auto", many) == len(os.sched_getaffinity(0))
    assert size_of("7", few) == 7
