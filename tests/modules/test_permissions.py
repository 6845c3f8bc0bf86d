"""permissions: what Kamailio 5.6.3 answered for the same rows, files and requests."""

import asyncio

import pytest

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.modules.permissions.rules import has_rule, read_rules
from kamtool.modules.permissions.trusted import to_extended
from kamtool.sip.flow import Address, Flow
from tests.support.host import HERE
from tests.support.script import OPTIONS

ADDRESSES = [
    (1, "10.0.0.1", 32, 0, "one"), (1, "10.0.1.0", 24, 0, "net"), (2, "10.0.0.1", 32, 5060, "two"),
    (2, "10.0.2.5", 24, 5070, "odd"), (3, "gw.example.com", 32, 0, "dom"), (4, "2001:db8::", 32, 0, "v6net"),
    (3, "GW2.example.com", 0, 5060, None), (4, "2001:db8:1::1", 128, 0, "v6"), (8, "10.8.8.8", 0, 0, "mask0"),
    (5, "2001:DB8:2::1", 64, 0, "v6b"), (7, "10.0.0.0", 8, 0, "wide"), (9, "127.0.0.2", 32, 0, "src"),
    (10, "[2001:db8:5::1]", 128, 0, "br"), (2, "10.0.0.1", 32, 0, "two-any"), (11, "10.1.1.1", 32, 0, ""),
]  # fmt: skip


def fill(rows, *entries):
    for group, address, mask, port, tag in entries or ADDRESSES:
        rows.add("address", grp=group, ip_addr=address, mask=mask, port=port, tag=tag)


def load(script, rows, route, *lines):
    return script(
        *rows.lines("permissions"), 'modparam("permissions", "peer_tag_avp", "$avp(peer)")',
        'modparam("permissions", "reload_delta", 0)', *lines, f"request_route {{ {route} $avp(rc) = $rc; }}",
    )  # fmt: skip


def module(run):
    return run.host.modules["permissions"]


def result(run, text=OPTIONS, source="127.0.0.1", transport="udp"):
    ctx = run.context(text, Flow(transport, HERE, Address(source, 5060)))
    found = run(ctx=ctx)
    return found["avp(rc)"], found["avp(peer)"]


@pytest.mark.parametrize(
    ("group", "address", "port", "expected"),
    [
        (1, "10.0.0.1", 5060, (1, "one")), (1, "10.0.1.77", 1, (1, "net")),
        (2, "10.0.0.1", 5060, (1, "two-any")), (2, "10.0.0.1", 5061, (1, "two-any")),
        (2, "10.0.2.9", 5070, (1, "odd")), (2, "10.0.2.9", 5071, (-1, None)),
        (3, "gw.example.com", 5060, (1, "dom")), (3, "GW.example.com", 5060, (-1, None)),
        (3, "gw2.example.com", 5060, (-1, None)), (3, "x.gw.example.com", 1, (-1, None)),
        (4, "2001:db8::5", 5060, (1, "v6net")), (4, "2001:db8:1::1", 1, (1, "v6")),
        (4, "[2001:db8:1::1]", 1, (1, "v6")), (5, "2001:db8:2::99", 1, (1, "v6b")),
        (6, "10.9.9.9", 1, (-1, None)), (7, "10.77.1.1", 1, (1, "wide")), (8, "10.8.8.8", 1, (1, "mask0")),
        (8, "99.8.8.8", 1, (-1, None)), (0, "10.7.7.7", 1, (-1, None)), (1, "", 1, (-1, None)),
        (10, "2001:db8:5::1", 1, (1, "br")), (11, "10.1.1.1", 1, (1, "")), (3, "example.com", 1, (-1, None)),
    ],
)  # fmt: skip
def test_an_address_is_in_the_groups_that_kamailio_finds_it_in(script, rows, group, address, port, expected):
    fill(rows)
    assert result(load(script, rows, f'allow_address("{group}", "{address}", "{port}");')) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", (2, "two-any")), ("10.0.2.9", (7, "wide")), ("10.55.5.5", (7, "wide")),
        ("9.9.9.9", (-1, None)), ("10.8.8.8", (8, "mask0")), ("2001:db8::5", (4, "v6net")),
    ],
)  # fmt: skip
def test_the_group_of_an_address_is_its_newest_row_s_else_the_lowest_subnet_s(
    script, rows, address, expected
):
    fill(rows)
    assert result(load(script, rows, f'allow_address_group("{address}", "5060");')) == expected


def test_the_source_of_a_request_is_asked_for_in_group_1_if_none_is_named(script, rows):
    fill(rows, *ADDRESSES, (1, "127.0.0.3", 32, 0, "src3"))
    first, named = (
        load(script, rows, "allow_source_address();"),
        load(script, rows, 'allow_source_address("9");'),
    )
    group = load(script, rows, "allow_source_address_group();")
    assert [result(first, source=f"127.0.0.{n}")[0] for n in (1, 2, 3)] == [-1, -1, 1]
    assert [result(named, source=f"127.0.0.{n}")[0] for n in (1, 2, 3)] == [-1, 1, -1]
    assert [result(group, source=f"127.0.0.{n}")[0] for n in (1, 2, 3)] == [-1, 9, 1]


@pytest.mark.parametrize(
    "row",
    [
        (6, "10.9.9.9", 33, 0, None), (0, "10.7.7.7", 32, 0, None), (-3, "10.5.5.5", 32, 0, None),
        (4, "2001:db8::", 200, 0, None), (4, "10.1.1.1", -1, 0, None), ("x", "10.1.1.1", 32, 0, None),
    ],
)  # fmt: skip
def test_a_row_that_kamailio_refuses_is_refused_with_its_id(script, rows, row):
    fill(rows, row)
    with pytest.raises(StoreError, match="row 1: "):
        load(script, rows, "allow_source_address();")


def test_too_many_subnets_are_refused(script, rows):
    fill(rows)
    with pytest.raises(StoreError, match="more than max_subnets=3"):
        load(script, rows, "allow_source_address();", 'modparam("permissions", "max_subnets", 3)')


def test_reload_brings_new_rows_and_a_bad_one_leaves_the_old(script, rows):
    run = load(script, rows, "allow_source_address();")
    assert result(run)[0] == -1
    fill(rows, (1, "127.0.0.1", 32, 0, None))
    assert asyncio.run(module(run).address_reload()) == "Reload OK"
    assert result(run)[0] == 1
    fill(rows, (1, "127.0.0.9", 99, 0, None))
    with pytest.raises(RpcError, match=r"Reload failed: .*row 2: mask 99"):
        asyncio.run(module(run).address_reload())
    assert result(run)[0] == 1


def test_reloads_must_be_reload_delta_seconds_apart(script, rows):
    run = load(script, rows, "allow_source_address();", 'modparam("permissions", "reload_delta", 5)')
    asyncio.run(module(run).address_reload())
    with pytest.raises(RpcError, match="ongoing reload"):
        asyncio.run(module(run).address_reload())
    run.host.clock += 5
    assert asyncio.run(module(run).address_reload()) == "Reload OK"


def test_dumps_show_what_is_in_memory(script, rows):
    fill(rows, *ADDRESSES[:5])
    found = module(load(script, rows, "allow_source_address();"))
    assert [entry["item"] for entry in found.address_dump()] == [
        {"ip": "10.0.0.1", "port": 0, "tag": "one"}, {"ip": "10.0.0.1", "port": 5060, "tag": "two"},
    ]  # fmt: skip
    assert found.subnet_dump() == [
        {"id": 0, "group": 1, "item": {"ip": "10.0.1.0", "mask": 24, "port": 0, "tag": "net"}},
        {"id": 1, "group": 2, "item": {"ip": "10.0.2.5", "mask": 24, "port": 5070, "tag": "odd"}},
    ]
    assert found.domain_dump() == [
        {"table": 0, "group": 3, "item": {"domain_name": "gw.example.com", "port": 0, "tag": "dom"}}
    ]


def test_an_address_file_takes_the_place_of_the_table(script, rows, tmp_path):
    file = tmp_path / "address.list"
    file.write_text(
        "# a list\n1 127.0.0.1 32 0 tag1\n1 10.0.0.10\n2 192.168.1.0 24 0 tag2 # c\n3 [1:5ee::900d]\n"
    )
    run = load(script, rows, "allow_source_address();", f'modparam("permissions", "address_file", "{file}")')
    assert result(run) == (1, "tag1")
    assert module(run).addresses.find("192.168.1.9", 1, 2).tag == "tag2"
    assert module(run).addresses.find("1:5ee::900d", 1, 3) is not None
    file.write_text("1 10.0.0.1\n1 10.0.0.2 x\n")
    with pytest.raises(RpcError, match=r"address\.list:2: "):
        asyncio.run(module(run).address_reload())
    assert result(run) == (1, "tag1")


TRUSTED = [
    ("127.0.0.1", "any", "^sip:bob@.*$", None, "t1", 0), ("127.0.0.2", "udp", None, "^sip:alice@", "t2", 0),
    ("127.0.0.3", "tcp", None, None, "t3", 0), ("127.0.0.4", "UDP", None, None, None, 0),
    ("127.0.0.5", "none", None, None, "t5", 0), ("127.0.0.6", "any", None, None, "low", 1),
    ("127.0.0.6", "any", None, None, "high", 9),
]  # fmt: skip


def trust(rows, *entries):
    for source, protocol, from_pattern, ruri_pattern, tag, priority in entries or TRUSTED:
        rows.add(
            "trusted", src_ip=source, proto=protocol, from_pattern=from_pattern, ruri_pattern=ruri_pattern,
            tag=tag, priority=priority,
        )  # fmt: skip


@pytest.mark.parametrize("db_mode", [0, 1])
def test_a_trusted_peer_is_known_by_source_transport_and_uris(script, rows, db_mode):
    trust(rows)
    run = load(script, rows, "allow_trusted();", f'modparam("permissions", "db_mode", {db_mode})')
    assert [result(run, source=f"127.0.0.{n}") for n in range(1, 8)] == [
        (1, "t1"), (1, "t2"), (-1, None), (1, None), (-1, None), (1, "high"), (-1, None),
    ]  # fmt: skip
    assert result(run, OPTIONS.replace("sip:bob", "sip:eve")) == (-1, None)
    assert result(run, OPTIONS.replace("OPTIONS sip:alice", "OPTIONS sip:eve"), "127.0.0.2") == (-1, None)
    assert result(run, source="127.0.0.3", transport="tcp") == (1, "t3")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"127.0.0.3", "tcp"', (1, "t3")), ('"127.0.0.3", "TCP"', (1, "t3")),
        ('"127.0.0.3", "any"', (1, "t3")), ('"127.0.0.3", "xx"', (-1, None)),
        ('"127.0.0.4", "udp"', (1, None)), ('"", "udp"', (-1, None)),
        ('"127.0.0.3", ""', (-1, None)), ('"garbage", "udp"', (-1, None)),
        ('"127.0.0.1", "udp", "sip:bob@x"', (1, "t1")), ('"127.0.0.1", "udp", "sip:eve@x"', (-1, None)),
        ('"127.0.0.4", "udp", ""', (1, None)),
    ],
)  # fmt: skip
def test_another_source_transport_and_from_may_be_named(script, rows, arguments, expected):
    trust(rows)
    run = load(script, rows, f"allow_trusted({arguments});", 'modparam("permissions", "db_mode", 1)')
    assert result(run) == expected


def test_peer_tag_mode_1_counts_and_adds_all(script, rows):
    trust(rows)
    run = load(script, rows, "allow_trusted();", 'modparam("permissions", "peer_tag_mode", 1)')
    ctx = run.context(OPTIONS, Flow("udp", HERE, Address("127.0.0.6", 5060)))
    found = run(ctx=ctx)
    assert (found["avp(rc)"], found["(avp(peer)[*])"]) == (2, "low, high")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("sip:(bob)", False), ("BOB", False), ("bo+b", False), ("bob\\|zz", True), ("b\\(ob\\)@", True),
        ("b[[:alpha:]]*@", True), ("^sip:bob@biloxi.example.org$", True), ("[]b]ob", True), ("bo\\+b", True),
    ],
)  # fmt: skip
def test_a_pattern_is_a_basic_regular_expression(script, rows, pattern, fits):
    trust(rows, ("127.0.0.1", "any", pattern, None, "x", 0))
    assert result(load(script, rows, "allow_trusted();"))[0] == (1 if fits else -1)


def test_a_basic_expression_is_written_as_an_extended_one():
    assert to_extended(r"a\(b\)(c)\{2\}{[(+]\|*+") == r"a(b)\(c\){2}\{[(+]|*\+"
    assert to_extended("*a[[:alpha:]+]+") == r"\*a[[:alpha:]+]\+"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("127.0.0.8", "foo", None, None, None, 0), "unknown protocol 'foo'"),
        (("127.0.0.8", "any", "[bad", None, None, 0), "row 1: "),
    ],
)
def test_a_bad_trusted_row_is_refused_at_start_and_finds_nobody_when_asked_for(script, rows, row, message):
    trust(rows, row)
    with pytest.raises(StoreError, match=message):
        load(script, rows, "allow_trusted();", 'modparam("permissions", "db_mode", 1)')
    assert result(load(script, rows, "allow_trusted();"), source="127.0.0.8")[0] == -1


def test_trusted_reload_and_dump(script, rows):
    trust(rows, TRUSTED[1])
    run = load(script, rows, "allow_trusted();", 'modparam("permissions", "db_mode", 1)')
    assert module(run).trusted_dump() == [
        {
            "table": 0,
            "item": {
                "ip": "127.0.0.2", "proto": 1, "pattern": "NULL", "ruri_pattern": "^sip:alice@", "tag": "t2",
                "priority": 0,
            },
        }
    ]  # fmt: skip
    trust(rows, ("127.0.0.1", "any", None, None, "new", 0))
    assert asyncio.run(module(run).trusted_reload()) == "Reload OK"
    assert result(run) == (1, "new")


ALLOW = """# comment
"^sip:alice@a.com" : "^sip:cat@b.com$"   # tail
"^sip:c[0-9]@q$", "^sip:d@" : ALL EXCEPT "cow"
"""
DENY = """"^sip:alice" , "^sip:bob@" EXCEPT "sip:bobby" : "dog" , "fish" EXCEPT "goldfish"
ALL EXCEPT "alice|bob|zed" : "cat", "cow"
"""
RULED = [
    ("sip:alice@a.com", "sip:cat@b.com", 1), ("sip:ALICE@a.com", "sip:CAT@b.com", 1),
    ("sip:alice@a.com", "sip:dog@b.com", -1), ("sip:bob@a.com", "sip:dog@b.com", -1),
    ("sip:bob@a.com", "sip:fish@b.com", -1), ("sip:eve@a.com", "sip:cat@b.com", -1),
    ("sip:alice@a.com:5070;x=1", "sip:cat@b.com:5080;y=1", 1), ("sip:zed@q", "sip:b.com", 1),
    ("sip:c3@q", "sip:any@b.com", 1), ("sip:c3@q", "sip:cow@b.com", -1),
]  # fmt: skip


@pytest.fixture
def ruled(script, tmp_path):
    (tmp_path / "x.allow").write_text(ALLOW)
    (tmp_path / "x.deny").write_text(DENY)
    return lambda route, *lines: script(
        'loadmodule "permissions.so"', *lines, f"request_route {{ {route} $avp(rc) = $rc; }}"
    )


def about(who, what, method="OPTIONS"):
    text = OPTIONS.replace("sip:alice@example.com;transport=udp", what).replace("OPTIONS", method)
    text = text.replace("sip:bob@biloxi.example.org", who).replace("<sip:alice@example.com>", f"<{who}>")
    return text.replace("sip:bob@127.0.0.1:5999;ob", what)


@pytest.mark.parametrize(
    "route",
    [
        'allow_routing("{}/x");', 'allow_routing("{}/x.allow", "{}/x.deny");', 'allow_register("{}/x");',
        'allow_uri("{}/x", "$ru");',
    ],
)  # fmt: skip
def test_the_first_file_allows_the_second_denies_the_rest_is_allowed(ruled, tmp_path, route):
    run = ruled(route.replace("{}", str(tmp_path)))
    assert [run(about(who, what))["avp(rc)"] for who, what, _ in RULED] == [code for *_, code in RULED]


def test_allow_routing_looks_at_every_branch_unless_told_not_to(ruled, tmp_path):
    route = f'append_branch("sip:dog@b.com:5070"); allow_routing("{tmp_path}/x");'
    message = about("sip:alice@a.com", "sip:cat@b.com")
    assert ruled(route, 'loadmodule "corex.so"')(message)["avp(rc)"] == -1
    alone = 'modparam("permissions", "check_all_branches", 0)'
    assert ruled(route, 'loadmodule "corex.so"', alone)(message)["avp(rc)"] == 1


def test_a_star_and_no_contact_may_always_register(ruled, tmp_path):
    run = ruled(f'allow_register("{tmp_path}/x");')
    message = about("sip:alice@a.com", "sip:dog@b.com", "REGISTER")
    assert run(message)["avp(rc)"] == -1
    assert run(message.replace("<sip:dog@b.com>", "*"))["avp(rc)"] == 1
    assert run(message.replace("Contact: <sip:dog@b.com>\n", ""))["avp(rc)"] == 1


def test_files_that_are_not_there_allow_everything(ruled, tmp_path):
    run = ruled(f'allow_routing("{tmp_path}/nosuch");')
    assert run(about("sip:alice@a.com", "sip:dog@b.com"))["avp(rc)"] == 1
    assert ruled("allow_routing();")(OPTIONS)["avp(rc)"] == 1


def test_test_uri_answers_for_files_that_a_route_names(ruled, tmp_path):
    found = module(ruled(f'allow_uri("{tmp_path}/x", "$ru");'))
    assert found.test_uri(f"{tmp_path}/x", "sip:alice@a.com", "sip:cat@b.com") == "Allowed"
    assert found.test_uri(f"{tmp_path}/x", "sip:bob@a.com", "sip:dog@b.com") == "Denied"
    assert found.test_uri("nosuch", "sip:bob@a.com", "sip:dog@b.com") == "Denied"


@pytest.mark.parametrize(
    "line",
    [
        '"a"',
        '"a" : "b" : "c"',
        'a : "b"',
        '"a" "b" : ALL',
        '"a", : ALL',
        '"[" : ALL',
        "ALL : ALL EXCEPT",
        ": ALL",
    ],
)
def test_a_line_that_is_no_rule_is_named_at_start(ruled, tmp_path, line):
    (tmp_path / "x.allow").write_text(f'"ok" : ALL\n{line}\n')
    with pytest.raises(ConfigError, match=r"x\.allow:2: "):
        ruled(f'allow_routing("{tmp_path}/x");')


def test_all_means_all():
    assert has_rule(read_rules("ALL : ALL", "f"), "x", "y")
    assert not has_rule(read_rules('ALL EXCEPT "x" : ALL', "f"), "x", "y")
