"""siptrace: which messages are copied, where to, and what it costs when nothing is."""

import asyncio
import socket
from dataclasses import dataclass

import pytest

from kamtool.errors import ConfigError
from kamtool.modules.siptrace import watched
from kamtool.script import check
from kamtool.sip import hep
from tests.support.server import MODULES, port_of
from tests.support.until import SOON

ROUTES = """
request_route {{
  if ($hdr(X-Trace) != $null) {{ {trace} }}
  if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_relay();
}}
{more}
"""


@pytest.fixture
def sink():
    """A UDP socket that copies are sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


def port_of_sink(sink):
    return sink.getsockname()[1]


async def received(sink, count=1):
    loop = asyncio.get_running_loop()
    return [await asyncio.wait_for(loop.sock_recv(sink, 65536), SOON) for _ in range(count)]


@pytest.fixture
def traced(kamtool, rows):
    """Starts a server: `await traced('sip_trace();', trace_on=1)`."""

    async def start(trace="sip_trace();", more="", **params):
        params = {"db_url": rows.url, "trace_on": 1, **params}
        lines = [
            f'modparam("siptrace", "{k}", {v if isinstance(v, int) else chr(34) + v + chr(34)})'
            for k, v in params.items()
        ]
        loads = 'loadmodule "db_sqlite.so"\nloadmodule "siptrace.so"\n'
        return await kamtool(MODULES + loads + "\n".join(lines) + ROUTES.format(trace=trace, more=more))

    return start


async def in_table(server, rows, what="method, status, direction"):
    await server.modules["siptrace"].database.flush()
    return rows.run(f"SELECT {what} FROM sip_trace ORDER BY id")


def invite(caller, callee, **more):
    headers = f"X-Port: {callee.port}\r\nX-Trace: 1\r\n"
    return caller.request("INVITE", "sip:bob@example.com", headers=headers, **more)


async def one_call(server, peer, status=486):
    """An INVITE that is refused, and its ACKs."""
    caller, callee = await peer(), await peer()
    port = port_of(server)
    caller.send(invite(caller, callee), port)
    received = await callee.expect("INVITE")
    callee.send(callee.answer(received, status), port)
    await caller.expect(100)
    await caller.expect(status)
    await callee.expect("ACK")
    caller.send(caller.request("ACK", "sip:bob@example.com", to_tag="you"), port)
    return caller, callee


async def test_a_message_alone_is_stored_as_it_came(traced, rows, peer):
    server = await traced()
    await one_call(server, peer)
    assert await in_table(server, rows) == [("INVITE", "", "in")]
    assert not server.tap.watchers


async def test_with_its_transaction_all_that_belongs_to_it_is_stored(traced, rows, peer):
    server = await traced("setflag(7); sip_trace();", trace_flag=7)
    caller, callee = await one_call(server, peer)
    for _ in range(100):
        found = await in_table(server, rows)
        if len(found) >= 7:
            break
        await asyncio.sleep(0.05)
    assert found == [
        ("INVITE", "", "in"), ("INVITE", "100", "out"), ("INVITE", "", "out"), ("INVITE", "486", "in"),
        ("ACK", "", "out"), ("INVITE", "486", "out"), ("ACK", "", "in"),
    ] or sorted(found) == sorted([
        ("INVITE", "", "in"), ("INVITE", "100", "out"), ("INVITE", "", "out"), ("INVITE", "486", "in"),
        ("ACK", "", "out"), ("INVITE", "486", "out"), ("ACK", "", "in"),
    ])  # fmt: skip
    way = set(rows.run("SELECT fromip, toip FROM sip_trace WHERE direction = 'in' AND status = ''"))
    assert way == {(f"udp:127.0.0.1:{caller.port}", f"udp:127.0.0.1:{port_of(server)}")}
    assert callee.port


async def test_copies_go_out_as_they_are_with_headers_that_another_server_reads(
    traced, rows, peer, sink, tmp_path
):
    server = await traced(
        duplicate_uri=f"sip:127.0.0.1:{port_of_sink(sink)}", xheaders_write=1, trace_to_database=0
    )
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@y", headers="X-Trace: 1\r\n"), port_of(server))
    await phone.expect(200)
    [copy] = await received(sink)
    assert f"X-Siptrace-Fromip: udp:127.0.0.1:{phone.port}\r\n".encode() in copy
    assert b"X-Siptrace-Method: OPTIONS\r\nX-Siptrace-Dir: in\r\n" in copy
    reader = await traced(xheaders_read=1)
    phone.send(copy, port_of(reader))
    await phone.expect(200)
    phone.send(phone.request("OPTIONS", "sip:x@y", headers="X-Trace: 1\r\n", branch="2"), port_of(reader))
    await phone.expect(200)
    assert await in_table(reader, rows, "fromip, toip, msg LIKE '%X-Siptrace%'") == [
        (f"udp:127.0.0.1:{phone.port}", f"udp:127.0.0.1:{port_of(server)}", 0)
    ]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_copies_go_out_as_hep(traced, peer, sink, version):
    server = await traced(
        f'sip_trace("sip:127.0.0.1:{port_of_sink(sink)}", "cid-$ci");', hep_mode_on=1, hep_version=version,
        hep_capture_id=99, auth_key="key", trace_to_database=0,
    )  # fmt: skip
    phone = await peer()
    text = phone.request("OPTIONS", "sip:x@y", headers="X-Trace: 1\r\n")
    phone.send(text, port_of(server))
    await phone.expect(200)
    found = hep.decode((await received(sink))[0])
    assert (found.version, found.payload, found.source.port) == (version, text.encode(), phone.port)
    if version > 1:
        assert found.node == 99
    if version == 3:
        assert (found.key, found.correlation) == ("key", "cid-live")


async def test_trace_mode_copies_everything_but_what_the_event_route_drops(traced, rows, peer, sink):
    server = await traced(
        "$var(n) = 1;", 'event_route[siptrace:msg] { if (is_method("INVITE")) drop(); }', trace_mode=3,
        hep_version=3,
        duplicate_uri=f"sip:127.0.0.1:{port_of_sink(sink)}",
    )  # fmt: skip
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@y"), port_of(server))
    await phone.expect(200)
    request, reply = [hep.decode(each) for each in await received(sink, 2)]
    assert request.payload.startswith(b"OPTIONS")
    assert reply.payload.startswith(b"SIP/2.0 200")
    await one_call(server, peer)
    kinds = await in_table(server, rows)
    assert kinds[:2] == [("OPTIONS", "", "in"), ("OPTIONS", "200", "out")]
    assert not any(method == "INVITE" for method, *_ in kinds)
    assert server.stats["siptrace:traced_requests"] == 1 + sum(m == "ACK" for m, *_ in kinds)


async def test_the_rpc_switches_it_on_and_off(traced, rows, peer):
    server = await traced("$var(n) = 1;", trace_mode=2, trace_on=0)
    assert not server.tap.watchers
    assert await server.rpc.call("siptrace.status", ["check"]) == "Disabled"
    assert await server.rpc.call("siptrace.status", ["on"]) == "Enabled"
    assert len(server.tap.watchers) == 1
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@y"), port_of(server))
    await phone.expect(200)
    assert len(await in_table(server, rows)) == 2
    assert await server.rpc.call("siptrace.status", ["off"]) == "Disabled"
    assert not server.tap.watchers


async def test_users_and_table_come_from_avps(traced, rows, peer):
    server = await traced(
        '$avp(u) = "sip:a@x"; $avp(u) = "sip:b@x"; $avp(t) = "sip_trace"; sip_trace();',
        traced_user_avp="$avp(u)", trace_table_avp="$avp(t)",
    )  # fmt: skip
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@y", headers="X-Trace: 1\r\n"), port_of(server))
    await phone.expect(200)
    assert await in_table(server, rows, "traced_user") == [("sip:b@x",), ("sip:a@x",)]


async def test_hlog_sends_a_text_to_the_capture_server(traced, peer, sink):
    uri = f"sip:127.0.0.1:{port_of_sink(sink)}"
    server = await traced('hlog("seen $rm");', hep_mode_on=1, duplicate_uri=uri, trace_to_database=0)
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@y", headers="X-Trace: 1\r\n"), port_of(server))
    found = hep.decode((await received(sink))[0])
    assert (found.kind, found.payload, found.correlation) == (hep.LOG, b"seen OPTIONS", "live")


@pytest.mark.parametrize(
    ("param", "value", "reason"),
    [
        ("hep_version", "4", "not 1, 2 or 3"), ("trace_mode", "8", "more than 7"),
        ("trace_mode", "1", "needs duplicate_uri"), ("duplicate_uri", '"tel:1"', "no SIP URI"),
        ("table", '"a; drop"', "no name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_checker(param, value, reason):
    text = f'loadmodule "siptrace.so"\nmodparam("siptrace", "{param}", {value})\nrequest_route {{ exit; }}'
    assert any(reason in error.message for error in check(text).errors)


async def test_a_table_of_another_version_is_refused(traced, rows):
    rows.run("UPDATE version SET table_version = 3 WHERE table_name = 'sip_trace'")
    with pytest.raises((ConfigError, Exception), match="sip_trace"):
        await traced()


@dataclass
class Seen:
    call_id: str
    cseq: int = 1
    key: tuple = ()


def test_of_too_many_watched_calls_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(watched, "MOST", 2)
    kept = watched.Watched()
    for name in "abc":
        kept.add(Seen(name), watched.Wish(None, name, (), "t"), 0.0, whole_dialog=True)
    found = [kept.find(Seen(name, key=(name, 1))) for name in "abc"]
    assert [wish and wish.correlation for wish in found] == [None, "b", "c"]


def test_a_transaction_is_watched_for_a_while_and_its_dialog_for_longer():
    kept = watched.Watched()
    kept.add(Seen("t"), watched.Wish(None, "t", (), "t"), 0.0, whole_dialog=False)
    kept.add(Seen("d"), watched.Wish(None, "d", (), "t"), 0.0, whole_dialog=True)
    assert kept.find(Seen("t", key=("t", 2))) is None, "another transaction of the call"
    assert kept.find(Seen("d", key=("d", 2))) is not None
    kept.forget(watched.TRANSACTION_SECONDS + 1)
    assert kept.find(Seen("t", key=("t", 1))) is None
    assert len(kept) == 1
