"""RFC 3263 over a table of records, no network."""

import random
from collections import Counter
from types import SimpleNamespace

import pytest

from kamtool.errors import TransportError
from kamtool.transport.resolver import Resolver, by_weight, read_hosts


def a(address):
    return SimpleNamespace(address=address)


def srv(priority, weight, port, target):
    return SimpleNamespace(priority=priority, weight=weight, port=port, target=target + ".")


def naptr(order, service, replacement):
    return SimpleNamespace(
        order=order, preference=10, service=service.encode(), replacement=replacement + "."
    )


class Zone:
    """Answers from a table and remembers what was asked."""

    def __init__(self, **records):
        self.records = {tuple(key.rsplit("/", 1)): value for key, value in records.items()}
        self.asked = []

    async def __call__(self, name, kind):
        self.asked.append(f"{name}/{kind}")
        if (name, kind) not in self.records:
            raise TransportError(f"{name}: no such name")
        return self.records[name, kind], 300.0


def resolver(tmp_path, records, **options):
    zone = Zone(**records)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.9 gateway gw.local # ours\n")
    return Resolver(query=zone, hosts=hosts, **options), zone


def shown(targets):
    return [f"{t.transport} {t.address}" for t in targets]


async def test_a_name_without_srv_is_its_addresses_at_5060(tmp_path):
    find, _ = resolver(tmp_path, {"example.com/A": [a("192.0.2.1")], "example.com/AAAA": [a("2001:db8::1")]})
    assert shown(await find.resolve("Example.COM.", None)) == ["udp 192.0.2.1:5060", "udp [2001:db8::1]:5060"]


async def test_srv_gives_port_and_order(tmp_path):
    records = {
        "_sip._udp.example.com/SRV": [srv(20, 0, 5062, "b.example.com"), srv(10, 0, 5061, "a.example.com")],
        "a.example.com/A": [a("192.0.2.1")],
        "b.example.com/A": [a("192.0.2.2")],
    }
    find, _ = resolver(tmp_path, records, ipv6=False)
    assert shown(await find.resolve("example.com", None)) == ["udp 192.0.2.1:5061", "udp 192.0.2.2:5062"]


async def test_a_port_in_the_uri_forbids_srv(tmp_path):
    """RFC 3263 4.2."""
    find, zone = resolver(tmp_path, {"example.com/A": [a("192.0.2.1")]}, ipv6=False)
    assert shown(await find.resolve("example.com", 5070, "tcp")) == ["tcp 192.0.2.1:5070"]
    assert zone.asked == ["example.com/A"]


async def test_naptr_picks_the_transport_when_it_is_asked_for(tmp_path):
    records = {
        "example.com/NAPTR": [
            naptr(20, "SIP+D2U", "_sip._udp.example.com"),
            naptr(10, "SIP+D2T", "_sip._tcp.example.com"),
        ],
        "_sip._tcp.example.com/SRV": [srv(1, 1, 5060, "t.example.com")],
        "t.example.com/A": [a("192.0.2.3")],
    }
    find, _ = resolver(tmp_path, records, naptr=True, ipv6=False)
    assert shown(await find.resolve("example.com", None)) == ["tcp 192.0.2.3:5060"]


async def test_a_sips_uri_asks_for_tls_only(tmp_path):
    records = {
        "_sips._tcp.example.com/SRV": [srv(1, 1, 5061, "s.example.com")],
        "s.example.com/A": [a("192.0.2.4")],
    }
    find, zone = resolver(tmp_path, records, ipv6=False)
    assert shown(await find.resolve("example.com", None, secure=True)) == ["tls 192.0.2.4:5061"]
    assert zone.asked[0] == "_sips._tcp.example.com/SRV"


async def test_the_hosts_file_comes_first(tmp_path):
    find, zone = resolver(tmp_path, {})
    assert shown(await find.resolve("gw.local", None, "tcp")) == ["tcp 127.0.0.9:5060"]
    assert zone.asked == []


async def test_a_name_that_does_not_resolve_is_an_error_and_is_remembered(tmp_path):
    find, zone = resolver(tmp_path, {}, ipv6=False)
    for _ in range(2):
        with pytest.raises(TransportError, match=r"nowhere\.example"):
            await find.resolve("nowhere.example", 5060)
    assert zone.asked == ["nowhere.example/A"]


async def test_answers_are_kept_for_their_time_to_live(tmp_path):
    find, zone = resolver(tmp_path, {"example.com/A": [a("192.0.2.1")]}, ipv6=False)
    await find.resolve("example.com", 5060)
    await find.resolve("example.com", 5060)
    assert zone.asked == ["example.com/A"]
    find.clear()
    await find.resolve("example.com", 5060)
    assert len(zone.asked) == 2


def test_weights_share_the_load_within_a_priority():
    """RFC 2782: weight 3 to 1."""
    rng = random.Random(7)
    records = [srv(1, 30, 1, "big"), srv(1, 10, 1, "small"), srv(2, 99, 1, "spare")]
    first = Counter(by_weight(records, rng)[0].target for _ in range(2000))
    assert first["spare."] == 0
    assert 2.4 < first["big."] / first["small."] < 3.8
    assert {r.target for r in by_weight(records, rng)} == {"big.", "small.", "spare."}


def test_no_hosts_file_is_no_names(tmp_path):
    assert read_hosts(tmp_path / "none") == {}
