"""The debugger, coverage and stories on a server of several workers."""

import asyncio
import json
import select
import socket
import time

import pytest

from kamtool.debug.coverage.record import Coverage
from kamtool.debug.crowd import Crowd, place_of
from kamtool.errors import UsageError

pytestmark = pytest.mark.live
CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
request_route {
    $var(x) = 1;
    sl_send_reply("403", "$pp");
}
"""


@pytest.fixture
def crew(served):
    """A server of three workers, by Call-ID, and how it was started."""

    def start(*options):
        server = served()
        (server.folder / "edge.cfg").write_text(CFG)
        server.start("-f", server.folder / "edge.cfg", "--workers", "3", *options)
        # Worker 0 answers; the others may still begin.
        places = [place_of(server.folder / "control.sock", number) for number in range(3)]
        end = time.monotonic() + 60
        while not all(place.exists() for place in places):
            assert time.monotonic() < end, server.log()
            time.sleep(0.02)
        return server

    return start


class Phones:
    """Sends requests, each from a port of its own: the kernel spreads them. Tells which process answered."""

    def __init__(self, port):
        self.port, self.count, self.open = port, 0, []

    def ask(self):
        self.count += 1
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        text = (
            "OPTIONS sip:b@example.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{one.getsockname()[1]};branch=z9hG4bKc{self.count}\r\n"
            f"From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>\r\nCall-ID: crowd-{self.count}\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        one.sendto(text.encode(), ("127.0.0.1", self.port))
        self.open.append(one)

    def pid(self):
        """Of the process whose answer comes next."""
        ready, _, _ = select.select(self.open, [], [], 20)
        assert ready, "no answer came"
        self.open.remove(ready[0])
        with ready[0] as one:
            return int(one.recv(65535).split(b"\r\n", 1)[0].split()[2])

    def met(self, size=3):
        """Ask until every worker has answered; their processes, and how many were asked."""
        found = set()
        while len(found) < size:
            assert self.count < 500, found
            self.ask()
            found.add(self.pid())
        return found


async def parked_in_each(client, phones, size=3):
    """Ask until a message is parked in every worker."""
    stops = asyncio.Queue()
    client.on_event = lambda event, facts: stops.put_nowait(facts) if event == "stopped" else None
    found = {}
    async with asyncio.timeout(60):
        while len(found) < size:
            phones.ask()
            facts = await stops.get()
            found.setdefault((facts["id"] - 1) % size, facts)
    return found


async def test_a_message_stops_in_whichever_worker_it_comes_to(crew):
    server = crew()
    client, phones = Crowd(), Phones(server.port)
    hello = await client.attach(server.folder / "control.sock")
    assert hello["workers"] == 3
    await client.call("options", most=100)
    made = await client.call("break", text="5")
    found = await parked_in_each(client, phones)
    assert sorted(found) == [0, 1, 2]
    pids = set()
    for facts in found.values():
        assert (await client.call("evaluate", text="$ci", of=facts["id"]))["value"] == facts["call_id"]
        pids.add((await client.call("evaluate", text="$pp", of=facts["id"]))["value"])
    assert len(pids) == 3
    assert {each["id"] for each in await client.call("parked")} >= {each["id"] for each in found.values()}
    (row,) = await client.call("breakpoints")
    assert (row["number"], row["hits"]) == (made["number"], phones.count)
    assert await client.call("release") == phones.count
    await client.call("clear")
    for _ in range(phones.count):
        phones.pid()
    await client.close()
    phones.met()


async def test_once_means_once_in_all_of_them(crew):
    server = crew()
    client, phones = Crowd(), Phones(server.port)
    await client.attach(server.folder / "control.sock")
    stops = []
    first = asyncio.Event()

    def heard(event, facts):
        if event == "stopped":
            stops.append(facts)
            first.set()

    client.on_event = heard
    await client.call("break", text="5", once=True)
    phones.ask()
    await asyncio.wait_for(first.wait(), 30)
    async with asyncio.timeout(30):
        while await client.call("breakpoints"):
            pass
    await client.call("release")
    phones.pid()
    await asyncio.to_thread(phones.met)
    assert len(stops) == 1
    await client.close()


async def test_one_worker_can_be_watched_alone(crew):
    server = crew()
    client = Crowd(2)
    hello = await client.attach(server.folder / "control.sock")
    assert (hello["worker"], hello["workers"]) == (2, 3)
    await client.close()
    with pytest.raises(UsageError, match=r"control\.sock\.7"):
        await Crowd(7).attach(server.folder / "control.sock")
    done = server.cli("debug", "--worker", "1", text_in="print $ru\n")
    assert "worker 1 of 3" in done.stdout
    done = server.cli("debug", text_in="print $ru\n")
    assert "all 3 workers" in done.stdout


def test_coverage_of_all_workers_becomes_one_file_and_stories_are_told_of_each(crew, tmp_path):
    file = tmp_path / "run.cov"
    server = crew("--coverage", file, "--history", "50")
    phones = Phones(server.port)
    phones.met()
    stories = json.loads(server.cli("why", "403", "--last", "500", "-o", "json").stdout)
    assert len(stories) == phones.count
    assert len(json.loads(server.cli("why", "403", "-o", "json").stdout)) == 1
    told = server.cli("rpc", "debug.explain", "crowd-1")
    assert "crowd-1" in told.stdout
    going = tmp_path / "on.cov"
    assert server.cli("cov", "stop", going, "--go-on").returncode == 0
    assert server.end() == 0
    for each in (going, file):
        (counted,) = Coverage.read(each).files.values()
        assert counted.lines[5] == phones.count


def test_the_workers_sockets_are_gone_when_the_server_is(crew):
    server = crew()
    places = [place_of(server.folder / "control.sock", number) for number in range(3)]
    assert all(place.exists() for place in places)
    assert all(place.stat().st_mode & 0o777 == 0o600 for place in places)
    server.end()
    assert not any(place.exists() for place in places)
