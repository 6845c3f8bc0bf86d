"""save() and lookup(): RFC 3261 §10, with the answers that Kamailio 5.6.3 was seen to give."""

import pytest

from kamtool.errors import ConfigError
from kamtool.sip.message import METHODS
from tests.support.host import TCP, UDP, Host

FLAG_NAT = 6


@pytest.fixture
async def host():
    host = Host()
    yield host
    await host.stop()


async def registrar(host, usrloc=(), **params):
    await host.load("usrloc", **dict(usrloc))
    return await host.load("registrar", **params)


def request(
    host, *headers, method="REGISTER", user="alice", call_id="a", cseq=1, ruri="sip:example.com", flow=UDP
):
    lines = [
        f"{method} {ruri} SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
        f"From: <sip:{user}@example.com>;tag=f",
        f"To: <sip:{user}@example.com>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
        *headers,
    ]
    return host.context("\n".join(lines), flow)


async def register(host, module, *headers, flags=0, uri="", **about):
    """The code of save() and the answer."""
    code = await module.save(request(host, *headers, **about), "location", flags, uri)
    return code, host.replies[-1] if host.replies else None


def contacts(reply):
    return reply.items("Contact")


# ----- save


async def test_the_first_register_is_inserted_and_listed(host):
    module = await registrar(host)
    code, reply = await register(host, module, "Contact: <sip:alice@10.0.0.1:5070;x=1>;q=0.5;expires=100")
    assert (code, reply.status) == (1, 200)
    assert contacts(reply) == ["<sip:alice@10.0.0.1:5070;x=1>;q=0.5;expires=100"]
    assert host.stats["usrloc:location_users"] == 1
    assert host.stats["registrar:accepted_regs"] == 1


async def test_a_newer_register_refreshes(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:alice@10.0.0.1>;expires=100", cseq=1)
    host.clock += 50
    code, reply = await register(host, module, "Contact: <sip:alice@10.0.0.1>;expires=100", cseq=2)
    assert (code, contacts(reply)) == (2, ["<sip:alice@10.0.0.1>;expires=100"])
    assert host.stats["usrloc:location_contacts"] == 1


async def test_a_register_without_contact_lists(host):
    module = await registrar(host)
    code, reply = await register(host, module)
    assert (code, reply.status, contacts(reply)) == (4, 200, [])
    await register(host, module, "Contact: <sip:alice@10.0.0.1>")
    host.clock += 10.5
    code, reply = await register(host, module, call_id="other")
    assert (code, contacts(reply)) == (4, ["<sip:alice@10.0.0.1>;expires=3590"])


async def test_contacts_are_listed_by_q_and_those_without_last(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:alice@10.0.0.1>", call_id="1")
    _, reply = await register(
        host, module, "Contact: <sip:alice@10.0.0.2>;q=0.7, <sip:alice@10.0.0.3>;q=0.9", call_id="2"
    )
    assert contacts(reply) == [
        "<sip:alice@10.0.0.3>;q=0.9;expires=3600",
        "<sip:alice@10.0.0.2>;q=0.7;expires=3600",
        "<sip:alice@10.0.0.1>;expires=3600",
    ]


async def test_a_new_q_moves_a_contact(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>;q=0.5, <sip:b@h>;q=0.4", cseq=1)
    _, reply = await register(host, module, "Contact: <sip:b@h>;q=0.6", cseq=2)
    assert [c.partition(">")[0] for c in contacts(reply)] == ["<sip:b@h", "<sip:a@h"]


@pytest.mark.parametrize(
    ("headers", "granted"),
    [
        (["Contact: <sip:a@h>;expires=100", "Expires: 200"], 100),  # the parameter comes first
        (["Contact: <sip:a@h>", "Expires: 200"], 200),
        (["Contact: <sip:a@h>"], 3600),
        (["Contact: <sip:a@h>;expires=abc"], 3600),  # §20.10: malformed is as good as 3600
        (["Contact: <sip:a@h>", "Expires: foo"], 3600),
        (["Contact: <sip:a@h>;expires=10"], 60),
        (["Contact: <sip:a@h>;expires=90000"], 7200),
        (["Contact: <sip:a@h>;expires=4294967295"], 7200),
        (["Contact: <sip:a@h>;expires=4294967296"], 3600),  # §20.19 ends before it
        (["Contact: <sip:a@h>;expires=" + "9" * 5000], 3600),
    ],
)
async def test_the_expiry_is_the_parameters_then_the_headers_within_bounds(host, headers, granted):
    module = await registrar(host, max_expires=7200)
    _, reply = await register(host, module, *headers)
    assert contacts(reply) == [f"<sip:a@h>;expires={granted}"]


async def test_a_brief_interval_is_refused_when_asked_to(host):
    module = await registrar(host, min_expires_mode=1, min_expires=120)
    code, reply = await register(host, module, "Contact: <sip:a@h>;expires=60")
    assert (code, reply.status, reply.header("Min-Expires")) == (-1, 423, "120")


async def test_the_default_expiry_may_be_spread(host):
    module = await registrar(host, default_expires_range=50)
    granted = set()
    for number in range(30):
        _, reply = await register(host, module, "Contact: <sip:a@h>", user=f"u{number}")
        granted.add(int(contacts(reply)[0].rpartition("=")[2]))
    assert len(granted) > 3
    assert min(granted) >= 1800
    assert max(granted) <= 3600


async def test_expires_zero_removes_one_contact(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>, <sip:b@h>", cseq=1)
    code, reply = await register(host, module, "Contact: <sip:a@h>;expires=0", cseq=2)
    assert (code, contacts(reply)) == (3, ["<sip:b@h>;expires=3600"])


async def test_removing_what_is_not_there_is_no_error(host):
    module = await registrar(host)
    code, reply = await register(host, module, "Contact: <sip:a@h>;expires=0")
    assert (code, reply.status, contacts(reply)) == (1, 200, [])


async def test_a_star_removes_all(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>, <sip:b@h>")
    code, reply = await register(host, module, "Contact: *", "Expires: 0", call_id="b")
    assert (code, reply.status, contacts(reply)) == (3, 200, [])
    assert host.stats["usrloc:location_users"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        ["Contact: *"],
        ["Contact: *", "Expires: 10"],
        ["Contact: *, <sip:a@h>", "Expires: 0"],  # Kamailio takes this for a star
        ["Contact: <sip:a@h>;q=7"],
        ["Contact: <sip:a@h"],
        ["Contact: <no uri>"],
        ["Contact: <sip:" + "a" * 65000 + "@h>"],
    ],
)
async def test_a_bad_contact_is_refused_and_changes_nothing(host, headers):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:old@h>")
    code, reply = await register(host, module, *headers, call_id="b")
    assert (code, reply.status) == (-1, 400)
    assert reply.header("P-Registrar-Error")
    assert len(module.usrloc.locations["location"].get("alice")) == 1
    assert host.stats["registrar:rejected_regs"] == 1


async def test_one_bad_contact_spoils_the_good_one_beside_it(host):
    """§10.3 step 7: all or nothing."""
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>", cseq=5)
    code, _ = await register(host, module, "Contact: <sip:new@h>, <sip:a@h>", cseq=4)
    assert code == -1
    assert [c.uri for c in module.usrloc.locations["location"].get("alice")] == ["sip:a@h"]


async def test_a_lower_cseq_is_refused(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>", cseq=5)
    code, reply = await register(host, module, "Contact: <sip:a@h>;expires=0", cseq=4)
    assert (code, reply.status, reply.header("P-Registrar-Error")) == (-1, 400, "Invalid CSeq number")
    assert host.stats["usrloc:location_contacts"] == 1


async def test_a_lower_cseq_of_another_call_id_is_fine(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>", cseq=5)
    assert (await register(host, module, "Contact: <sip:a@h>", cseq=1, call_id="b"))[0] == 2


async def test_an_equal_cseq_is_a_retransmission_for_a_while(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>;expires=100", cseq=5)
    host.clock += 10
    code, reply = await register(host, module, "Contact: <sip:a@h>;expires=100", cseq=5)
    assert (code, reply.status, contacts(reply)) == (1, 200, ["<sip:a@h>;expires=90"])
    host.clock += 11
    assert (await register(host, module, "Contact: <sip:a@h>;expires=100", cseq=5))[1].status == 400


async def test_a_star_with_an_old_cseq_removes_nothing(host):
    """§10.3 step 6; Kamailio 5.6.3 removes all."""
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>", cseq=5)
    code, reply = await register(host, module, "Contact: *", "Expires: 0", cseq=4)
    assert (code, reply.status) == (-1, 400)
    assert host.stats["usrloc:location_contacts"] == 1


async def test_contacts_are_compared_as_uris(host):
    """§10.3 with §19.1.4; Kamailio compares text and would keep both."""
    module = await registrar(host)
    await register(host, module, "Contact: <sip:alice@Host.Example.COM;x=1;lr>")
    _, reply = await register(host, module, "Contact: <sip:alice@host.example.com;lr;x=1>", cseq=2)
    assert contacts(reply) == ["<sip:alice@host.example.com;lr;x=1>;expires=3600"]


async def test_one_contact_too_many_is_refused_with_retry_after(host):
    module = await registrar(host, max_contacts=3, retry_after=30)
    await register(host, module, "Contact: <sip:1@h>, <sip:2@h>, <sip:3@h>")
    code, reply = await register(host, module, "Contact: <sip:4@h>", call_id="b")
    assert (code, reply.status, reply.header("Retry-After")) == (-2, 503, "30")
    assert (await register(host, module, "Contact: <sip:3@h>", call_id="b"))[0] == 2
    swap = "Contact: <sip:4@h>, <sip:3@h>;expires=0"
    assert (await register(host, module, swap, call_id="c"))[1].status == 200


async def test_expired_contacts_do_not_count(host):
    module = await registrar(host, max_contacts=1)
    await register(host, module, "Contact: <sip:1@h>;expires=60")
    host.clock += 61
    assert (await register(host, module, "Contact: <sip:2@h>", call_id="b"))[1].status == 200


async def test_flag_4_keeps_one_contact(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:1@h>, <sip:2@h>")
    code, reply = await register(host, module, "Contact: <sip:3@h>", call_id="b", flags=4)
    assert (code, contacts(reply)) == (3, ["<sip:3@h>;expires=3600"])


async def test_flag_2_holds_the_answer_back(host):
    module = await registrar(host)
    ctx = request(host, "Contact: <sip:1@h>")
    assert await module.save(ctx, "location", 2) == 1
    assert host.replies == []
    assert module.reg_send_reply(ctx) is True
    assert contacts(host.replies[0]) == ["<sip:1@h>;expires=3600"]
    assert module.reg_send_reply(ctx) is False


async def test_another_uri_may_stand_for_to(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:1@h>", uri="sip:group@example.com")
    assert len(module.usrloc.locations["location"].get("group")) == 1


async def test_a_to_without_user_is_refused(host):
    module = await registrar(host)
    ctx = request(host, "Contact: <sip:1@h>", user="%20")
    ctx.msg.to_memo = None
    assert (await register(host, module, "Contact: <sip:1@h>", uri="sip:example.com"))[1].status == 400


@pytest.mark.parametrize(
    ("params", "use_domain", "uri", "aor"),
    [
        ({}, 0, "sip:ALice@Example.com", "alice"),
        ({"case_sensitive": 1}, 0, "sip:ALice@Example.com", "ALice"),
        ({}, 1, "sip:ALice@Example.com", "alice@example.com"),
        ({"realm_prefix": "sip."}, 1, "sip:alice@sip.example.com", "alice@example.com"),
        ({}, 0, "sip:%61lice@example.com", "alice"),
        ({}, 0, "tel:+1-201-555-0123", "+12015550123"),
    ],
)
async def test_the_address_of_record_is_a_key(host, params, use_domain, uri, aor):
    module = await registrar(host, {"use_domain": use_domain}, **params)
    await register(host, module, "Contact: <sip:1@h>", uri=uri)
    assert list(module.usrloc.locations["location"].table.records) == [aor]


async def test_xavp_cfg_overrides_the_parameters(host):
    from kamtool.script.avp import Record

    module = await registrar(host, xavp_cfg="reg", max_contacts=1)
    ctx = request(host, "Contact: <sip:1@h>, <sip:2@h>;q=0.1")
    record = Record()
    record.fields = {"max_contacts": [4], "expires": [600], "q": [250]}
    ctx.avps.xavps.push("reg", record)
    assert await module.save(ctx, "location") == 1
    assert contacts(host.replies[0]) == ["<sip:1@h>;q=0.25;expires=600", "<sip:2@h>;q=0.25;expires=600"]


# ----- NAT, Path, outbound, GRUU


async def test_received_is_kept_listed_and_used(host):
    module = await registrar(host, received_avp="$avp(RECEIVED)")
    ctx = request(host, "Contact: <sip:a@10.0.0.1>")
    ctx.scratch["$avp(RECEIVED)"] = "sip:203.0.113.5:1024"
    ctx.branch_flags = 1 << FLAG_NAT
    await module.save(ctx, "location")
    assert contacts(host.replies[0]) == ['<sip:a@10.0.0.1>;expires=3600;received="sip:203.0.113.5:1024"']
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location") == 1
    assert (call.ruri, call.dst_uri, call.branch_flags) == (
        "sip:a@10.0.0.1",
        "sip:203.0.113.5:1024",
        1 << FLAG_NAT,
    )


@pytest.mark.parametrize(
    ("mode", "supported", "status", "echoed"),
    [
        (0, True, 200, False),
        (1, True, 200, True),
        (1, False, 200, False),
        (2, True, 200, True),
        (2, False, 420, True),
    ],
)
async def test_path_is_answered_as_path_mode_says(host, mode, supported, status, echoed):
    module = await registrar(host, use_path=1, path_mode=mode)
    extra = ["Supported: path"] if supported else []
    _, reply = await register(host, module, "Contact: <sip:a@h>", "Path: <sip:p1;lr>,<sip:p2;lr>", *extra)
    assert reply.status == status
    assert (reply.header("Path") == "<sip:p1;lr>, <sip:p2;lr>") is echoed
    assert reply.header("Unsupported") == ("path" if status == 420 else None)


async def test_a_call_follows_the_path(host):
    module = await registrar(host, use_path=1, path_mode=0)
    await register(host, module, "Contact: <sip:a@h>", "Path: <sip:p1;lr>,<sip:p2;lr>")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    await module.lookup(call, "location")
    assert (call.ruri, call.dst_uri, call.path) == ("sip:a@h", "sip:p1;lr", "<sip:p1;lr>, <sip:p2;lr>")


async def test_a_path_without_lr_is_refused(host):
    module = await registrar(host, use_path=1, path_mode=0)
    assert (await register(host, module, "Contact: <sip:a@h>", "Path: <sip:p1>"))[1].status == 400


async def test_path_is_ignored_unless_switched_on(host):
    module = await registrar(host)
    _, reply = await register(host, module, "Contact: <sip:a@h>", "Path: <sip:p1;lr>")
    assert (reply.status, reply.header("Path")) == (200, None)


async def test_the_received_of_the_first_path_is_where_the_phone_is(host):
    module = await registrar(host, {"nat_bflag": FLAG_NAT}, use_path=1, path_mode=0, path_use_received=1)
    await register(host, module, "Contact: <sip:a@h>", "Path: <sip:p1;lr;received=sip:203.0.113.5>")
    (contact,) = module.usrloc.locations["location"].get("alice")
    assert (contact.received, contact.cflags) == ("sip:203.0.113.5", 1 << FLAG_NAT)


INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-0000-0000-000000000001>"'


async def test_an_instance_replaces_its_own_older_contact(host):
    module = await registrar(host)
    await register(host, module, f"Contact: <sip:a@10.0.0.1>;{INSTANCE};reg-id=1", call_id="1")
    _, reply = await register(host, module, f"Contact: <sip:a@10.0.0.2>;{INSTANCE};reg-id=1", call_id="2")
    assert contacts(reply) == [f"<sip:a@10.0.0.2>;expires=3600;{INSTANCE};reg-id=1"]


async def test_two_flows_of_an_instance_are_kept_and_the_newest_is_called(host):
    """RFC 5626 §5.3: never both at once."""
    module = await registrar(host, outbound_mode=1)
    for number in (1, 2):
        host.clock += 1
        _, reply = await register(
            host,
            module,
            f"Contact: <sip:a@10.0.0.{number}>;{INSTANCE};reg-id={number}",
            "Supported: outbound, path",
            call_id=str(number),
        )
        assert reply.header("Require") == "outbound"
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    await module.lookup(call, "location")
    assert (call.ruri, list(call.branches)) == ("sip:a@10.0.0.2", [])


@pytest.mark.parametrize(
    ("mode", "header", "status", "answer"),
    [(0, "Require: outbound", 420, ("Unsupported", "outbound")), (2, "X: y", 421, ("Require", "outbound"))],
)
async def test_outbound_is_refused_or_demanded(host, mode, header, status, answer):
    module = await registrar(host, outbound_mode=mode)
    _, reply = await register(host, module, f"Contact: <sip:a@h>;{INSTANCE};reg-id=1", header)
    assert (reply.status, reply.header(answer[0])) == (status, answer[1])


async def test_an_edge_without_outbound_is_named(host):
    module = await registrar(host, outbound_mode=1)
    via = "Via: SIP/2.0/UDP edge.example.com;branch=z9hG4bK2"
    _, reply = await register(
        host, module, f"Contact: <sip:a@h>;{INSTANCE};reg-id=1", "Supported: outbound", via
    )
    assert reply.status == 439


async def test_gruus_are_given_and_understood(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:other@h>;q=1", call_id="x")
    _, reply = await register(
        host, module, f"Contact: <sip:a@10.0.0.1>;{INSTANCE}", "Supported: gruu", call_id="2"
    )
    params = reply.contacts[1].params
    assert params["pub-gruu"] == '"sip:alice@example.com;gr=urn:uuid:00000000-0000-0000-0000-000000000001"'
    call = request(host, method="INVITE", ruri=params["pub-gruu"].strip('"'))
    assert await module.lookup(call, "location") == 1
    assert (call.ruri, list(call.branches)) == ("sip:a@10.0.0.1", [])
    call = request(host, method="INVITE", ruri=params["temp-gruu"].strip('"'))
    assert await module.lookup(call, "location") == 1
    assert call.ruri == "sip:a@10.0.0.1"
    call = request(host, method="INVITE", ruri="sip:uloc-1-1-ff-1234@example.com;gr")
    assert await module.lookup(call, "location") == -1


# ----- lookup


async def test_lookup_makes_the_best_contact_the_uri_and_the_others_branches(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>;q=0.5, <sip:b@h>;q=1, <sip:c@h>")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location") == 1
    assert (call.ruri, call.q) == ("sip:b@h", 1000)
    assert [(b.uri, b.q) for b in call.branches] == [("sip:a@h", 500), ("sip:c@h", -1)]
    assert call.send_socket.address.port == 5060
    assert all(b.ruid.startswith("uloc-") for b in call.branches)


AIMED = (
    "new_uri", "dst_uri", "path", "q", "branch_flags", "ruid", "user_agent", "instance", "connection",
    "send_socket", "branches",
)  # fmt: skip


@pytest.mark.parametrize("append_branches", [0, 1])
async def test_the_short_way_of_lookup_ends_where_the_long_one_does(host, append_branches):
    module = await registrar(host, append_branches=append_branches, received_avp="$avp(r)")
    for number, (flow, header) in enumerate(
        [(UDP, "<sip:a@h>;q=0.5"), (TCP, "<sip:b@h;transport=tcp>;expires=60"), (UDP, "<sip:c@h>"),
         (UDP, "<sip:d@h>;expires=60;q=1"), (TCP, "<sip:e@h;transport=tcp>;q=0.7")]
    ):  # fmt: skip
        ctx = request(
            host, f"Contact: {header}", f"User-Agent: phone {number}", call_id=str(number), flow=flow
        )
        if number % 2 == 0:
            host.variable("$avp(r)").set(ctx, f"sip:9.9.9.{number}")
        ctx.branch_flags = number
        assert await module.save(ctx, "location") == 1
    for later in (0, 60.5):
        host.clock += later
        seen = []
        for module.looks_plain in (True, False):
            call = request(host, method="INVITE", ruri="sip:alice@example.com")
            assert await module.lookup(call, "location") == 1
            seen.append({name: getattr(call, name) for name in AIMED})
        assert seen[0] == seen[1]
        assert len(seen[0]["branches"]) == append_branches * (2 if later else 4)
    host.clock += 7200
    for module.looks_plain in (True, False):
        call = request(host, method="INVITE", ruri="sip:alice@example.com")
        assert await module.lookup(call, "location") == -1
        assert call.new_uri is None


async def test_append_branches_0_takes_the_best_alone(host):
    module = await registrar(host, append_branches=0)
    await register(host, module, "Contact: <sip:a@h>, <sip:b@h>")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    await module.lookup(call, "location")
    assert list(call.branches) == []


async def test_who_is_not_registered_or_expired_is_not_found(host):
    module = await registrar(host)
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location") == -1
    await register(host, module, "Contact: <sip:a@h>;expires=60")
    host.clock += 60.5
    assert await module.lookup(call, "location") == -1
    assert call.new_uri is None
    assert await module.registered(call, "location") is False


async def test_a_uri_that_is_none_is_not_found(host):
    module = await registrar(host)
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location", "mailto:alice@example.com") == -1
    assert await module.lookup(call, "location", "sip:example.com") == -1


async def test_method_filtering_passes_over_who_lacks_the_method(host):
    module = await registrar(host, method_filtering=1)
    await register(host, module, "Contact: <sip:a@h>", "Allow: INVITE, ACK, bye", call_id="1")
    (contact,) = module.usrloc.locations["location"].get("alice")
    assert contact.methods == METHODS["INVITE"] | METHODS["ACK"] | METHODS["BYE"]
    message = request(host, method="MESSAGE", ruri="sip:alice@example.com")
    assert await module.lookup(message, "location") == -2
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location") == 1
    assert call.ruri == "sip:a@h"
    await register(host, module, "Contact: <sip:b@h>", call_id="2")
    assert await module.lookup(message, "location") == 1
    assert (message.ruri, list(message.branches)) == ("sip:b@h", [])


async def test_a_tcp_contact_remembers_its_connection(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h;transport=tcp>", flow=TCP)
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    await module.lookup(call, "location")
    assert (call.connection, call.send_socket.transport) == (7, "tcp")


async def test_lookup_to_dset_leaves_the_uri(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>, <sip:b@h>")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup_to_dset(call, "location") == 1
    assert call.new_uri is None
    assert [b.uri for b in call.branches] == ["sip:a@h", "sip:b@h"]


async def test_lookup_branches_looks_up_every_branch(host):
    from kamtool.script.context import Branch

    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>")
    await register(host, module, "Contact: <sip:b@h>", user="bob")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    call.add_branch(Branch("sip:bob@example.com"))
    call.add_branch(Branch("sip:nobody@example.com"))
    assert await module.lookup_branches(call, "location") == 1
    assert call.ruri == "sip:a@h"
    assert [b.uri for b in call.branches] == ["sip:b@h", "sip:nobody@example.com"]


async def test_registered_may_ask_for_more(host):
    from kamtool.script.avp import Record

    module = await registrar(host, xavp_cfg="cfg")
    await register(host, module, "Contact: <sip:a@h>")
    ctx = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.registered(ctx, "location") is True
    assert await module.registered(ctx, "location", "sip:bob@example.com") is False
    record = Record()
    record.fields = {"match_contact": ["sip:b@h"]}
    ctx.avps.xavps.push("cfg", record)
    assert await module.registered(ctx, "location", "sip:alice@example.com", 4) is False
    assert await module.registered(ctx, "location", "sip:alice@example.com", 1) is True


async def test_unregister_removes(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>, <sip:b@h>")
    ctx = request(host, method="INVITE")
    ruid = module.usrloc.locations["location"].get("alice")[0].ruid
    assert await module.unregister(ctx, "location", "sip:alice@example.com", ruid) == 1
    assert await module.unregister(ctx, "location", "sip:alice@example.com") == 1
    assert await module.unregister(ctx, "location", "sip:alice@example.com") == -3
    assert await module.unregister(ctx, "location", "nonsense") == -1


async def test_ulc_shows_the_contacts(host):
    module = await registrar(host)
    await register(
        host, module, "Contact: <sip:a@h>;q=0.5, <sip:b@h>", "User-Agent: phone/1", "Allow: INVITE"
    )
    ctx = request(host, method="INVITE")
    assert await module.reg_fetch_contacts(ctx, "location", "sip:alice@example.com", "p") == 1
    assert module.get_ulc(ctx, "p=>count", None) == 2
    assert module.get_ulc(ctx, "p=>aor", None) == "alice"
    assert module.get_ulc(ctx, "p=>addr", 1) == "sip:b@h"
    assert module.get_ulc(ctx, "p=>q", 0) == 500
    assert module.get_ulc(ctx, "p=>user_agent", 0) == "phone/1"
    assert module.get_ulc(ctx, "p=>methods", 0) == 1
    assert module.get_ulc(ctx, "p=>socket", 0) == "udp:127.0.0.1:5060"
    assert module.get_ulc(ctx, "p=>addr", 2) is None
    assert module.get_ulc(ctx, "q=>addr", 0) is None
    assert module.get_ulc(ctx, "p=>nonsense", 0) is None
    module.reg_free_contacts(ctx, "p")
    assert module.get_ulc(ctx, "p=>count", None) is None
    assert await module.reg_fetch_contacts(ctx, "location", "sip:nobody@example.com", "p") == -1


async def test_xavp_rcd_tells_what_lookup_found(host):
    module = await registrar(host, xavp_rcd="rcd", xavp_rcd_mask=4)
    await register(host, module, "Contact: <sip:a@h>;q=0.5, <sip:b@h>")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    await module.lookup(call, "location")
    assert call.avps.xavps.get("rcd", 0, "contact") == "sip:a@h"
    assert call.avps.xavps.get("rcd", 1, "contact") == "sip:b@h"
    assert call.avps.xavps.get("rcd", 0, "expires") is None


async def test_an_expired_contact_runs_its_event_route(host):
    module = await registrar(host)
    await register(host, module, "Contact: <sip:a@h>;expires=60")
    host.clock += 62
    await host.tick()
    ((name, scratch),) = host.events
    assert name == "usrloc:contact-expired"
    ctx = request(host, method="INVITE")
    ctx.scratch.update(scratch)
    assert module.get_ulc(ctx, "exp=>addr", 0) == "sip:a@h"


async def test_add_sock_hdr_names_the_socket(host):
    from kamtool.speed import splice

    module = await registrar(host)
    ctx = request(host, "Contact: <sip:a@h>")
    module.add_sock_hdr(ctx, "Sock-Info")
    assert b"\r\nSock-Info: udp:127.0.0.1:5060\r\n\r\n" in splice(ctx.msg.data, ctx.edits)


async def test_a_replicated_register_may_bring_its_socket(host):
    module = await registrar(host, sock_flag=3, sock_hdr_name="Sock-Info")
    ctx = request(host, "Contact: <sip:a@h>", "Sock-Info: udp:192.0.2.1:5062")
    ctx.flags = 1 << 3
    await module.save(ctx, "location")
    assert module.usrloc.locations["location"].get("alice")[0].socket == "udp:192.0.2.1:5062"


async def test_registrar_needs_usrloc(host):
    with pytest.raises(ConfigError, match=r"usrloc\.so"):
        await host.load("registrar")


async def test_aor_avp_stands_in_for_to_and_the_r_uri(host):
    module = await registrar(host, aor_avp="$avp(aor)")
    ctx = request(host, "Contact: <sip:a@h>")
    ctx.scratch["$avp(aor)"] = "sip:group@example.com"
    assert await module.save(ctx, "location") == 1
    assert list(module.usrloc.locations["location"].table.records) == ["group"]
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    assert await module.lookup(call, "location") == -1
    call.scratch["$avp(aor)"] = "sip:group@example.com"
    assert await module.registered(call, "location") is True
    assert await module.lookup(call, "location") == 1
    assert call.ruri == "sip:a@h"


async def test_lookup_may_keep_only_contacts_with_a_flag(host):
    from kamtool.script.avp import Record

    module = await registrar(host, xavp_cfg="cfg", lookup_filter_mode=1)
    for name, flags in (("a", 2), ("b", 4)):
        ctx = request(host, f"Contact: <sip:{name}@h>", call_id=name)
        ctx.branch_flags = flags
        await module.save(ctx, "location")
    call = request(host, method="INVITE", ruri="sip:alice@example.com")
    record = Record()
    record.fields = {"rlf_bflags": [4]}
    call.avps.xavps.push("cfg", record)
    assert await module.lookup(call, "location") == 1
    assert (call.ruri, list(call.branches)) == ("sip:b@h", [])


async def test_a_kemi_callback_is_refused_with_the_event_route_to_write(host):
    with pytest.raises(ConfigError, match="event_callback"):
        await registrar(host, event_callback="ksr_expired")
