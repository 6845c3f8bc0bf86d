"""ipops: what texts are, as Kamailio 5.6.3 takes them."""

import pytest

from kamtool.modules.ipops import Ipops

V4, V6, REFERENCE, NONE = 1, 2, 3, -1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("127.0.0.1", V4), ("255.255.255.255", V4), ("256.0.0.1", NONE), ("1.2.3", NONE), ("", NONE),
        ("::1", V6), ("2001:db8::1", V6), ("1:2:3:4:5:6:7:8", V6), ("::ffff:1.2.3.4", V6), (":::", NONE),
        ("[::1]", REFERENCE), ("[127.0.0.1]", NONE), ("[::1", NONE), ("example.com", NONE),
        (" 1.2.3.4", NONE),
    ],
)  # fmt: skip
def test_the_kind_of_an_address(text, kind):
    ipops = Ipops(None)
    assert ipops.ip_type(None, text) == kind
    assert ipops.is_ip(None, text) is (kind > 0)
    assert ipops.is_pure_ip(None, text) is (kind in (V4, V6))
    assert ipops.is_ipv4(None, text) is (kind == V4)
    assert ipops.is_ipv6(None, text) is (kind == V6)
    assert ipops.is_ipv6_reference(None, text) is (kind == REFERENCE)


def test_addresses_are_compared_by_what_they_mean():
    ipops = Ipops(None)
    assert ipops.compare_ips(None, "[::1]", "0:0:0:0:0:0:0:1")
    assert not ipops.compare_pure_ips(None, "[::1]", "::1")
    assert ipops.compare_pure_ips(None, "1080:0:0:0:8:800:200C:417A", "1080::8:800:200c:417a")
    assert not ipops.compare_ips(None, "x", "x")


@pytest.mark.parametrize(
    ("text", "private"),
    [("10.255.0.1", True), ("172.15.0.1", False), ("172.31.0.1", True), ("192.168.9.9", True),
     ("8.8.8.8", False), ("100.64.0.1", False), ("fc00::1", False), ("x", False)],
)  # fmt: skip
def test_private_addresses(text, private):
    assert Ipops(None).is_ip_rfc1918(None, text) is private


@pytest.mark.parametrize(
    ("address", "subnets", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True), ("11.1.2.3", "10.0.0.0/8", False), ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "192.0.2.0/24,10.1.0.0/16", True), ("2001:db8::9", "2001:db8::/32", True),
        ("[2001:db8::9]", "2001:db8::/32", False), ("10.1.2.3", "2001:db8::/32", False),
        ("10.1.2.3", "x/8", False),
        ("x", "10.0.0.0/8", False), ("10.1.2.3", "10.0.0.0/99", False),
    ],
)  # fmt: skip
def test_subnets(address, subnets, inside):
    assert Ipops(None).is_in_subnet(None, address, subnets) is inside
