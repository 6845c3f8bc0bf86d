"""dispatcher: what Kamailio 5.6.3 answered for the same list and requests."""

import asyncio
import collections
import json

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.dispatcher.hashing import hash_of
from kamtool.sip.flow import Address, Flow
from tests.support.host import HERE
from tests.support.script import INVITE, OPTIONS

LIST = """# comment
1 sip:127.0.0.1:7001 0 5 weight=50;rweight=50;duid=a;foo=bar
1 sip:127.0.0.1:7002 0 10 weight=30;rweight=30;duid=b
1 sip:127.0.0.1:7003 0 5 weight=20;rweight=20;duid=c
1 sip:127.0.0.1:7004;transport=tcp 8 1 duid=d
2 sip:127.0.0.1:7005 1
2 sip:127.0.0.1:7006
2 sip:127.0.0.1:7007 4
2 sip:127.0.0.1:7008
3 sip:127.0.0.1:7009 1
4 sip:127.0.0.2:7010
"""
SHOWN = "$avp(rc) = $rc;"


@pytest.fixture
def load(script, tmp_path):
    (tmp_path / "list").write_text(LIST)

    def make(route, **params):
        given = {
            "list_file": str(tmp_path / "list"),
            "flags": 2,
            "ds_hash_size": 4,
            "reload_delta": 0,
            **params,
        }
        lines = [f'modparam("dispatcher", "{name}", {json.dumps(value)})' for name, value in given.items()]
        return script('loadmodule "dispatcher.so"', *lines, f"request_route {{ {route} {SHOWN} }}")

    return make


def module(run):
    return run.host.modules["dispatcher"]


def ports(run, *messages):
    """The ports that `$du` names, one a message."""
    return [(run(message)["du"] or "").partition(";")[0][-4:] for message in messages]


def kept(found):
    return [
        record.fields["uri"][0][14:18] for record in reversed(found.ctx.avps.xavps.named.get("_dsdst_", []))
    ]


def letters(run, group=1):
    return {each.uri[14:18]: each.letters for _, each in module(run).all(group)}


def test_the_list_is_ordered_by_priority_and_of_equals_the_last_is_first(load):
    run = load('ds_select_dst("1", "8");')
    assert [each.uri[14:18] for _, each in module(run).all(1)] == ["7002", "7003", "7001", "7004"]
    assert [each.uri[14:18] for _, each in module(run).all(2)] == ["7008", "7007", "7006", "7005"]


def test_round_robin_goes_on_behind_the_one_it_gave_and_passes_over_the_closed(load):
    run = load('ds_select_dst("1", "4");')
    assert ports(run, *[OPTIONS] * 6) == ["7002", "7003", "7001", "7004", "7002", "7003"]
    run = load('ds_select_dst("2", "4");')
    assert ports(run, *[OPTIONS] * 4) == ["7008", "7006", "7008", "7006"]


@pytest.mark.parametrize("route", ['ds_select_dst("3", "4");', 'ds_select_dst("99", "4");'])
def test_a_set_that_is_closed_or_not_there_gives_nothing(load, route):
    found = load(route)(OPTIONS)
    assert (found["avp(rc)"], found["du"], kept(found)) == (-1, None, [])


@pytest.mark.parametrize(
    ("texts", "number"),
    [(("zork",), 1966402167), (("bob", "example.com"), -382015187 + 2**32), (("alice",), 1834153949)],
)
def test_the_hash_is_kamailio_s(texts, number):
    assert hash_of(*texts) == number


@pytest.mark.parametrize(
    ("algorithm", "port"), [(1, "7003"), (2, "7003"), (3, "7003"), (7, "7004"), (8, "7002"), (99, "7002")]
)
def test_each_algorithm_chooses_as_kamailio_chooses(load, algorithm, port):
    message = OPTIONS.replace("sip:bob@biloxi.example.org", "sip:alice@example.org")
    message = message.replace("sip:alice@example.com", "sip:bob@example.com").replace(
        "X-Num: 42", "X-H: zork"
    )
    assert ports(load(f'ds_select_dst("1", "{algorithm}");', hash_pvar="$hdr(X-H)"), message) == [port]


def test_a_port_counts_in_the_hash_unless_only_the_user_does(load):
    message = OPTIONS.replace("sip:bob@biloxi.example.org", "sip:zork@x.com:5070")
    assert ports(load('ds_select_dst("1", "1");'), message) == ["7001"]
    assert ports(load('ds_select_dst("1", "1");', flags=3), message) == ["7004"], "the hash of `zork`"


@pytest.mark.parametrize("algorithm", [9, 11])
def test_weights_are_exact_in_a_hundred(load, algorithm):
    run = load(f'ds_select_dst("1", "{algorithm}");')
    assert collections.Counter(ports(run, *[OPTIONS] * 100)) == {"7001": 50, "7002": 30, "7003": 20}


def test_relative_weights_are_shared_among_those_that_are_open(load):
    run = load('ds_select_dst("1", "11");')
    module(run).rpc_set_state("i", 1, "sip:127.0.0.1:7001")
    assert collections.Counter(ports(run, *[OPTIONS] * 100)) == {"7002": 60, "7003": 40}


def test_the_others_are_kept_in_order_with_their_attributes(load):
    found = load('ds_select_dst("1", "8");')(OPTIONS)
    assert kept(found) == ["7002", "7003", "7001", "7004"]
    assert found["xavp(_dsctx_=>cnt)"] == 4
    assert found["xavp(_dsdst_=>grp)"] == 1
    assert found["xavp(_dsdst_=>attrs)"] == "weight=30;rweight=30;duid=b"
    assert kept(load('ds_select_dst("1", "8", "2");')(OPTIONS)) == ["7002", "7003"]
    assert kept(load('ds_select_dst("1", "8");', flags=0)(OPTIONS)) == []
    assert kept(load('ds_select_dst("1", "8");', use_default=1)(OPTIONS))[-1] == "7004"


def test_failover_walks_through_all_and_stops(load):
    steps = "ds_next_dst(); $avp(walk) = $_s($rc $du);" * 4
    found = load(f'ds_select_dst("1", "8"); {steps}')(OPTIONS)
    assert found["(avp(walk)[*])"] == (
        "-1 sip:127.0.0.1:7004;transport=tcp, 1 sip:127.0.0.1:7004;transport=tcp, 1 sip:127.0.0.1:7001, "
        "1 sip:127.0.0.1:7003"
    )
    assert kept(found) == []


def test_the_domain_of_the_r_uri_or_only_the_xavp_is_set(load):
    message = OPTIONS.replace(";transport=udp", "")
    assert load('ds_select_domain("1", "8");')(message)["ru"] == "sip:alice@127.0.0.1:7002"
    found = load('ds_select("1", "8");')(message)
    assert (found["ru"], found["du"], kept(found)[0]) == ("sip:alice@example.com", None, "7002")
    found = load('ds_select("1", "8"); ds_set_dst(); ds_next_domain();')(message)
    assert (found["ru"], found["du"]) == ("sip:alice@127.0.0.1:7003", "sip:127.0.0.1:7002")


def test_rules_combine_sets(load):
    assert kept(load('ds_select_routes("1=8;2=8", "d");')(OPTIONS)) == [
        "7002", "7003", "7001", "7004", "7008", "7006",
    ]  # fmt: skip
    assert load('ds_select_routes("3=8;4=8", "d");')(OPTIONS)["du"] == "sip:127.0.0.2:7010"


def test_all_at_once_makes_branches(load):
    found = load('ds_select_dst("1", "12");')(OPTIONS)
    assert found["du"] == "sip:127.0.0.1:7002"
    assert [branch.dst_uri[14:18] for branch in found.ctx.branches] == ["7003", "7001", "7004"]
    assert kept(found) == []


def test_the_quickest_is_first_and_those_alike_by_turns(load):
    run = load('ds_select_dst("2", "13");')
    (slow,) = module(run).find(2, "sip:127.0.0.1:7008")
    assert ports(run, *[OPTIONS] * 3) == ["7008", "7006", "7008"]
    slow.measured(40.0, 0.9)
    assert ports(run, *[OPTIONS] * 2) == ["7006", "7006"]


def test_marking_follows_the_state_letters(load):
    run = load('ds_select_dst("1", "8"); ds_mark_dst("$hdr(X-M)");')
    states = []
    for mark in ("ip", "t", "d"):
        run(OPTIONS.replace("X-Num: 42", f"X-M: {mark}"))
        states.append(letters(run))
    assert states == [
        {"7002": "IP", "7003": "AX", "7001": "AX", "7004": "AP"},
        {"7002": "IP", "7003": "IX", "7001": "AX", "7004": "AP"},
        {"7002": "IP", "7003": "IX", "7001": "DX", "7004": "AP"},
    ]
    assert run(OPTIONS.replace("X-Num: 42", "X-M: zz"))["avp(rc)"] == -1


def test_thresholds_count_failures_and_answers_in_a_row(load):
    run = load("return;", ds_probing_threshold=3, ds_inactive_threshold=2, ds_probing_mode=1)
    found = module(run)
    (each,) = found.find(4, "sip:127.0.0.2:7010")
    states = []
    for status in (408, 408, 200, 408, 408, 408, 200, 408, 200, 200):
        found.pinged(each, status)
        states.append(each.letters)
    assert states == ["TP", "TP", "AP", "TP", "TP", "IP", "IP", "IP", "IP", "AP"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0, {"7004"}), (2, set()), (3, {"7004"}),
        (1, {"7001", "7002", "7003", "7004", "7005", "7006", "7008", "7009", "7010"}),
    ],
)  # fmt: skip
def test_who_is_pinged_is_chosen_by_the_mode(load, mode, expected):
    found = module(load("return;", ds_probing_mode=mode))
    assert {each.parsed.port and str(each.parsed.port) for each in found.wanted()} == expected


def test_reply_codes_may_be_codes_and_classes(load):
    found = module(load("return;", ds_ping_reply_codes="class=3;code=403", ds_probing_mode=1))
    (each,) = found.find(4, "sip:127.0.0.2:7010")
    for status, state in [(403, "AP"), (302, "AP"), (404, "IP"), (200, "AP")]:
        found.pinged(each, status)
        assert each.letters == state, status
    with pytest.raises(ConfigError, match="'2xx' is no code"):
        load("return;", ds_ping_reply_codes="2xx")


RECORDED = [  # set, mode, uri: the code, then $setid and $attrs
    (1, 0, "7002", 1, None, "weight=30;rweight=30;duid=b"), (1, 0, "9", -1, None, None),
    (-1, 0, "7004", -1, None, None), (2, 0, "7005", 1, None, None),
    (1, 1, "9", 1, None, "weight=30;rweight=30;duid=b"), (-1, 1, "7004", 1, 1, "weight=30;rweight=30;duid=b"),
    (-1, 2, "7004", 1, 1, "duid=d"), (2, 4, "7005", -1, None, None), (2, 7, "7005", 1, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("group", "mode", "port", "code", "number", "attributes"), RECORDED)
def test_an_address_is_found_in_the_list(load, group, mode, port, code, number, attributes):
    run = load(
        f'ds_is_from_list("{group}", "{mode}", "sip:127.0.0.1:{port}");',
        setid_pvname="$avp(set)", attrs_pvname="$avp(attrs)",
    )  # fmt: skip
    found = run(OPTIONS)
    assert (found["avp(rc)"], found["avp(set)"], found["avp(attrs)"]) == (code, number, attributes)


def test_the_source_is_found_by_address_and_port(load):
    run = load("ds_is_from_list();")
    assert run(ctx=run.context(OPTIONS, Flow("udp", HERE, Address("127.0.0.2", 7010))))["avp(rc)"] == 1
    assert run(ctx=run.context(OPTIONS, Flow("udp", HERE, Address("127.0.0.2", 7011))))["avp(rc)"] == -1


def test_sets_are_asked_whether_they_are_there_and_open(load):
    for route, code in [
        ('ds_list_exists("3");', 1), ('ds_list_exists("99");', -1), ('ds_is_active("1");', 1),
        ('ds_is_active("3");', -1), ('ds_is_active("99");', -1),
        ('ds_is_active("2", "sip:127.0.0.1:7006");', 1),
        ('ds_is_active("2", "sip:127.0.0.1:7005");', -1),
    ]:  # fmt: skip
        assert load(route)(OPTIONS)["avp(rc)"] == code, route


def call(number, method="INVITE"):
    return INVITE.replace("invite@case", f"call-{number}").replace("INVITE", method)


def test_a_call_goes_to_the_least_loaded_and_counts_until_its_bye(load):
    run = load('if (is_method("BYE")) ds_load_update(); else ds_select_dst("1", "10");')
    assert ports(run, *map(call, range(5))) == ["7002", "7003", "7001", "7004", "7002"]
    run(call(2, "BYE"))
    assert ports(run, call(6)) == ["7001"]
    assert {each.uri[14:18]: each.load for _, each in module(run).all(1)} == {
        "7002": 2, "7003": 1, "7001": 1, "7004": 1,
    }  # fmt: skip
    run.host.clock += 7200
    module(run).loads.expire()
    assert sum(each.load for _, each in module(run).all(1)) == 0


def test_states_are_set_by_rpc(load):
    found = module(load("return;"))
    assert found.rpc_set_state("ip", 1, "all") == "Ok. Dispatcher state updated."
    assert {each.letters for _, each in found.all(1)} == {"IP"}
    found.rpc_set_duid_state("tp", 1, "c")
    found.rpc_set_state("a", 1, "sip:127.0.0.1:7002")
    for state, address, message in [
        ("a", "sip:nosuch", "State Update Failed"),
        ("z", "all", "Unknown State"),
    ]:
        with pytest.raises(RpcError, match=message):
            found.rpc_set_state(state, 1, address)
    assert letters(load("return;"))["7002"] == "AX"


def test_the_list_is_shown_as_kamailio_shows_it(load):
    answer = module(load("return;")).rpc_list()
    assert answer["NRSETS"] == 4
    first = answer["RECORDS"][0]["SET"]
    assert first["ID"] == 1
    assert first["TARGETS"][0]["DEST"] == {
        "URI": "sip:127.0.0.1:7002", "FLAGS": "AX", "PRIORITY": 10,
        "ATTRS": {
            "BODY": "weight=30;rweight=30;duid=b", "DUID": "b", "MAXLOAD": 0, "WEIGHT": 30, "RWEIGHT": 30,
            "SOCKET": "<null string>", "SOCKNAME": "<null string>", "OBPROXY": "<null string>",
        },
        "RUNTIME": {"DLGLOAD": 0},
    }  # fmt: skip
    assert "ATTRS" not in module(load("return;")).rpc_list("short")["RECORDS"][0]["SET"]["TARGETS"][0]["DEST"]


def test_destinations_come_and_go_by_rpc(load):
    run = load('ds_select_dst("7", "8");')
    found = module(run)
    found.rpc_add(7, "sip:127.0.0.1:7021", 0, 3, "duid=x")
    found.rpc_add(7, "sip:127.0.0.1:7020")
    assert ports(run, OPTIONS) == ["7021"]
    found.rpc_remove(7, "sip:127.0.0.1:7021")
    assert ports(run, OPTIONS) == ["7020"]
    with pytest.raises(RpcError, match="failed"):
        found.rpc_add(7, "sip:[bad")
    assert found.rpc_ping_active() == {"OldPingState": 1}
    assert found.rpc_ping_active(0) == {"NewPingState": 0, "OldPingState": 1}
    assert found.rpc_hash(4, "zork") == {"hashid": 1966402167, "slot": 3}


def test_reload_keeps_the_states_found_and_a_list_that_cannot_be_read_changes_nothing(load, tmp_path):
    found = module(load("return;"))
    found.rpc_set_state("ip", 1, "sip:127.0.0.1:7002")
    (tmp_path / "list").write_text(LIST.replace("7004", "7044"))
    assert asyncio.run(found.rpc_reload()) == "Ok. Dispatcher successfully reloaded."
    assert {each.uri[14:18]: each.letters for _, each in found.all(1)} == {
        "7002": "IP", "7003": "AX", "7001": "AX", "7044": "AP",
    }  # fmt: skip
    (tmp_path / "list").unlink()
    with pytest.raises(RpcError, match="No such file"):
        asyncio.run(found.rpc_reload())
    assert len(found.sets) == 4


def test_a_bad_row_is_passed_over_or_refuses_the_list(load, tmp_path, caplog):
    for row in ("1 sip:[bad", "x sip:1.2.3.4", "1 sip:1.2.3.4 z", "1 sip:1.2.3.4 0 0 weight=101", "1"):
        (tmp_path / "list").write_text(f"5 sip:127.0.0.1:7001\n{row}\n")
        assert list(module(load("return;")).sets) == [5], row
        assert "list:2: " in caplog.text
        with pytest.raises(ConfigError, match="list:2: "):
            load("return;", ds_load_mode=1)


def test_the_list_may_be_a_table_with_more_columns(script, rows):
    rows.run("ALTER TABLE dispatcher ADD COLUMN room VARCHAR(8)")
    for setid, uri, flags, priority, attrs, room in [
        (1, "sip:127.0.0.1:7001", 0, 1, "duid=a", "x"), (1, "sip:127.0.0.1:7002", 0, 9, "", None),
    ]:  # fmt: skip
        rows.add(
            "dispatcher", setid=setid, destination=uri, flags=flags, priority=priority, attrs=attrs, room=room
        )
    run = script(
        *rows.lines("dispatcher"), 'modparam("dispatcher", "ds_db_extra_attrs", "where=room")',
        'request_route { ds_select_dst("1", "8"); }',
    )  # fmt: skip
    assert ports(run, OPTIONS) == ["7002"]
    assert [each.body for _, each in module(run).all(1)] == ["", "duid=a;where=x"]


async def test_a_gateway_that_stops_answering_is_closed_and_comes_back(kamtool, peer, tmp_path):
    """The pings are real; both event_routes run on the destination's URI."""
    gateway, other = await peer(), await peer()
    (tmp_path / "list").write_text(f"1 {gateway.uri} 0 9\n1 {other.uri}\n")
    server = await kamtool(
        f"""#!KAMAILIO
        loadmodule "tm.so"
        loadmodule "sl.so"
        loadmodule "pv.so"
        loadmodule "htable.so"
        loadmodule "dispatcher.so"
        modparam("htable", "htable", "t=>size=4;")
        modparam("tm", "fr_timer", 500)
        modparam("dispatcher", "list_file", "{tmp_path}/list")
        modparam("dispatcher", "ds_probing_mode", 1)
        request_route {{ if (ds_select_dst("1", "8")) sl_send_reply("200", "$du"); }}
        event_route[dispatcher:dst-down] {{ $sht(t=>down) = $ru; }}
        event_route[dispatcher:dst-up] {{ $sht(t=>up) = $ru; }}
        """
    )
    found, table = server.modules["dispatcher"], server.modules["htable"].htables["t"]

    async def ping(status):
        """One round of pings; the gateway answers with `status`, or with nothing."""
        found.ping_all()
        for one, code in ((gateway, status), (other, 200)):
            request = await one.expect("OPTIONS")
            assert request.header("From").startswith("<sip:dispatcher@localhost>")
            if code:
                one.send(one.answer(request, code), server.sockets[0].address.port)
        end = asyncio.get_running_loop().time() + 10
        while found.pinging and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    await ping(200)
    assert [each.letters for _, each in found.all(1)] == ["AP", "AP"]
    await ping(503)
    assert [each.letters for _, each in found.all(1)] == ["IP", "AP"]
    assert table.get("down") == gateway.uri
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@example.com"), server.sockets[0].address.port)
    assert other.uri in (await phone.expect("200")).data.decode()
    await ping(200)
    assert [each.letters for _, each in found.all(1)] == ["AP", "AP"]
    assert table.get("up") == gateway.uri


def test_an_unknown_algorithm_takes_the_first_and_is_told_of(load, caplog):
    """As Kamailio does with one that it does not have; here `check` says so, and the log once."""
    run = load('$var(a) = 64; ds_select_dst("1", "$var(a)");')
    assert ports(run, OPTIONS, OPTIONS) == ["7002", "7002"]
    assert caplog.text.count("there is no algorithm 64 here") == 1
    run = load('ds_select_dst("1", "64");')
    assert [str(warning).rpartition("warning: ")[2] for warning in run.script.warnings] == [
        "there is no algorithm 64 here: the first destination is taken"
    ]
