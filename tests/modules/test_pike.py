"""pike: the counts are those that Kamailio 5.6.3 gave."""

import asyncio
import logging

import pytest

from kamtool.errors import RpcError
from kamtool.modules.pike.tree import NEWLY_RED, RED, Tree
from kamtool.sip.flow import Address, Flow
from tests.support.host import HERE, Host
from tests.support.script import OPTIONS


def octets(text):
    return bytes(map(int, text.split(".")))


def needed(tree, address, now=0.0):
    """How many requests it takes until the address is blocked."""
    for count in range(1, 1000):
        if tree.mark(octets(address), now) == NEWLY_RED:
            return count
    raise AssertionError("never blocked")


RECORDED = {  # limit: fresh address, neighbours that share three, two and one octets
    1: (5, 2, 3, 4), 2: (6, 3, 4, 5), 3: (7, 4, 5, 6), 4: (8, 5, 6, 7), 5: (9, 6, 7, 8),
    8: (12, 9, 10, 11), 10: (14, 11, 12, 13), 16: (22, 17, 18, 19), 30: (39, 31, 32, 33),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "counts"), RECORDED.items())
def test_it_takes_as_many_requests_as_kamailio_takes(limit, counts):
    tree = Tree(limit, 120)
    addresses = ("10.1.2.3", "10.1.2.4", "10.1.3.4", "10.2.3.4")
    assert tuple(needed(tree, address) for address in addresses) == counts


def test_an_ipv6_address_is_found_within_nine_times_the_limit():
    tree = Tree(16, 120)
    marks = [tree.mark(bytes(range(16)), 0.0) for _ in range(9 * 16)]
    assert marks.index(NEWLY_RED) + 1 == 34
    assert tree.mark(bytes(range(4)), 0.0) == 0, "an IPv4 address of the same octets is another"


def test_a_blocked_address_is_free_once_a_unit_stays_below_the_limit():
    tree = Tree(4, 120)
    needed(tree, "10.1.2.3")
    assert tree.next_unit() == [], "the last unit was over the limit"
    assert tree.mark(octets("10.1.2.3"), 0.0) == RED
    assert tree.next_unit() == [octets("10.1.2.3")]
    assert tree.mark(octets("10.1.2.3"), 0.0) == 0


def test_a_quiet_tree_is_forgotten_octet_by_octet():
    tree = Tree(4, 10)
    needed(tree, "10.1.2.3", now=0.0)
    needed(tree, "10.1.2.4", now=5.0)
    assert len(tree) == 2
    tree.forget(10.0)
    assert [leaf.key for leaf in tree.leaves()] == [octets("10.1.2.4")]
    for now in (20.0, 30.0, 40.0, 50.0):
        tree.forget(now)
    assert len(tree) == 0
    assert needed(tree, "10.1.2.3") == 8, "as for an address never seen"


def test_a_long_pause_leaves_no_hits_of_long_ago():
    tree = Tree(4, 120)
    for _ in range(7):
        tree.mark(octets("10.1.2.3"), 0.0)
    for _ in range(3):
        tree.next_unit()
    assert [tree.leaf_hits(leaf) for leaf in tree.leaves()] == [(0, 0)]


def started(**params):
    host = Host()
    return host, asyncio.run(host.load("pike", **params))


def test_the_codes_are_1_then_minus_2_then_minus_1(caplog):
    host, pike = started(reqs_density_per_unit=4, pike_log_level=0)
    ctx = host.context(OPTIONS, Flow("udp", HERE, Address("192.0.2.1", 5060)))
    with caplog.at_level(logging.WARNING):
        assert [pike.pike_check_req(ctx) for _ in range(10)] == [1] * 7 + [-2, -1, -1]
    assert [record.getMessage() for record in caplog.records] == ["PIKE - BLOCKing ip 192.0.2.1"]
    assert pike.pike_check_ip(ctx, "192.0.2.1") == -1
    assert pike.pike_check_ip(ctx, "192.0.2.77") == 1, "another address is not affected"


def test_unblocking_is_logged_once(caplog):
    _, pike = started(reqs_density_per_unit=4)
    for _ in range(8):
        pike.check("192.0.2.1")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            pike.next_unit()
    assert [record.getMessage() for record in caplog.records] == ["PIKE - UNBLOCKing ip 192.0.2.1"]


@pytest.mark.parametrize("address", ["", "garbage", "1.2.3", "[::1", "300.1.1.1"])
def test_what_is_no_address_is_refused_by_pike_check_ip(address):
    host, pike = started()
    if address == "[::1":  # a bracket too few is read all the same
        assert pike.pike_check_ip(host.context(OPTIONS), address) == 1
    else:
        assert pike.pike_check_ip(host.context(OPTIONS), address) == -1


def test_top_lists_the_hot_the_warm_or_all_busiest_first():
    host, pike = started(reqs_density_per_unit=16, remove_latency=4)
    for _ in range(23):
        pike.check("10.1.2.3")
    for _ in range(14):
        pike.check("10.1.2.4")
    pike.check("10.1.2.5")
    host.clock += 1
    hot = {
        "ip_addr": "10.1.2.3", "leaf_hits_prev": 0, "leaf_hits_curr": 17, "expires": 3, "status": "HOT",
    }  # fmt: skip
    assert pike.top() == {"max_hits": 16, "list": [hot], "number_of_rows": 1}
    assert [row["ip_addr"] for row in pike.top("WARM")["list"]] == ["10.1.2.4"]
    assert [(row["ip_addr"], row["status"]) for row in pike.top("ALL")["list"]] == [
        ("10.1.2.3", "HOT"), ("10.1.2.4", "WARM"), ("10.1.2.5", ""),
    ]  # fmt: skip
    with pytest.raises(RpcError, match="Bad argument"):
        pike.top("FOO")


def test_a_script_bans_who_sends_too_much(script):
    run = script(
        'loadmodule "pike.so"', 'loadmodule "htable.so"',
        'modparam("htable", "htable", "ipban=>size=8;autoexpire=300;")',
        'modparam("pike", "reqs_density_per_unit", 2)',
        "request_route { if ($sht(ipban=>$si) != $null) drop;",
        "  if (!pike_check_req()) { $sht(ipban=>$si) = 1; exit; } }",
    )  # fmt: skip
    assert [run(OPTIONS).outcome for _ in range(8)] == ["return"] * 5 + ["exit", "drop", "drop"]
