"""Record-Route and Route as Kamailio 5.6.3 does them; each case was run there unless it says otherwise."""

import re

import pytest

from kamtool.module import declaration
from kamtool.modules.rr import Rr
from kamtool.script.context import Context
from kamtool.server.myself import Myself
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import parse
from kamtool.speed import splice

UDP_60 = Socket("udp", Address("127.0.0.1", 15060))
UDP_61 = Socket("udp", Address("127.0.0.1", 15061))
TCP_60 = Socket("tcp", Address("127.0.0.1", 15060))
SOCKETS = (UDP_60, UDP_61, TCP_60)
ME = "<sip:127.0.0.1:15060;lr;ftag=ft1>"
NEXT, STRICT = "<sip:10.9.9.9:5070;lr>", "<sip:10.9.9.9:5070>"
FIRST_HALF = "<sip:127.0.0.1:15060;r2=on;lr;ftag=ft1>"
SECOND_HALF = "<sip:127.0.0.1:15061;r2=on;lr;ftag=ft1>"
BOB = "sip:bob@10.1.1.1"


class Host:
    """As much of a server as rr asks for."""

    def __init__(self):
        self.modules, self.stats, self.own_uris = {}, {}, {}

    def is_myself(self, host, port=None, transport=""):
        return any(
            host == socket.address.host and (port or 5060) == socket.address.port for socket in SOCKETS
        )

    def socket(self, transport, address):
        return next(
            (s for s in SOCKETS if (s.transport, tuple(s.address)) == (transport, tuple(address))), None
        )


@pytest.fixture
async def rr():
    module = Rr(Host())
    await module.start()
    return module


def context(*routes, uri=BOB, to_tag="tt"):
    tag = f";tag={to_tag}" if to_tag else ""
    lines = [
        f"BYE {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK1",
        *(f"Route: {route}" for route in routes),
        "From: <sip:a@a>;tag=ft1",
        f"To: <sip:b@b>{tag}",
        "Call-ID: 1",
        "CSeq: 1 BYE",
        "Content-Length: 0",
    ]
    data = "\r\n".join([*lines, "", ""]).encode()
    flow = Flow("udp", UDP_60.address, Address("127.0.0.1", 5999))
    return Context(Host(), parse(data), flow)


def routes_left(ctx):
    return parse(splice(ctx.msg.data, list(ctx.edits))).headers("Route")


# routes, R-URI, To tag → code, R-URI, $du, what is left of Route
CASES = {
    "no route": ((), BOB, "tt", -1, BOB, None, []),
    "our own": ((ME,), BOB, "tt", 1, BOB, None, []),
    "our own, preloaded": ((ME,), BOB, "", -3, BOB, None, []),
    "our own and a loose next hop": ((ME, NEXT), BOB, "tt", 1, BOB, NEXT[1:-1], [NEXT]),
    "the same, preloaded": ((ME, NEXT), BOB, "", 1, BOB, NEXT[1:-1], [NEXT]),
    "a foreign one": ((NEXT,), BOB, "tt", 1, BOB, NEXT[1:-1], [NEXT]),
    "a foreign one, preloaded": ((NEXT,), BOB, "", 1, BOB, NEXT[1:-1], [NEXT]),
    "our own and a strict next hop": ((ME, STRICT), BOB, "tt", 1, STRICT[1:-1], None, [f"<{BOB}>"]),
    "a strict foreign one": ((STRICT,), BOB, "tt", 1, STRICT[1:-1], None, [f"<{BOB}>"]),
    "both halves in one line": ((f"{FIRST_HALF}, {SECOND_HALF}",), BOB, "tt", 1, BOB, None, []),
    "both halves and a next hop": (
        (FIRST_HALF, SECOND_HALF, NEXT), BOB, "tt", 1, BOB, NEXT[1:-1], [NEXT],
    ),
    "half of a double": ((FIRST_HALF,), BOB, "tt", 1, BOB, None, []),
    "after a strict router": (
        ("<sip:bob@10.1.1.1:5090>",), ME[1:-1], "tt", 1, "sip:bob@10.1.1.1:5090", None, [],
    ),
    "after a strict router, a loose one next": (
        (NEXT, "<sip:bob@10.1.1.1:5090>"), "sip:127.0.0.1:15060;lr", "tt", 1, "sip:bob@10.1.1.1:5090",
        NEXT[1:-1], [NEXT],
    ),
    "between two strict routers": (
        (STRICT, "<sip:bob@10.1.1.1:5090>"), "sip:127.0.0.1:15060", "tt", 1, STRICT[1:-1], None,
        ["<sip:bob@10.1.1.1:5090>"],
    ),
    "a comma list": (
        (f"<sip:127.0.0.1:15060;lr;ftag=ft1;did=1>,{NEXT}",), BOB, "tt", 1, BOB, NEXT[1:-1], [NEXT],
    ),
    "garbage": (("garbage",), BOB, "tt", -1, BOB, None, ["garbage"]),
    "ours twice without r2": (
        ("<sip:127.0.0.1:15060;lr=on;ftag=ft1>", "<sip:127.0.0.1:15061;lr>"), BOB, "tt", 1, BOB,
        "sip:127.0.0.1:15061;lr", ["<sip:127.0.0.1:15061;lr>"],
    ),
    "ours without lr": (("<sip:127.0.0.1:15060>",), BOB, "tt", 1, BOB, None, []),
    # Kamailio makes our own Route the R-URI here and sends the request to itself.
    "ours in Route and R-URI": ((ME,), "sip:127.0.0.1:15060", "tt", 1, "sip:127.0.0.1:15060", None, []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_loose_route_follows_the_route_set(rr, case):
    routes, uri, to_tag, code, new_uri, dst_uri, left = CASES[case]
    ctx = context(*routes, uri=uri, to_tag=to_tag)
    assert rr.loose_route(ctx) == code
    assert (ctx.ruri, ctx.dst_uri, routes_left(ctx)) == (new_uri, dst_uri, left)


async def test_the_second_half_of_a_double_route_names_the_socket_to_leave_by(rr):
    ctx = context(FIRST_HALF, SECOND_HALF)
    rr.loose_route(ctx)
    assert ctx.send_socket == UDP_61


@pytest.mark.parametrize(
    ("route", "direction", "initial_from", "initial_to"),
    [
        (ME, "downstream", "ft1", "tt"),
        ("<sip:user@127.0.0.1:15060;lr;ftag=zz>", "upstream", "tt", "ft1"),
        ("<sip:127.0.0.1:15060;lr>", "downstream", "ft1", "tt"),
    ],
)
async def test_the_direction_is_read_from_ftag(rr, route, direction, initial_from, initial_to):
    ctx = context(route)
    rr.loose_route(ctx)
    assert rr.is_direction(ctx, direction)
    assert not rr.is_direction(ctx, {"downstream": "upstream", "upstream": "downstream"}[direction])
    assert (rr.fti(ctx), rr.tti(ctx)) == (initial_from, initial_to)


async def test_check_route_param_sees_the_parameters_of_our_route(rr):
    ctx = context("<sip:127.0.0.1:15060;lr;ftag=ft1;did=1>", NEXT)
    rr.loose_route(ctx)
    assert rr.check_route_param(ctx, re.compile("did=1"))
    assert not rr.check_route_param(ctx, re.compile("5070"))


async def test_route_uri_is_empty_without_a_route(rr):
    assert rr.route_uri(context()) == ""
    assert rr.route_uri(context(NEXT, STRICT)) == NEXT[1:-1]


@pytest.mark.parametrize(
    ("inbound", "outbound", "lines"),
    [
        (UDP_60, UDP_60, "Record-Route: <sip:127.0.0.1:15060;lr;ftag=ft1>\r\n"),
        (
            UDP_60,
            UDP_61,
            "Record-Route: <sip:127.0.0.1:15061;r2=on;lr;ftag=ft1>\r\n"
            "Record-Route: <sip:127.0.0.1:15060;r2=on;lr;ftag=ft1>\r\n",
        ),
        (
            TCP_60,
            UDP_60,
            "Record-Route: <sip:127.0.0.1:15060;r2=on;lr;ftag=ft1>\r\n"
            "Record-Route: <sip:127.0.0.1:15060;transport=tcp;r2=on;lr;ftag=ft1>\r\n",
        ),
        (
            Socket("udp", Address("::1", 5060)),
            Socket("udp", Address("::1", 5060)),
            "Record-Route: <sip:[::1];lr;ftag=ft1>\r\n",
        ),
    ],
)
async def test_record_route_shows_the_sockets_of_both_sides(rr, inbound, outbound, lines):
    ctx = context()
    assert rr.record_route(ctx)
    assert ctx.record_route.lines(inbound, outbound).decode() == lines


async def test_record_route_twice_is_refused(rr):
    ctx = context()
    assert rr.record_route(ctx)
    assert not rr.record_route(ctx)


async def test_parameters_may_be_added_before_and_after_record_route(rr):
    ctx = context()
    rr.add_rr_param(ctx, ";a=b")
    rr.record_route(ctx)
    rr.add_rr_param(ctx, ";c=d")
    assert (
        ctx.record_route.lines(UDP_60, UDP_60)
        == b"Record-Route: <sip:127.0.0.1:15060;lr;ftag=ft1;a=b;c=d>\r\n"
    )
    assert not rr.add_rr_param(ctx, "e=f")


async def test_presets_stand_above_the_headers_in_their_order(rr):
    ctx = context()
    rr.record_route_preset(ctx, "1.2.3.4:5090", "5.6.7.8:5070")
    sent = splice(ctx.msg.data, list(ctx.edits)).split(b"\r\n")
    assert sent[1:3] == [
        b"Record-Route: <sip:1.2.3.4:5090;ftag=ft1;lr>",
        b"Record-Route: <sip:5.6.7.8:5070;ftag=ft1;lr>",
    ]


async def test_params_change_what_is_written(rr):
    rr.append_fromtag, rr.enable_full_lr, rr.add_username = 0, 1, 1
    ctx = context()
    rr.record_route(ctx)
    asked = ctx.record_route
    assert (asked.user, asked.lr, asked.params, asked.double) == ("bob", ";lr=on", "", True)


async def test_ignore_user_hides_a_route_from_us(rr):
    rr.ignore_user = "nobody"
    ctx = context("<sip:nobody@127.0.0.1:15060;lr>")
    assert rr.loose_route(ctx) == 1
    assert ctx.dst_uri == "sip:nobody@127.0.0.1:15060;lr"


def test_loose_route_is_for_request_routes_only():
    from kamtool.module import REQUEST_ROUTE

    assert declaration(Rr).functions["loose_route"].routes == REQUEST_ROUTE


class Named(Host):
    """One with names that may change."""

    def __init__(self):
        super().__init__()
        self.myself = Myself(SOCKETS, [("", "edge.example", 0)])


async def test_a_route_that_was_ours_is_not_once_the_name_is_gone():
    module = Rr(Named())
    await module.start()
    for _ in range(2):  # looked up, and known
        ctx = context("<sip:edge.example;lr;ftag=ft1>")
        assert (module.loose_route(ctx), ctx.route_params) == (1, ";lr;ftag=ft1")
        assert routes_left(ctx) == []
    module.server.myself.set_aliases([])
    ctx = context("<sip:edge.example;lr;ftag=ft1>")
    assert module.loose_route(ctx) == 1
    assert ctx.dst_uri == "sip:edge.example;lr;ftag=ft1"


async def test_a_known_route_obeys_the_parameters_as_they_change():
    module = Rr(Named())
    await module.start()
    told = []
    module.routed.append(lambda ctx, code: told.append(code) or 7)
    assert [module.loose_route(context("<sip:me@edge.example;lr>")) for _ in range(2)] == [7, 7]
    assert told == [1, 1]
    module.set_param("ignore_user", "me")
    ctx = context("<sip:me@edge.example;lr>")
    assert module.loose_route(ctx) == 1
    assert (ctx.dst_uri, told) == ("sip:me@edge.example;lr", [1, 1])
