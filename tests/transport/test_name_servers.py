"""Real questions to a name server on loopback that behaves well, badly, or not at all."""

import asyncio

import pytest

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.transport.dns_ask import NameServers
from kamtool.transport.dns_options import DnsOptions
from kamtool.transport.resolver import Resolver
from tests.support.until import SOON, until

pytestmark = pytest.mark.live

ZONE = """
    example.com 60 NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.example.com.
    example.com 60 NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.example.com.
    example.com 60 NAPTR 5 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.
    _sip._udp.example.com 60 SRV 10 0 5070 one.example.com.
    _sip._udp.example.com 60 SRV 20 0 5071 two.example.com.
    _sip._tcp.example.com 60 SRV 10 0 5072 one.example.com.
    _sips._tcp.example.com 60 SRV 10 0 5073 two.example.com.
    one.example.com 60 A 127.0.0.11
    two.example.com 60 A 127.0.0.12
    two.example.com 60 AAAA ::1
    alias.example.com 60 CNAME two.example.com.
    around.example.com 60 CNAME there.example.com.
    there.example.com 60 CNAME around.example.com.
    none.example.com 60 TXT nothing
    short.example.com 60 A 127.0.0.13
"""


def shown(targets):
    return [f"{t.transport} {t.address}" for t in targets]


async def test_srv_leads_to_addresses_and_all_of_it_is_asked_once(nameserver, tmp_path):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path)
    for _ in range(3):
        found = await find.resolve("Example.com", None, "udp")
        assert shown(found) == ["udp 127.0.0.11:5070", "udp 127.0.0.12:5071"]
    assert sorted(server.asked) == [
        "_sip._udp.example.com/SRV/udp",
        "one.example.com/A/udp",
        "two.example.com/A/udp",
    ]


@pytest.mark.parametrize(
    ("preferences", "ours", "expected"),
    [
        ({"udp": 30, "tcp": 20, "tls": 10}, True, "udp 127.0.0.11:5070"),
        ({"udp": 30, "tcp": 40, "tls": 10}, True, "tcp 127.0.0.11:5072"),
        ({"udp": -1, "tcp": 20, "tls": 10}, True, "tcp 127.0.0.11:5072"),
        ({"udp": 30, "tcp": 20, "tls": 10}, False, "tls 127.0.0.12:5073"),
        ({"udp": 30, "tcp": 20, "tls": -1}, False, "udp 127.0.0.11:5070"),
    ],
)
async def test_naptr_goes_by_our_preference_or_by_its_own_order(
    nameserver, tmp_path, preferences, ours, expected
):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path, naptr=True, preferences=preferences, naptr_by_preference=ours)
    assert shown(await find.resolve("example.com", None))[0] == expected


async def test_a_transport_without_a_socket_is_not_asked_for(nameserver, tmp_path):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path, naptr=True, ipv6=True)
    find.transports, find.families = {"tcp"}, {4}
    assert shown(await find.resolve("example.com", None)) == ["tcp 127.0.0.11:5072"]
    assert not [asked for asked in server.asked if "AAAA" in asked or "_udp" in asked]


async def test_ipv6_comes_second_or_first(nameserver, tmp_path):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path, ipv6=True)
    assert shown(await find.resolve("two.example.com", 5060)) == ["udp 127.0.0.12:5060", "udp [::1]:5060"]
    find = server.resolver(tmp_path, ipv6=True, prefer_ipv6=True)
    assert shown(await find.resolve("two.example.com", 5060)) == ["udp [::1]:5060", "udp 127.0.0.12:5060"]


async def test_aliases_are_followed_and_a_loop_of_them_is_an_error(nameserver, tmp_path):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path)
    assert shown(await find.resolve("alias.example.com", 5060)) == ["udp 127.0.0.12:5060"]
    with pytest.raises(TransportError):
        await find.resolve("around.example.com", 5060)


async def test_an_alias_into_another_zone_is_followed_when_the_server_does_not(nameserver, tmp_path):
    """What only a recursive server would do, and some at the edge do not."""
    server = await nameserver("first.example 60 CNAME second.test.\nsecond.test 30 A 127.0.0.14")
    fill = server._fill

    def half(response, name, kind):
        fill(response, name, kind)
        if name == "first.example":
            del response.answer[1:]

    server._fill = half
    find = server.resolver(tmp_path)
    assert shown(await find.resolve("first.example", 5060)) == ["udp 127.0.0.14:5060"]


async def test_a_truncated_answer_is_asked_for_again_over_tcp(nameserver, tmp_path):
    server = await nameserver(ZONE)
    server.truncated.add("short.example.com")
    find = server.resolver(tmp_path)
    assert shown(await find.resolve("short.example.com", 5060)) == ["udp 127.0.0.13:5060"]
    assert server.asked == ["short.example.com/A/udp", "short.example.com/A/tcp"]


@pytest.mark.parametrize("name", ["nowhere.example.com", "none.example.com"])
async def test_what_is_not_there_is_remembered(nameserver, tmp_path, name):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path)
    for _ in range(3):
        with pytest.raises(TransportError, match=name):
            await find.resolve(name, 5060)
    assert server.count(name) == 1


async def test_the_zone_may_shorten_how_long_a_missing_name_is_remembered(nameserver, tmp_path):
    """RFC 2308: not longer than the SOA says, nor than dns_cache_negative_ttl."""
    server = await nameserver(ZONE)
    server.soa_ttl = 0
    find = server.resolver(tmp_path)
    for _ in range(2):
        with pytest.raises(TransportError):
            await find.resolve("nowhere.example.com", 5060)
    assert server.count("nowhere.example.com") == 2


@pytest.mark.parametrize("fault", ["lame", "broken"])
async def test_a_server_that_does_not_know_is_an_error_but_not_a_missing_name(nameserver, tmp_path, fault):
    server = await nameserver(ZONE)
    getattr(server, fault).add("one.example.com")
    find = server.resolver(tmp_path, try_seconds=1, tries=1)
    with pytest.raises(TransportError):
        await find.resolve("one.example.com", 5060)
    entry = find.cache.entries["one.example.com", "A"]
    assert not entry.records
    assert entry.expires_at - entry.used_at <= 5.0


async def test_the_second_server_is_asked_when_the_first_is_lame(nameserver, tmp_path):
    lame, good = await nameserver(ZONE), await nameserver(ZONE)
    lame.lame.add("one.example.com")
    options = DnsOptions(search=False, ipv6=False)
    both = NameServers(options, [Address("127.0.0.1", lame.port), Address("127.0.0.1", good.port)])
    find = Resolver(options, query=both, hosts=tmp_path / "none")
    assert shown(await find.resolve("one.example.com", 5060)) == ["udp 127.0.0.11:5060"]
    assert lame.count("one.example.com")
    assert good.count("one.example.com")


async def test_an_old_answer_is_better_than_none(nameserver, tmp_path):
    """RFC 8767: the name servers are down, the proxy goes on."""
    server = await nameserver("one.example.com 0 A 127.0.0.11")
    find = server.resolver(tmp_path, try_seconds=1, tries=1)
    await find.resolve("one.example.com", 5060)
    server.broken.add("one.example.com")
    assert shown(await find.resolve("one.example.com", 5060)) == ["udp 127.0.0.11:5060"]
    assert server.count("one.example.com") >= 2


async def test_a_silent_server_costs_a_bounded_time(nameserver, tmp_path):
    server = await nameserver(ZONE)
    server.silent.add("one.example.com")
    find = server.resolver(tmp_path, try_seconds=1, tries=1)
    with pytest.raises(TransportError, match=r"one\.example\.com"):
        await asyncio.wait_for(find.resolve("one.example.com", 5060), SOON)
    assert not find.questions.running


async def test_the_same_question_is_asked_once_at_a_time(nameserver, tmp_path):
    server = await nameserver(ZONE)
    server.delays["one.example.com"] = 0.2
    find = server.resolver(tmp_path)
    answers = await asyncio.gather(*[find.resolve("one.example.com", 5060) for _ in range(50)])
    assert {tuple(shown(found)) for found in answers} == {("udp 127.0.0.11:5060",)}
    assert server.count("one.example.com") == 1


async def test_questions_at_once_are_few_and_those_that_wait_are_bounded(tmp_path):
    running, most, gate = 0, 0, asyncio.Event()

    async def query(name, kind):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return [], 60.0

    find = Resolver(DnsOptions(ipv6=False), query=query, hosts=tmp_path / "none", within=30)
    waiting = [asyncio.ensure_future(find.resolve(f"n{n}.example", 5060)) for n in range(5000)]
    await asyncio.sleep(0)
    await until(lambda: len(find.questions.running) == 4096 and running == 64)
    gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert most == 64
    assert sum("wait for an answer already" in str(error) for error in outcomes) == 5000 - 4096
