"""domain: what Kamailio 5.6.3 answered for the same rows."""

import asyncio

import pytest

from kamtool.errors import RpcError, StoreError
from tests.support.script import OPTIONS
from tests.support.server import Peer


@pytest.fixture
def domains(rows):
    for domain, did in [("local.org", "d1"), ("Upper.ORG", "d1"), ("nodid.org", None)]:
        rows.add("domain", domain=domain, did=did)
    for did, name, kind, value in [
        ("d1", "color", 2, "red"), ("d1", "color", 2, "blue"), ("d1", "num", 0, "42"),
        ("nodid.org", "color", 2, "green"),
    ]:  # fmt: skip
        rows.add("domain_attrs", did=did, name=name, type=kind, value=value)
    return rows


ROUTE = """request_route {
    is_domain_local("$hdr(X-D)"); $avp(d) = $rc;
    is_uri_host_local(); $avp(u) = $rc;
    is_from_local(); $avp(f) = $rc;
    lookup_domain("$hdr(X-D)"); $avp(l) = $rc;
    lookup_domain("$hdr(X-D)", "from_");
}"""


def asked(host):
    text = OPTIONS.replace("alice@example.com;transport=udp", f"alice@{host}")
    return text.replace("biloxi.example.org", host).replace("X-Num", f"X-D: {host}\nX-Num")


def codes(run, host):
    found = run(asked(host))
    return [found[f"avp({name})"] for name in "dufl"]


@pytest.mark.parametrize("host", ["local.org", "LOCAL.org", "upper.org", "Upper.ORG", "nodid.org"])
def test_a_domain_of_the_table_is_local_in_any_case(script, domains, host):
    assert codes(script(*domains.lines("domain"), ROUTE), host) == [1, 1, 1, 1]


@pytest.mark.parametrize("host", ["x.org", "127.0.0.1", "sub.local.org"])
def test_another_domain_is_not(script, domains, host):
    assert codes(script(*domains.lines("domain"), ROUTE), host) == [-1, -1, -1, -1]


def test_a_from_that_cannot_be_read_is_minus_2(script, domains):
    run = script(*domains.lines("domain"), ROUTE)
    assert run(OPTIONS.replace("sip:bob@biloxi.example.org", "sip:bob@"))["avp(f)"] == -2


def test_attributes_become_avps_the_first_row_on_top(script, domains):
    found = script(*domains.lines("domain"), ROUTE)(asked("LOCAL.org"))
    assert [found["avp(did)"], found["avp(color)"], found["avp(num)"]] == ["d1", "red", 42]
    assert found["(avp(color)[*])"] == "red, blue"
    assert [found["avp(from_did)"], found["avp(from_color)"]] == ["d1", "red"]
    found = script(*domains.lines("domain"), ROUTE)(asked("nodid.org"))
    assert [found["avp(did)"], found["avp(color)"], found["avp(num)"]] == ["nodid.org", "green", None]


def module(run):
    return run.host.modules["domain"]


def test_reload_brings_the_new_rows_and_a_bad_row_leaves_the_old(script, domains):
    run = script(*domains.lines("domain"), ROUTE)
    domains.add("domain", domain="new.org", did="n")
    assert codes(run, "new.org")[0] == -1
    asyncio.run(module(run).rpc_reload())
    assert codes(run, "new.org")[0] == 1
    domains.add("domain_attrs", did="n", name="bad", type=0, value="abc")
    with pytest.raises(RpcError, match="should be a number, not 'abc'"):
        asyncio.run(module(run).rpc_reload())
    assert codes(run, "new.org")[0] == 1


def test_dump_shows_domains_and_the_names_of_attributes(script, domains):
    run = script(*domains.lines("domain"), ROUTE)
    assert module(run).rpc_dump() == {
        "domains": [
            {"domain": "local.org", "did": "d1"}, {"domain": "Upper.ORG", "did": "d1"},
            {"domain": "nodid.org", "did": "nodid.org"},
        ],
        "attributes": [
            {"did": "d1", "attrs": ["color", "color", "num"]}, {"did": "nodid.org", "attrs": ["color"]},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "did", "message"),
    [("x.org", "", "did of domain 'x.org' is empty"), ("", "x", "row 4 is empty")],
)
def test_a_row_that_means_nothing_is_refused_at_start(script, domains, domain, did, message):
    domains.add("domain", domain=domain, did=did)
    with pytest.raises(StoreError, match=message):
        script(*domains.lines("domain"), ROUTE)


async def test_with_register_myself_a_domain_is_myself_until_it_is_reloaded_away(kamtool, peer, domains):
    server = await kamtool(
        "\n".join(
            [
                "#!KAMAILIO", 'loadmodule "sl.so"', *domains.lines("domain"),
                'modparam("domain", "register_myself", 1)',
                'request_route { if (uri == myself) sl_send_reply("200", "Ours");',
                '  else sl_send_reply("404", "Not ours"); }',
            ]
        )
    )  # fmt: skip
    port = next(s.address.port for s in server.sockets if s.transport == "udp")
    phone: Peer = await peer()

    async def status(uri, branch):
        phone.send(phone.request("OPTIONS", uri, branch=branch), port)
        return (await phone.expect()).status

    assert await status("sip:a@LOCAL.org:5099", "1") == 200
    assert await status("sip:a@x.org", "2") == 404
    domains.run("UPDATE domain SET domain = 'x.org' WHERE domain = 'local.org'")
    await server.rpc.call("domain.reload")
    assert await status("sip:a@local.org:5099", "3") == 404
    assert await status("sip:a@x.org", "4") == 200
