"""What every pseudo-variable shows of a rich INVITE, a bare OPTIONS and a 200 (answers of Kamailio 5.6.3)."""

import pytest

from tests.support.messages import BARE_OPTIONS, OK_200, RICH_INVITE, SDP
from tests.support.runtime import Runtime

REQUESTS = [
    ("$ru", "sip:alice:pw@example.com:5070;transport=udp;foo=bar", "sip:example.com"),
    ("$ruri", "sip:alice:pw@example.com:5070;transport=udp;foo=bar", "sip:example.com"),
    ("$rU", "alice", "<null>"),
    ("$rd", "example.com", "example.com"),
    ("$rp", "5070", "5060"),
    ("$rP", "udp", "UDP"),
    ("$rz", "sip", "sip"),
    ("$rUl", "5", "0"),
    ("$fUl", "3", "3"),
    ("$tUl", "5", "5"),
    ("$oUl", "5", "0"),
    ("$ou", "sip:alice:pw@example.com:5070;transport=udp;foo=bar", "sip:example.com"),
    ("$oU", "alice", "<null>"),
    ("$od", "example.com", "example.com"),
    ("$op", "5070", "5060"),
    ("$oP", "udp", "UDP"),
    ("$du", "<null>", "<null>"),
    ("$dd", "<null>", "<null>"),
    ("$dp", "<null>", "<null>"),
    ("$dP", "<null>", "<null>"),
    ("$fs", "<null>", "<null>"),
    ("$fsn", "<null>", "<null>"),
    ("$fu", "sip:bob:bpw@biloxi.example.org:5066;x=1", "sip:bob@biloxi.example.org"),
    ("$from", "sip:bob:bpw@biloxi.example.org:5066;x=1", "sip:bob@biloxi.example.org"),
    ("$fU", "bob", "bob"),
    ("$fd", "biloxi.example.org", "biloxi.example.org"),
    ("$fn", '"Bob Builder"', "<null>"),
    ("$ft", "ft1", "ft1"),
    ("$tu", "sip:alice@example.com", "sip:alice@example.com"),
    ("$to", "sip:alice@example.com", "sip:alice@example.com"),
    ("$tU", "alice", "alice"),
    ("$td", "example.com", "example.com"),
    ("$tn", "Alice", "<null>"),
    ("$tt", "<null>", "<null>"),
    ("$rm", "INVITE", "OPTIONS"),
    ("$rmid", "1", "512"),
    ("$rs", "<null>", "<null>"),
    ("$rr", "<null>", "<null>"),
    ("$rv", "SIP/2.0", "SIP/2.0"),
    ("$mt", "1", "1"),
    ("$mts", "rq", "rq"),
    ("$ci", "id0@case", "id0@case"),
    ("$cs", "7", "7"),
    ("$csb", "7 INVITE", "7 OPTIONS"),
    ("$ct", "<sip:bob@127.0.0.1:5999;ob>;expires=300, <sip:bob2@127.0.0.2>;q=0.5;expires=60", "<null>"),
    ("$cT", "application/sdp", "<null>"),
    ("$cl", "99", "0"),
    ("$ua", "tester/1.0", "<null>"),
    ("$rb", SDP, ""),
    ("$bs", "99", "0"),
    ("$si", "127.0.0.1", "127.0.0.1"),
    ("$sp", "5999", "5999"),
    ("$siz", "127.0.0.1", "127.0.0.1"),
    ("$su", "sip:127.0.0.1:5999", "sip:127.0.0.1:5999"),
    ("$sut", "sip:127.0.0.1:5999;transport=udp", "sip:127.0.0.1:5999;transport=udp"),
    ("$sas", "udp:127.0.0.1:5999", "udp:127.0.0.1:5999"),
    ("$Ri", "127.0.0.1", "127.0.0.1"),
    ("$Rp", "5060", "5060"),
    ("$Rn", "main", "main"),
    ("$Ru", "sip:127.0.0.1:5060", "sip:127.0.0.1:5060"),
    ("$Rut", "sip:127.0.0.1:5060;transport=udp", "sip:127.0.0.1:5060;transport=udp"),
    ("$Ras", "udp:127.0.0.1:5060", "udp:127.0.0.1:5060"),
    ("$RAi", "127.0.0.1", "127.0.0.1"),
    ("$RAp", "5060", "5060"),
    ("$RAu", "sip:127.0.0.1:5060", "sip:127.0.0.1:5060"),
    ("$RAut", "sip:127.0.0.1:5060;transport=udp", "sip:127.0.0.1:5060;transport=udp"),
    ("$pr", "udp", "udp"),
    ("$proto", "udp", "udp"),
    ("$prid", "1", "1"),
    ("$au", "bob", "<null>"),
    ("$ad", "auth.org", "<null>"),
    ("$aU", "bob@auth.org", "<null>"),
    ("$ar", "example.com", "<null>"),
    ("$aa", "MD5", "<null>"),
    ("$adn", "abc123", "<null>"),
    ("$adc", "cn", "<null>"),
    ("$adr", "0123456789abcdef0123456789abcdef", "<null>"),
    ("$ado", "op", "<null>"),
    ("$adu", "sip:example.com", "<null>"),
    ("$Au", "bob@biloxi.example.org", "bob@biloxi.example.org"),
    ("$AU", "bob", "bob"),
    ("$ai", "sip:bob@pai.org", "<null>"),
    ("$pu", "sip:bobp@ppi.org", "<null>"),
    ("$pU", "bobp", "<null>"),
    ("$pd", "ppi.org", "<null>"),
    ("$pn", '"Bobby"', "<null>"),
    ("$re", "sip:rpid@rpid.org", "<null>"),
    ("$rt", "sip:refer@ref.org", "<null>"),
    ("$di", "sip:div@div.org", "<null>"),
    ("$dir", "user-busy", "<null>"),
    ("$dip", "full", "<null>"),
    ("$dic", "2", "<null>"),
    ("$hdr(X-List)", "a;b;c", "<null>"),
    ("$(hdr(X-List)[1])", "d;e", "<null>"),
    ("$(hdr(X-List)[-1])", "d;e", "<null>"),
    ("$(hdr(X-List)[*])", "a;b;c,d;e", "<null>"),
    ("$hdrc(X-List)", "2", "0"),
    ("$hfl(X-Comma)", 'one, two, "th,ree"', "<null>"),
    ("$(hfl(X-Comma)[1])", "<null>", "<null>"),
    ("$(hfl(X-Comma)[-1])", 'one, two, "th,ree"', "<null>"),
    ("$(hfl(X-Comma)[*])", 'one, two, "th,ree"', "<null>"),
    ("$hflc(X-Comma)", "1", "0"),
    ("$hflc(Via)", "2", "1"),
    ("$(hfl(Via)[1])", "SIP/2.0/TCP 10.1.1.2:5072;branch=z9hG4bKsecond;received=10.9.9.9", "<null>"),
    ("$expires(min)", "60", "<null>"),
    ("$expires(max)", "300", "<null>"),
    ("$via0(host)", "127.0.0.1", "127.0.0.1"),
    ("$via0(port)", "5999", "5999"),
    ("$via0(proto)", "UDP", "UDP"),
    ("$via0(branch)", "z9hG4bK-id0", "z9hG4bK-id0"),
    ("$via0(received)", "<null>", "<null>"),
    ("$via0(rport)", "<null>", "<null>"),
    ("$via1(host)", "10.1.1.2", "<null>"),
    ("$via1(port)", "5072", "<null>"),
    ("$via1(proto)", "TCP", "<null>"),
    ("$via1(received)", "10.9.9.9", "<null>"),
    ("$viaZ(host)", "10.1.1.2", "127.0.0.1"),
    ("$via0(protoid)", "1", "1"),
    ("$mf", "0", "0"),
    ("$mF", "00000000", "00000000"),
    ("$bf", "0", "0"),
    ("$bF", "00000000", "00000000"),
    ("$sf", "0", "0"),
    ("$sF", "00000000", "00000000"),
    ("$br", "<null>", "<null>"),
    ("$bR", "<null>", "<null>"),
    ("$ds", "<null>", "<null>"),
    ("$branch(count)", "<null>", "<null>"),
    ("$branch(uri)", "<null>", "<null>"),
    ("$rc", "1", "1"),
    ("$retcode", "1", "1"),
    ("$null", "<null>", "<null>"),
    ("$sid", "0", "0"),
    ("$K(IPv4)", "2", "2"),
    ("$K(IPv6)", "10", "10"),
    ("$K(UDP)", "1", "1"),
    ("$K(TCP)", "2", "2"),
    ("$K(TLS)", "3", "3"),
    ("$K(SCTP)", "4", "4"),
    ("$K(WS)", "5", "5"),
    ("$K(WSS)", "6", "6"),
    ("$nh(u)", "sip:alice:pw@example.com:5070;transport=udp;foo=bar", "sip:example.com"),
    ("$nh(U)", "alice", "<null>"),
    ("$nh(d)", "example.com", "example.com"),
    ("$nh(p)", "5070", "5060"),
    ("$nh(P)", "udp", "UDP"),
    ("$snd(ip)", "<null>", "<null>"),
    ("$sndto(ip)", "<null>", "<null>"),
    ("$sndfrom(ip)", "<null>", "<null>"),
    ("$ruid", "<null>", "<null>"),
    ("$location_ua", "<null>", "<null>"),
    ("$_s(a$rU)", "aalice", "a<null>"),
    ("$(err.class)", "<null>", "<null>"),
    ("$(err.level)", "<null>", "<null>"),
    ("$(err.info)", "<null>", "<null>"),
    ("$(err.rcode)", "<null>", "<null>"),
    ("$(err.rreason)", "<null>", "<null>"),
    ("$var(x)", "0", "0"),
    ("$vn(x)", "<null>", "<null>"),
    ("$vz(x)", "0", "0"),
    ("$shv(x)", "0", "0"),
    ("$avp(x)", "<null>", "<null>"),
    ("$xavp(x)", "<null>", "<null>"),
    ("$true", "1", "1"),
    ("$cnt($avp(x))", "0", "0"),
    ("$(ai[1])", "tel:+1234", "<null>"),
]

REPLY = [
    ("$ru", "<null>"),
    ("$rU", "<null>"),
    ("$rd", "<null>"),
    ("$rp", "<null>"),
    ("$rP", "<null>"),
    ("$rz", "<null>"),
    ("$rUl", "<null>"),
    ("$ou", "<null>"),
    ("$oU", "<null>"),
    ("$od", "<null>"),
    ("$op", "<null>"),
    ("$oP", "<null>"),
    ("$du", "<null>"),
    ("$dd", "<null>"),
    ("$dp", "<null>"),
    ("$dP", "<null>"),
    ("$fs", "<null>"),
    ("$fu", "sip:bob@biloxi.example.org"),
    ("$fU", "bob"),
    ("$fd", "biloxi.example.org"),
    ("$fn", "<null>"),
    ("$ft", "ft1"),
    ("$tu", "sip:alice@example.com"),
    ("$tU", "alice"),
    ("$td", "example.com"),
    ("$tn", "<null>"),
    ("$tt", "tt1"),
    ("$rm", "INVITE"),
    ("$rmid", "1"),
    ("$rs", "200"),
    ("$rr", "Fine with me"),
    ("$rv", "SIP/2.0"),
    ("$mt", "2"),
    ("$mts", "rp"),
    ("$ci", "id0@case"),
    ("$cs", "7"),
    ("$csb", "7 INVITE"),
    ("$ct", "<sip:alice@127.0.0.9>"),
    ("$cT", "<null>"),
    ("$cl", "0"),
    ("$ua", "<null>"),
    ("$rb", ""),
    ("$bs", "0"),
    ("$si", "127.0.0.1"),
    ("$sp", "5999"),
    ("$siz", "127.0.0.1"),
    ("$su", "sip:127.0.0.1:5999"),
    ("$sut", "sip:127.0.0.1:5999;transport=udp"),
    ("$sas", "udp:127.0.0.1:5999"),
    ("$Ri", "127.0.0.1"),
    ("$Rp", "5060"),
    ("$pr", "udp"),
    ("$au", "<null>"),
    ("$ar", "<null>"),
    ("$Au", "bob@biloxi.example.org"),
    ("$AU", "bob"),
    ("$ai", "<null>"),
    ("$pu", "<null>"),
    ("$re", "<null>"),
    ("$rt", "<null>"),
    ("$di", "<null>"),
    ("$hdr(Via)", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-ours"),
    ("$hdr(Contact)", "<sip:alice@127.0.0.9>"),
    ("$hdrc(Via)", "2"),
    ("$hflc(Via)", "2"),
    ("$expires(min)", "<null>"),
    ("$via0(host)", "127.0.0.1"),
    ("$via0(port)", "5060"),
    ("$via1(received)", "127.0.0.1"),
    ("$via1(rport)", "5999"),
    ("$via1(host)", "127.0.0.1"),
    ("$viaZ(host)", "127.0.0.1"),
    ("$mf", "0"),
    ("$bf", "0"),
    ("$sf", "0"),
    ("$br", "<null>"),
    ("$bR", "<null>"),
    ("$ds", "<null>"),
    ("$branch(count)", "<null>"),
    ("$nh(u)", "sip:127.0.0.1:5999;transport=udp"),
    ("$nh(d)", "127.0.0.1"),
    ("$msg(fline)", "SIP/2.0 200 Fine with me"),
    ("$_s(a$rs)", "a200"),
    ("$sel(ruri.user)", "<null>"),
    ("$sel(from.uri.host)", "biloxi.example.org"),
    ("$sel(to.tag)", "tt1"),
    ("$sel(cseq.num)", "7"),
    ("$sel(via[1].host)", "127.0.0.1"),
    ("$(hdr(To){tobody.tag})", "tt1"),
]


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv")


@pytest.fixture(scope="module")
def invite(runtime):
    return runtime.message(RICH_INVITE)


@pytest.fixture(scope="module")
def options(runtime):
    return runtime.message(BARE_OPTIONS)


@pytest.fixture(scope="module")
def ok(runtime):
    return runtime.message(OK_200)


def shown(runtime, ctx, text):
    return runtime.format(text)(ctx)


@pytest.mark.parametrize(("text", "of_invite", "of_options"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_a_variable_of_a_request(runtime, invite, options, text, of_invite, of_options):
    assert (shown(runtime, invite, text), shown(runtime, options, text)) == (of_invite, of_options)


@pytest.mark.parametrize(("text", "of_reply"), REPLY, ids=[row[0] for row in REPLY])
def test_a_variable_of_a_reply(runtime, ok, text, of_reply):
    assert shown(runtime, ok, text) == of_reply


INTS = [
    "$sp",
    "$Rp",
    "$RAp",
    "$rmid",
    "$mf",
    "$bf",
    "$sf",
    "$ml",
    "$bs",
    "$cl",
    "$mt",
    "$pp",
    "$sid",
    "$Ts",
    "$TS",
    "$Tb",
    "$TV(s)",
    "$time(hour)",
    "$rc",
    "$rUl",
    "$hdrc(X-List)",
    "$expires(min)",
    "$via0(port)",
    "$K(IPv6)",
    "$prid",
]
TEXTS = ["$rp", "$op", "$cs", "$hdr(X-Num)", "$ru", "$ci", "$si", "$pr", "$rm", "$mF", "$Tf", "$version(num)"]


@pytest.mark.parametrize("text", INTS)
def test_a_number_is_an_int(runtime, invite, text):
    assert type(runtime.get(invite, text)) is int


@pytest.mark.parametrize("text", TEXTS)
def test_some_numbers_are_texts(runtime, invite, text):
    assert type(runtime.get(invite, text)) is str


def test_pieces_of_the_message(runtime, invite):
    head, _, body = RICH_INVITE.partition("\r\n\r\n")
    first, _, headers = head.partition("\r\n")
    assert runtime.get(invite, "$mb") == runtime.get(invite, "$msg(buf)") == RICH_INVITE
    assert runtime.get(invite, "$msg(fline)") == first
    assert runtime.get(invite, "$msg(hdrs)") == headers
    assert runtime.get(invite, "$msg(fpart)") == head
    assert runtime.get(invite, "$msg(lpart)") == f"{headers}\r\n\r\n{body}"
    assert runtime.get(invite, "$msg(body)") == SDP
    assert runtime.get(invite, "$ml") == runtime.get(invite, "$msg(len)") == len(RICH_INVITE)


def test_the_first_contact_and_the_last(runtime, invite):
    first, last = (runtime.get(invite, f"$(hfl(Contact)[{index}])") for index in (0, -1))
    assert first == "<sip:bob@127.0.0.1:5999;ob>;expires=300"
    assert last == "<sip:bob2@127.0.0.2>;q=0.5;expires=60"


def test_the_time_of_a_message_stands_still(runtime):
    ctx = runtime.message(BARE_OPTIONS)
    seconds, micro = runtime.get(ctx, "$TV(s)"), runtime.get(ctx, "$TV(u)")
    assert runtime.get(ctx, "$Ts") == seconds
    assert (runtime.get(ctx, "$TV(s)"), runtime.get(ctx, "$TV(u)")) == (seconds, micro)
    assert runtime.get(ctx, "$TS") >= seconds


def test_parts_of_the_time_count_as_kamailio_counts(runtime):
    """Sunday is 1, January is 1, the first day of the year is 1: 2026-11-23 was a Monday."""
    ctx = runtime.message(BARE_OPTIONS)
    ctx.scratch["pv.time"] = 1795394566.5
    names = ("sec", "min", "hour", "mday", "mon", "year", "wday", "yday")
    shown_parts = [runtime.get(ctx, f"$utime({name})") for name in names]
    assert shown_parts == [46, 42, 0, 23, 11, 2026, 2, 327]
    assert runtime.get(ctx, "$utimef(%Y-%m-%d)") == "2026-11-23"
    assert runtime.get(ctx, "$TV(u)") == 500000


def test_colours(runtime, invite):
    assert runtime.get(invite, "$C(rb)") == "\x1b[0;31;44m"
    assert runtime.get(invite, "$C(xx)") == "\x1b[0;39;49m"


def test_a_statistic_by_its_name_or_with_its_group(runtime, invite):
    runtime.stats["core:rcv_requests"] = 3
    assert runtime.get(invite, "$stat(rcv_requests)") == runtime.get(invite, "$stat(core:rcv_requests)") == 3
    assert runtime.get(invite, "$stat(nope)") is None


SELECTS = [
    ("ruri.user", "alice"),
    ("ruri.host", "example.com"),
    ("ruri.port", "5070"),
    ("ruri.params", "transport=udp;foo=bar"),
    ("ruri.params.foo", "bar"),
    ("from.uri.user", "bob"),
    ("from.name", "Bob Builder"),
    ("f.tag", "ft1"),
    ("to.uri", "sip:alice@example.com"),
    ("to.tag", None),
    ("contact.uri.host", "127.0.0.1"),
    ("via[1].host", "127.0.0.1"),
    ("via[2].transport", "TCP"),
    ("via[-1].port", "5072"),
    ("v[1].branch", "z9hG4bK-id0"),
    ("cseq.num", "7"),
    ("cseq.method", "INVITE"),
    ("call_id", "id0@case"),
    ("method", "INVITE"),
    ("src.ip", "127.0.0.1"),
    ("src.port", "5999"),
    ("dst.ip_port", "127.0.0.1:5060"),
    ("received.proto", "udp"),
    ("msg.len", str(len(RICH_INVITE))),
    ("hf_value.x_num", "42"),
    ("hf_value.x_comma[2]", "two"),
    ("hf_value_exists.x_comma.two", "1"),
    ("record_route[1].uri.host", "10.0.0.1"),
    ("proxy_authorization.realm", "example.com"),
    ("proxy_authorization.username", "bob@auth.org"),
    ("msg.type", "request"),
]


@pytest.mark.parametrize(("path", "value"), SELECTS, ids=[row[0] for row in SELECTS])
def test_a_select(runtime, invite, path, value):
    from kamtool.script import selects

    assert selects.evaluate(invite, path) == value
    assert selects.known(path)
