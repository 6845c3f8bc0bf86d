"""sipcapture: HEP in, rows out, and what the script may say to it."""

import asyncio

import pytest

from kamtool.script import check
from kamtool.sip import hep
from kamtool.sip.flow import Address
from tests.support.server import MODULES, port_of
from tests.support.until import SOON, until

A, B = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
OPTIONS = (
    b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx\r\n"
    b"From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n"
    b"Contact: *\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def capture(kamtool, rows, peer):
    """Starts a capture server; what it gives takes HEP packets."""

    async def start(route="sip_capture(); drop;", more="", **params):
        params = {"db_url": rows.url, "capture_on": 1, "hep_capture_on": 1, **params}
        lines = [
            f'modparam("sipcapture", "{name}", ' + (f"{value})" if isinstance(value, int) else f'"{value}")')
            for name, value in params.items()
        ]
        loads = MODULES + 'loadmodule "db_sqlite.so"\nloadmodule "sipcapture.so"\n'
        routes = f"request_route {{ {route} }}\nreply_route {{ {route} }}\n{more}"
        server = await kamtool(loads + "\n".join(lines) + "\n" + routes)
        sender = await peer()

        async def send(*packets):
            before = server.stats["sipcapture:hep_packets"] + server.stats["sipcapture:hep_errors"]
            for packet in packets:
                sender.send(packet, port_of(server))
            await until(
                lambda: (
                    sum(server.stats[f"sipcapture:hep_{each}"] for each in ("packets", "errors"))
                    >= before + len(packets)
                )
            )
            await server.modules["sipcapture"].modes[""].database.flush()

        return server, send

    return start


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_message_in_hep_is_stored_with_the_addresses_it_was_seen_at(capture, rows, version):
    server, send = await capture()
    packet = hep.Hep(A, B, OPTIONS, at=1_700_000_000.5, node=3, version=version)
    reply = OPTIONS.replace(b"OPTIONS sip:bob@example.com SIP/2.0", b"SIP/2.0 200 Fine")
    await send(hep.encode(packet), hep.encode(hep.Hep(B, A, reply, at=1_700_000_001.0, version=version)))
    columns = "method, reply_reason, source_ip, source_port, destination_ip, callid, type, node"
    node = "homer01:3" if version > 1 else "homer01:0"
    assert rows.run(f"SELECT {columns} FROM sip_capture ORDER BY id") == [
        ("OPTIONS", "", "192.0.2.1", 5062, "192.0.2.9", "c1", 1, node),
        ("200", "Fine", "192.0.2.9", 5060, "192.0.2.1", "c1", 2, "homer01:0"),
    ]
    assert server.stats["sipcapture:captured_requests"] == server.stats["sipcapture:captured_replies"] == 1


async def test_the_script_sees_chunks_and_may_choose_the_table(capture, rows):
    rows.run("CREATE TABLE sip_capture_20231114 AS SELECT * FROM sip_capture")
    more = (
        "event_route[sipcapture:request] { if ($hep(0x00c) == 13) return 0; if ($hep(version) != 3) drop(); }"
    )
    _, send = await capture('sip_capture("sip_capture_%Y%m%d"); drop;', more, nonsip_hook=1)
    await send(
        hep.encode(hep.Hep(A, B, OPTIONS, at=1_700_000_000.0, node=12)),
        hep.encode(hep.Hep(A, B, OPTIONS, at=1_700_000_000.0, node=13)),
        hep.encode(hep.Hep(A, B, OPTIONS, version=1)),
    )
    assert rows.run("SELECT count(*) FROM sip_capture_20231114") == [(1,)]
    assert rows.run("SELECT count(*) FROM sip_capture") == [(0,)]


async def test_damage_and_reports_are_no_messages(capture, rows):
    server, send = await capture()
    good = hep.encode(hep.Hep(A, B, OPTIONS))
    await send(b"HEP3\xff\xff", good[:40], hep.encode(hep.Hep(A, B, b"{}", kind=100)), good)
    assert rows.run("SELECT count(*) FROM sip_capture") == [(1,)]
    assert server.stats["sipcapture:hep_errors"] == 2


async def test_rows_are_spread_over_tables_by_hash(capture, rows):
    rows.run("CREATE TABLE t2 AS SELECT * FROM sip_capture")
    _, send = await capture(table_name="sip_capture|t2", mt_mode="hash")
    packets = [hep.encode(hep.Hep(A, B, OPTIONS.replace(b"c1", b"c%d" % n))) for n in range(8)]
    await send(*packets, *packets)
    one, two = (rows.run(f"SELECT callid FROM {name}") for name in ("sip_capture", "t2"))
    assert (len(one) + len(two), set(one) & set(two)) == (16, set())
    assert one
    assert two


async def test_a_packet_is_sent_on_octet_for_octet(capture, peer):
    other = await peer()
    forward = (
        f'event_route[sipcapture:request] {{ sip_capture_forward("sip:127.0.0.1:{other.port}"); drop(); }}'
    )
    _, send = await capture(more=forward, nonsip_hook=1)
    other.datagram_received = lambda data, source: other.raw.put_nowait(data)
    packet = hep.encode(hep.Hep(A, B, OPTIONS))
    await send(packet)
    assert await asyncio.wait_for(other.raw.get(), SOON) == packet


async def test_the_rpc_switches_it_off(capture, rows):
    server, send = await capture()
    assert await server.rpc.call("sipcapture.status", ["off"]) == "Disabled"
    await send(hep.encode(hep.Hep(A, B, OPTIONS)))
    assert rows.run("SELECT count(*) FROM sip_capture") == [(0,)]
    assert await server.rpc.call("sipcapture.status", ["check"]) == "Disabled"


@pytest.mark.parametrize(
    ("param", "value", "reason"),
    [
        ("raw_moni_capture_on", "1", "raw sockets"),
        ("mt_mode", '"x"', "mt_mode"), ("topoh_unmask", "1", "topoh"),
        ("hash_source", '"x"', "hash_source"), ("table_name", '"a b"', "no name"),
        ("capture_mode", '"x"', "capture_mode"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_checker(param, value, reason):
    text = (
        f'loadmodule "sipcapture.so"\nmodparam("sipcapture", "{param}", {value})\nrequest_route {{ exit; }}'
    )
    assert any(reason in error.message for error in check(text).errors)


def test_float2int_multiplies(script):
    run = script(
        'loadmodule "sipcapture.so"',
        'request_route { float2int("0", "5"); $avp(b) = $rc; float2int("10.5", "2"); $avp(c) = $rc; }',
    )
    found = run(OPTIONS.decode().replace("\r\n", "\n"))
    assert (found["avp(b)"], found["avp(c)"]) == (-1, 21)
