"""The dns_* parameters of a cfg reach the resolver; the cache keeps to its limits."""

import pytest

from kamtool.script import load
from kamtool.server import listen
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.transport.dns_cache import Cache, Host
from kamtool.transport.dns_options import FOREVER, DnsOptions

ROUTE = "request_route { exit; }"


def server(head):
    return Server(load(f"#!KAMAILIO\n{head}\n{ROUTE}"), options=Options())


@pytest.mark.parametrize(
    ("head", "name", "value"),
    [
        ("", "naptr", False),
        ("dns_try_naptr=yes", "naptr", True),
        ("dns_try_ipv6=no", "ipv6", False),
        ("dns_cache_flags=1", "ipv6", False),
        ("dns_cache_flags=2", "ipv4", False),
        ("dns_cache_flags=4", "prefer_ipv6", True),
        ("dns_tcp_pref=40", "preferences", {"udp": 30, "tcp": 40, "tls": 10, "sctp": 20}),
        ("dns_tls_preference=-1", "preferences", {"udp": 30, "tcp": 20, "tls": -1, "sctp": 20}),
        ("dns_naptr_ignore_rfc=no", "naptr_by_preference", False),
        ("", "srv_by_weight", True),
        ("dns_srv_loadbalancing=no", "srv_by_weight", False),
        ("use_dns_failover=off", "failover", False),
        ("use_dns_cache=off", "cache", False),
        ("dns_cache_init=off", "cache", False),
        ("dns_cache_mem=7", "cache_bytes", 7 * 1024),
        ("dns_cache_del_nonexp=yes", "drop_living", True),
        ("dns_cache_negative_ttl=9", "negative_ttl", 9.0),
        ("dns_cache_min_ttl=30", "min_ttl", 30.0),
        ("", "max_ttl", FOREVER),
        ("dns_cache_max_ttl=90", "max_ttl", 90.0),
        ("dns_cache_gc_interval=5", "gc_seconds", 5.0),
        ("dns_retr_time=1", "try_seconds", 1),
        ("dns_retr_no=3", "tries", 3),
        ("dns_servers_no=2", "servers", 2),
        ("dns_use_search_list=no", "search", False),
    ],
)
def test_a_parameter_reaches_the_resolver(head, name, value):
    assert getattr(server(head).transports.resolver.options, name) == value


def test_ttls_stay_within_the_limits_of_the_cfg():
    cache = Cache(DnsOptions(min_ttl=30, max_ttl=90))
    for name, ttl, kept in (("a", 1, 30), ("b", 60, 60), ("c", 3600, 90)):
        assert cache.put((name, "A"), [Host("127.0.0.1")], ttl, 100.0).expires_at == 100 + kept
    assert cache.put(("d", "A"), [], 5, 100.0).expires_at == 105, "a missing name has no least time"


@pytest.mark.parametrize("drop_living", [False, True])
def test_a_flood_of_names_does_not_grow_the_cache(drop_living):
    cache = Cache(DnsOptions(cache_bytes=100_000, drop_living=drop_living))
    for number in range(5000):
        cache.put((f"n{number}", "A"), [Host("127.0.0.1")], 60, float(number) / 1000)
        assert cache.used_bytes <= 100_000
    assert cache.used_bytes == sum(entry.size_bytes for _, entry in cache)
    assert (("n4999", "A") in cache.entries) is drop_living
    assert cache.put(("late", "A"), [Host("127.0.0.2")], 60, 1e6).records
    assert ("late", "A") in cache.entries, "what has expired makes room"


def test_a_permanent_record_outlives_answers_and_clearing():
    cache = Cache(DnsOptions(cache=False))
    cache.add(("a", "A"), Host("127.0.0.9"), FOREVER, 0.0)
    cache.put(("a", "A"), [Host("127.0.0.1")], 60, 1.0)
    cache.put(("b", "A"), [Host("127.0.0.1")], 60, 1.0)
    cache.clear(permanent=False)
    assert [(key, entry.records) for key, entry in cache] == [(("a", "A"), [Host("127.0.0.9")])]


@pytest.mark.parametrize(("head", "families"), [("", {4}), ("auto_bind_ipv6=1", {4, 6})])
def test_auto_bind_ipv6_listens_on_both_families(head, families, monkeypatch):
    monkeypatch.setattr(listen, "ipv4_addresses", lambda: iter(["192.0.2.1"]))
    monkeypatch.setattr(listen, "ipv6_addresses", lambda: iter(["2001:db8::1"]))
    settings = load(f"#!KAMAILIO\n{head}\n{ROUTE}").settings
    found = listen.sockets_of(settings, [])
    assert {6 if ":" in s.address.host else 4 for s in found} == families
    assert len(found) == 2 * len(families)
