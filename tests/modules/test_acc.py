"""acc: lines and rows. What they say was recorded from Kamailio 5.6.3, which got the same calls."""

import asyncio
import contextlib
import logging
import re
import socket
import sqlite3
import time
from types import SimpleNamespace

import pytest

from kamtool.errors import ConfigError
from kamtool.modules.acc.record import Times, comment
from kamtool.script.context import Context
from kamtool.script.settings import Settings
from kamtool.server.server import Options, Server
from kamtool.sip import build
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import parse
from kamtool.store.times import to_epoch
from tests.support.runtime import Runtime
from tests.support.until import SOON, until

LOG, MISSED, FAILED, PREPARE = 1, 2, 3, 5
FLAGS = {"log_flag": LOG, "log_missed_flag": MISSED, "failed_transaction_flag": FAILED}


class Peer:
    """A UDP socket that speaks SIP."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def send(self, data, port):
        self.socket.sendto(data, ("127.0.0.1", port))

    async def get(self):
        async with asyncio.timeout(SOON):
            return parse(await asyncio.get_running_loop().sock_recv(self.socket, 65536))

    async def final(self):
        while (message := await self.get()).status < 200:
            pass
        return message


class World:
    """A server whose script is a Python function, a caller and a callee, and what was accounted."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.port = server.sockets[0].address.port
        self.caller, self.callee = Peer(), Peer()

    def request(self, method, call_id="c1", to_tag="", headers=(), cseq=1, from_tag="ft"):
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.caller.port};branch=z9hG4bK{call_id}{cseq}"),
            ("From", f"<sip:alice@a.com>;tag={from_tag}"),
            ("To", f"<sip:bob@b.com>;tag={to_tag}" if to_tag else "<sip:bob@b.com>"),
            ("Call-ID", call_id), ("CSeq", f"{cseq} {method}"), ("Max-Forwards", "70"), *headers,
        ]  # fmt: skip
        self.caller.send(build.request(method, f"sip:bob@127.0.0.1:{self.port}", headers), self.port)

    async def answer(self, status, reason, **more):
        request = await self.callee.get()
        self.callee.send(build.response(request, status, reason, to_tag="ct", **more), self.port)
        return request

    async def call(self, status, reason, **more):
        self.request("INVITE")
        await self.answer(status, reason, **more)
        final = await self.caller.final()
        assert final.status == status
        return final

    async def rows(self, table="acc", count=1):
        def read():
            with contextlib.closing(sqlite3.connect(self.path)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]

        await until(lambda: len(read()) >= count)
        return read()


@pytest.fixture
async def world(tmp_path, caplog):
    """`await world(route, **params)`; `route(ctx, relay)` is the request_route."""
    caplog.set_level(logging.INFO, "kamtool")
    logging.getLogger("kamtool").propagate = True
    made = []

    async def start(route, failure=None, database=False, **params):
        path = tmp_path / "acc.db"
        if database:
            params = {"db_url": f"sqlite:///{path}", "db_flag": LOG, "db_missed_flag": MISSED, **params}
        program = SimpleNamespace(
            reply_route=None, onsend_route=None, routes={}, failure_routes={"F": failure} if failure else {},
            branch_routes={}, onreply_routes={}, event_routes={}, entry=None,
        )  # fmt: skip
        runtime = Runtime("pv")
        script = SimpleNamespace(
            settings=Settings(),
            loads=[SimpleNamespace(name=name) for name in ("tm", "sl", "rr", "db_sqlite", "acc")],
            modparams=[
                SimpleNamespace(modules="acc", name=name, value=value)
                for name, value in {**FLAGS, **params}.items()
            ],
            link=lambda server: program, variable=lambda text, server: runtime.variable(text),
            variables=lambda texts, server: runtime.variables(texts),
            format=lambda text, server: runtime.format(text),
        )  # fmt: skip
        server = Server(
            script,
            options=Options(listens=[Socket("udp", Address("127.0.0.1", 0))], freeze=False, sweep=0.02),
        )
        program.request_route = None
        await server.start()
        made.append(server)
        world = World(server, path)

        async def relay(ctx):
            ctx.new_uri = f"sip:bob@127.0.0.1:{world.callee.port}"
            return await server.relay.relay(ctx)

        async def request_route(ctx):
            return await route(ctx, relay) or 1

        program.request_route = request_route
        return world

    yield start
    for server in made:
        await server.stop(drain=0)


def mark(ctx, *flags):
    for flag in flags:
        ctx.flags |= 1 << flag


def marked(*flags, on_failure=""):
    async def route(ctx, relay):
        mark(ctx, *flags)
        if on_failure and ctx.msg.method == "INVITE":
            ctx.on_failure = on_failure
        await relay(ctx)

    return route


def lines(caplog):
    """What was accounted, without the time."""
    found = [
        record.getMessage() for record in caplog.records if record.name.startswith("kamtool.modules.acc")
    ]
    return [re.sub(r"timestamp=\d+", "timestamp=T", line) for line in found]


async def test_an_answered_call_is_a_line_and_a_row(world, caplog):
    here = await world(marked(LOG), database=True)
    before = int(time.time())
    await here.call(200, "Fine")
    await until(lambda: lines(caplog))
    assert lines(caplog) == [
        "ACC: transaction answered: timestamp=T;method=INVITE;from_tag=ft;to_tag=ct;"
        "call_id=c1;code=200;reason=Fine"
    ]
    assert caplog.records[-1].levelno == 25
    (row,) = await here.rows()
    moment = row.pop("time")
    assert isinstance(moment, float)
    assert before - 1 <= to_epoch(moment) <= time.time() + 1
    assert row == {
        "id": 1, "method": "INVITE", "from_tag": "ft", "to_tag": "ct", "callid": "c1", "sip_code": "200",
        "sip_reason": "Fine",
    }  # fmt: skip


async def test_a_repeated_200_is_accounted_once(world, caplog):
    here = await world(marked(LOG))
    here.request("INVITE")
    request = await here.answer(200, "OK")
    await here.caller.final()
    here.callee.send(build.response(request, 200, "OK", to_tag="ct"), here.port)
    await here.caller.final()
    here.callee.send(build.response(request, 200, "OK", to_tag="other"), here.port)
    await here.caller.final()
    assert ["to_tag=ct" in line for line in lines(caplog)] == [True, False]


@pytest.mark.parametrize(
    ("flags", "params", "expected"),
    [
        ((LOG,), {}, []),
        ((LOG, FAILED), {}, ["answered"]),
        ((LOG, FAILED), {"failed_filter": "404,486"}, []),
        ((MISSED,), {}, ["missed"]),
        ((LOG, MISSED, FAILED), {}, ["missed", "answered"]),
        ((LOG, MISSED, FAILED), {"failed_filter": "486"}, ["missed"]),
        ((), {"log_missed_flag": -1}, []),
    ],
)
async def test_a_failed_call_is_accounted_as_its_flags_say(world, caplog, flags, params, expected):
    here = await world(marked(*flags), **params)
    await here.call(486, "Busy Here")
    assert [
        word for line in lines(caplog) for word in ("missed", "answered") if f" {word}: " in line
    ] == expected
    assert all("to_tag=ct;call_id=c1;code=486;reason=Busy Here" in line for line in lines(caplog))


async def test_a_missed_call_is_told_before_the_failure_route_and_its_flag_is_cleared(world, caplog):
    seen = []

    async def failure(ctx):
        seen.append((len(lines(caplog)), bool(ctx.flags & 1 << MISSED)))
        return 1

    here = await world(marked(MISSED, on_failure="F"), failure, database=True)
    await here.call(486, "Busy Here")
    assert seen == [(1, False)]
    (row,) = await here.rows("missed_calls")
    assert (row["sip_code"], row["sip_reason"], row["to_tag"]) == ("486", "Busy Here", "ct")


async def test_a_call_without_an_answer_has_the_to_tag_of_the_408(world, caplog):
    here = await world(marked(LOG, MISSED, FAILED))
    here.server.transactions.settings = here.server.transactions.settings.but(fr=0.1, fr_inv=0.1)
    here.request("INVITE")
    final = await here.caller.final()
    assert final.status == 408
    assert [line.partition("from_tag")[2] for line in lines(caplog)] == [
        f"=ft;to_tag={final.to_tag};call_id=c1;code=408;reason=Request Timeout"
    ] * 2


async def test_a_reply_of_the_script_has_the_standard_s_phrase(world, caplog):
    async def route(ctx, relay):
        mark(ctx, LOG, FAILED)
        tx = ctx.host.relay.create(ctx)
        ctx.host.replies.stateful(tx, 480, "Local")

    here = await world(route, database=True)
    here.request("INVITE")
    final = await here.caller.final()
    assert f"to_tag={final.to_tag};call_id=c1;code=480;reason=Temporarily Unavailable" in lines(caplog)[0]
    assert (await here.rows())[0]["to_tag"] == final.to_tag


async def test_a_flag_set_after_t_newtran_counts_only_if_the_request_is_relayed(world, caplog):
    async def route(ctx, relay):
        mark(ctx, LOG)
        tx = ctx.host.relay.create(ctx)
        mark(ctx, FAILED)
        if ctx.msg.method == "INVITE":
            await relay(ctx)
        else:
            ctx.host.replies.stateful(tx, 480, "Local")

    here = await world(route)
    here.request("MESSAGE")
    await here.caller.final()
    assert lines(caplog) == []
    await here.call(486, "Busy Here")
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize(("cancels", "expected"), [(0, ["INVITE"]), (1, ["CANCEL", "INVITE"])])
async def test_cancel_is_accounted_only_when_asked_for(world, caplog, cancels, expected):
    here = await world(marked(LOG, FAILED), report_cancels=cancels)
    here.request("INVITE")
    invite = await here.answer(180, "Ringing")
    here.request("CANCEL")
    cancel = await here.callee.get()
    here.callee.send(build.response(cancel, 200, "OK", to_tag="ct"), here.port)
    here.callee.send(build.response(invite, 487, "Request Terminated", to_tag="ct"), here.port)
    await here.caller.final()
    await until(lambda: len(lines(caplog)) >= len(expected))
    assert re.findall(r"method=(\w+)", " ".join(lines(caplog))) == expected


async def test_the_ack_of_a_200_is_accounted_when_it_is_marked(world, caplog):
    here = await world(marked(LOG), report_ack=1)
    await here.call(200, "Fine")
    here.request("ACK", to_tag="ct")
    await until(lambda: len(lines(caplog)) == 2)
    assert lines(caplog)[1] == (
        "ACC: request acknowledged: timestamp=T;method=ACK;from_tag=ft;to_tag=ct;"
        "call_id=c1;code=200;reason=OK"
    )


async def test_early_media_is_a_provisional_response_with_a_body(world, caplog):
    here = await world(marked(LOG), early_media=1)
    here.request("INVITE")
    invite = await here.answer(180, "Ringing")
    for status, reason, body in ((183, "Session Progress", b"v=0\r\n"), (200, "Fine", b"")):
        here.callee.send(build.response(invite, status, reason, to_tag="ct", body=body), here.port)
    await here.caller.final()
    assert re.findall(r"code=(\d+)", " ".join(lines(caplog))) == ["183", "200"]


async def test_a_failure_route_may_mark_a_prepared_transaction(world, caplog):
    async def failure(ctx):
        mark(ctx, LOG, FAILED)
        return 1

    here = await world(marked(PREPARE, on_failure="F"), failure, acc_prepare_flag=PREPARE)
    await here.call(486, "Busy Here")
    assert len(lines(caplog)) == 1
    other = await world(marked(on_failure="F"), failure, acc_prepare_flag=PREPARE)
    await other.call(486, "Busy Here")
    assert len(lines(caplog)) == 1


async def test_extras_and_legs(world, caplog):
    async def route(ctx, relay):
        mark(ctx, LOG)
        for value in ("l1", "l2"):
            ctx.host.script.variable("$avp(leg)", ctx.host).set(ctx, value)
        await relay(ctx)

    here = await world(
        route,
        log_extra="src_user=$fU;ua=$ua;non=$avp(none);cut=$(hdr(X){s.substr,0,2})",
        multi_leg_info="leg=$avp(leg)",
    )
    here.request("INVITE", headers=[("User-Agent", "drv;1"), ("X", "abc")])
    await here.answer(200, "Fine")
    await here.caller.final()
    assert lines(caplog)[0].endswith("reason=Fine;src_user=alice;ua=drv;1;non=;cut=ab;leg=l2;leg=l1")


async def test_each_leg_is_a_row_with_the_extra_columns(world, tmp_path):
    async def route(ctx, relay):
        mark(ctx, LOG)
        for value in ("l1", "l2"):
            ctx.host.script.variable("$avp(leg)", ctx.host).set(ctx, value)
        await relay(ctx)

    before = await world(route, database=True)
    await before.server.stop(drain=0)
    with contextlib.closing(sqlite3.connect(tmp_path / "acc.db")) as connection:
        for column in ("src_user", "leg"):
            connection.execute(f"ALTER TABLE acc ADD COLUMN {column} VARCHAR(64)")
        connection.commit()
    here = await world(route, database=True, db_extra="src_user=$fU", multi_leg_info="leg=$avp(leg)")
    await here.call(200, "Fine")
    assert [(row["src_user"], row["leg"]) for row in await here.rows(count=2)] == [
        ("alice", "l2"),
        ("alice", "l1"),
    ]


async def test_a_missing_column_is_named_with_its_remedy_at_start(world, caplog):
    await world(marked(LOG), database=True, db_extra="src_user=$fU")
    assert "ALTER TABLE acc ADD COLUMN src_user" in caplog.text


async def test_the_reason_header_takes_the_phrase_s_place(world, caplog):
    here = await world(marked(LOG, FAILED), reason_from_hf=1)
    text = 'Q.850;cause=17;text="User busy"'
    await here.call(486, "Busy Here", headers=[("Reason", text), ("Reason", "SIP;cause=1")])
    assert lines(caplog)[0].endswith(f"reason={text}")


@pytest.mark.parametrize(("changed", "reason"), [(False, "Fine"), (True, "of the script")])
async def test_the_response_counts_as_it_went_upstream(world, caplog, changed, reason):
    here = await world(marked(LOG), reason_from_hf=1)

    async def reply_route(ctx):
        if changed:
            ctx.edit(ctx.msg.head_end, ctx.msg.head_end, b"Reason: of the script\r\n")
        return 1

    here.server.program.reply_route = reply_route
    final = await here.call(200, "Fine")
    await until(lambda: lines(caplog))
    assert lines(caplog)[0].endswith(f"to_tag=ct;call_id=c1;code=200;reason={reason}")
    assert final.header("Reason") == ("of the script" if changed else None)


async def test_functions_account_what_they_are_told(world, caplog):
    done = []

    async def route(ctx, relay):
        acc = ctx.host.modules["acc"]
        done.append(acc.acc_log_request(ctx, "404 Not here"))
        done.append(acc.acc_log_request(ctx, ""))
        done.append(await acc.acc_db_request(ctx, "404 Gone", "acc"))
        done.append(await acc.acc_db_request(ctx, "100 R", "no\"such'"))
        done.append(await acc.acc_request(ctx, "just a word", "missed_calls"))
        ctx.host.reply(ctx, 404, "Not here")

    here = await world(route, database=True)
    here.request("OPTIONS")
    await here.caller.final()
    assert done == [True, False, True, False, True]
    assert lines(caplog)[0] == (
        "ACC: request accounted: timestamp=T;method=OPTIONS;from_tag=ft;to_tag=;"
        "call_id=c1;code=404;reason=Not here"
    )
    (row,) = await here.rows()
    assert (row["sip_code"], row["sip_reason"], row["to_tag"]) == ("404", "Gone", "")
    (row,) = await here.rows("missed_calls")
    assert (row["sip_code"], row["sip_reason"]) == ("", "just a word")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("404 Not here", ("404", "Not here")), ("comment only", ("", "comment only")), ("999", ("999", "")),
        ("99 low", ("", "99 low")), ("1000 high", ("100", "0 high")), ("404  two", ("404", "two")),
        ("404x y", ("404", "x y")), ("000 z", ("000", "z")), (" 404 lead", ("", " 404 lead")),
    ],
)  # fmt: skip
def test_a_comment_is_read_as_kamailio_does(text, expected):
    assert comment(text) == expected


def test_the_time_is_told_as_time_mode_says():
    epoch = 1795397066.302171
    one = Times(1, "tatt", "text", "")
    assert one.columns == ["tatt", "text"]
    assert one.in_line(epoch) == ["text=302171"]
    assert one.in_row(epoch) == [1795397066, 302171]
    two = Times(2, "tatt", "text", "")
    assert (two.columns, two.in_line(epoch), two.in_row(epoch)) == (
        ["tatt"],
        ["tatt=1795397066.302"],
        [epoch],
    )
    four = Times(4, "tatt", "", "%Y-%m-%d %H:%M:%S")
    assert four.in_line(epoch) == ["tatt=2026-11-23 01:24:26"]
    assert four.in_row(epoch) == ["2026-11-23 01:24:26"]
    none = Times(0, "tatt", "text", "")
    assert (none.columns, none.in_line(epoch), none.in_row(epoch)) == ([], [], [])


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"cdr_enable": 1}, r"dialog\.so"),
        ({"failed_filter": "404,2xx"}, "2xx"),
        ({"log_facility": "LOG_NOWHERE"}, "facility"),
        ({"log_extra": "a"}, "log_extra"),
        ({"log_extra": "a=$fU;b=$tU", "acc_extra_size": 1}, "acc_extra_size"),
        ({"multi_leg_info": "a=$fU"}, "no AVP"),
        ({"time_mode": 5}, "time_mode"),
    ],
)
async def test_wrong_parameters_are_refused_at_start(world, params, reason):
    with pytest.raises(ConfigError, match=reason):
        await world(marked(), **params)


async def test_what_is_not_marked_is_not_watched(world):
    here = await world(marked())
    await here.call(200, "OK")
    assert all(not tx.watchers for tx in here.server.transactions.by_label.values())


async def test_from_and_to_change_places_when_the_callee_asks(world, caplog):
    here = await world(marked(LOG), detect_direction=1)
    acc = here.server.modules["acc"]
    text = (
        "BYE sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        "From: <sip:bob@b.com>;tag=ct\r\nTo: <sip:alice@a.com>;tag=ft\r\nCall-ID: c\r\nCSeq: 2 BYE\r\n"
        f"Route: <sip:127.0.0.1:{here.port};lr;ftag=ft>\r\n\r\n"
    )
    local = here.server.sockets[0].address
    ctx = Context(here.server, parse(text.encode()), Flow("udp", local, Address("127.0.0.1", 9)))
    here.server.modules["rr"].loose_route(ctx)
    acc.acc_log_request(ctx, "200 OK")
    assert "from_tag=ft;to_tag=ct" in lines(caplog)[0]
