"""Challenges, nonces and responses; the codes are those that Kamailio 5.6.3 was seen to return."""

import time

import pytest

from kamtool.errors import ConfigError, ParseError
from kamtool.modules.auth.nonce import Nonces, Validity
from kamtool.modules.auth.replay import Uses
from kamtool.sip.digest import ha1, parse_credentials
from kamtool.speed import splice
from tests.support.digest import authorization, nonce_of
from tests.support.host import Host


@pytest.fixture
def host():
    return Host()


def request(host, *headers, method="REGISTER", user="alice", to="alice", body=""):
    lines = [
        f"{method} sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
        f"From: <sip:{user}@example.com>;tag=f",
        f"To: <sip:{to}@example.com>",
        "Call-ID: a",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        *headers,
    ]
    return host.context(
        "\n".join([*lines, f"Content-Length: {len(body)}", "", body]) if body else "\n".join(lines)
    )


def challenged(host, module, flags=1, **about):
    assert module.www_challenge(request(host, **about), "kamtool", flags) == 1
    return host.replies[-1]


def check(host, module, credentials, flags=0, password="secret", realm="kamtool", **about):
    ctx = request(host, f"Authorization: {credentials}", **about)
    return module.pv_www_authenticate(ctx, realm, password, flags)


# ----- challenges


@pytest.mark.parametrize(
    ("flags", "params"),
    [
        (0, ""),
        (1, ', qop="auth"'),
        (2, ', qop="auth-int"'),
        (3, ', qop="auth-int"'),
        (17, ', qop="auth", stale=true'),
    ],
)
async def test_the_flags_shape_the_challenge(host, flags, params):
    reply = challenged(host, await host.load("auth"), flags)
    assert reply.status == 401
    assert reply.header("WWW-Authenticate") == f'Digest realm="kamtool", nonce="{nonce_of(reply)}"{params}'


async def test_register_gets_401_and_others_407(host):
    module = await host.load("auth")
    module.auth_challenge(request(host), "kamtool", 1)
    module.auth_challenge(request(host, method="INVITE"), "kamtool", 1)
    module.proxy_challenge(request(host), "kamtool", 1)
    assert [reply.status for reply in host.replies] == [401, 407, 407]
    assert host.replies[1].header("Proxy-Authenticate").startswith('Digest realm="kamtool"')


async def test_a_challenge_needs_a_realm(host):
    module = await host.load("auth")
    assert module.www_challenge(request(host), "", 0) == -1
    assert host.replies[-1].status == 500
    assert module.www_challenge(request(host), "", 4) == -1
    assert len(host.replies) == 1


async def test_several_algorithms_are_several_challenges_the_best_first(host):
    """RFC 8760 §2.3."""
    reply = challenged(host, await host.load("auth", algorithm="SHA-256,MD5"))
    assert [value.rpartition("=")[2] for value in reply.headers("WWW-Authenticate")] == ["SHA-256", "MD5"]


@pytest.mark.parametrize("params", [{"algorithm": "ROT13"}, {"qop": "auth-maybe"}])
async def test_wrong_parameters_stop_the_start(host, params):
    with pytest.raises(ConfigError):
        await host.load("auth", **params)


# ----- credentials


async def test_the_right_password_is_accepted(host):
    module = await host.load("auth")
    nonce = nonce_of(challenged(host, module))
    assert check(host, module, authorization(nonce)) == 1
    assert check(host, module, authorization(nonce, qop="")) == 1
    assert check(host, module, authorization(nonce, qop="auth-int")) == 1
    assert check(host, module, authorization(nonce, algorithm="MD5")) == 1
    assert check(host, module, authorization(nonce, algorithm="MD5-sess")) == 1
    assert check(host, module, authorization(nonce), flags=1, password=ha1("alice", "kamtool", "secret")) == 1


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-512-256", "SHA-256-sess", "SHA-512-256-sess"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
async def test_each_algorithm_of_rfc_8760_proves_the_password_and_with_auth_int_the_body(
    host, algorithm, qop
):
    module = await host.load("auth", algorithm=algorithm.removesuffix("-sess"))
    about = {"method": "MESSAGE", "body": "hello"}
    reply = challenged(host, module, 3)
    assert f"algorithm={algorithm.removesuffix('-sess')}" in reply.header("WWW-Authenticate")
    proof = {"method": "MESSAGE", "algorithm": algorithm, "qop": qop}
    good = authorization(nonce_of(reply), body=b"hello", **proof)
    assert check(host, module, good, **about) == 1
    assert check(host, module, good, method="MESSAGE", body="hallo") == (-2 if qop == "auth-int" else 1)
    assert check(host, module, good.replace('response="', 'response="0'), **about) == -2
    wrong = authorization(nonce_of(reply), body=b"hello", password="wrong", **proof)
    assert check(host, module, wrong, **about) == -2


async def test_sha_256_is_accepted_where_it_is_offered(host):
    module = await host.load("auth", algorithm="SHA-256")
    nonce = nonce_of(challenged(host, module))
    assert check(host, module, authorization(nonce, algorithm="SHA-256")) == 1
    assert check(host, module, authorization(nonce, algorithm="SHA-256", password="x")) == -2
    assert check(host, module, authorization(nonce)) == -1  # MD5 was not offered


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"password": "wrong"}, -2),
        ({"method": "INVITE"}, -2),  # a response to another method
        ({"realm": "other"}, -5),
        ({"extra": ", algorithm=SHA-256"}, -1),
        ({"extra": ", algorithm=ROT13"}, -1),
    ],
)
async def test_other_credentials_are_refused(host, about, code):
    module = await host.load("auth")
    assert check(host, module, authorization(nonce_of(challenged(host, module)), **about)) == code


@pytest.mark.parametrize(
    "value",
    [
        'Digest username="alice", realm="kamtool"',
        "Digest",
        'Digest username="alice"; realm="kamtool"',
        'Digest username="alice", username="bob", realm="kamtool", nonce="x", uri="y", response="z"',
        'Digest username="alice", realm="kamtool", nonce="x", uri="y", response="z", qop=auth',
        'Digest username="alice, realm=',
    ],
)
async def test_malformed_credentials_are_an_error(host, value):
    module = await host.load("auth")
    assert check(host, module, value) == -1
    with pytest.raises(ParseError):
        parse_credentials(value)


async def test_no_credentials_are_told_apart(host):
    module = await host.load("auth")
    assert module.pv_www_authenticate(request(host), "kamtool", "secret", 0) == -5
    assert check(host, module, "Basic YWxpY2U6c2VjcmV0") == -5
    assert module.pv_proxy_authenticate(request(host), "kamtool", "secret", 0) == -5


async def test_ack_cancel_and_prack_pass(host):
    """§22.1: nobody can challenge them."""
    module = await host.load("auth")
    for method in ("ACK", "CANCEL", "PRACK"):
        assert module.pv_proxy_authenticate(request(host, method=method), "kamtool", "secret", 0) == 1
        assert module.consume_credentials(request(host, method=method)) == 1


async def test_a_quoted_user_name_is_unescaped():
    credentials = parse_credentials(authorization("n").replace('"alice"', r'"al\"ice"'))
    assert credentials.username == 'al"ice'


async def test_a_forged_nonce_is_an_error(host):
    module = await host.load("auth")
    nonce = nonce_of(challenged(host, module))
    for forged in (nonce[:-3] + "abc", "zzz", nonce.lower(), "é" * 28, "x" * 5000):
        assert check(host, module, authorization(forged)) == -1


async def test_an_expired_nonce_is_stale_and_the_phone_is_told_if_it_knew_the_password(host):
    """RFC 7616 §3.3. Kamailio 5.6.3 leaves stale to the script."""
    module = await host.load("auth", secret="0123456789abcdef0123456789abcdef")
    old = module.nonces.make(int(time.time()) - 301)
    module.nonces._started = 0
    ctx = request(host, f"Authorization: {authorization(old)}")
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 0) == -4
    module.www_challenge(ctx, "kamtool", 1)
    assert "stale=true" in host.replies[-1].header("WWW-Authenticate")
    ctx = request(host, f"Authorization: {authorization(old, password='wrong')}")
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 0) == -4
    module.www_challenge(ctx, "kamtool", 1)
    assert "stale" not in host.replies[-1].header("WWW-Authenticate")


def test_a_nonce_is_good_for_its_time_and_no_longer():
    nonces = Nonces(b"k", expire=300, drift=3, started=1000)
    nonce = nonces.make(2000)
    assert len(nonce) == 28
    assert nonces.check(nonce, 2000).validity is Validity.GOOD
    assert nonces.check(nonce, 2300).validity is Validity.GOOD
    assert nonces.check(nonce, 2301).validity is Validity.STALE
    assert nonces.check(nonce, 1997).validity is Validity.GOOD
    assert nonces.check(nonce, 1996).validity is Validity.STALE


def test_a_nonce_from_before_the_start_is_stale():
    nonce = Nonces(b"k", expire=300, drift=3, started=0).make(1000)
    assert Nonces(b"k", expire=300, drift=3, started=1010).check(nonce, 1011).validity is Validity.STALE
    assert Nonces(b"other", expire=300, drift=3, started=0).check(nonce, 1001).validity is Validity.FORGED


def test_no_two_nonces_are_the_same():
    nonces = Nonces(b"k", expire=300, drift=3, started=0)
    assert len({nonces.make(1) for _ in range(1000)}) == 1000


async def test_a_nonce_is_bound_to_what_auth_checks_name(host):
    module = await host.load("auth", auth_checks_register=8, auth_checks_no_dlg=2)
    nonce = nonce_of(challenged(host, module))
    assert check(host, module, authorization(nonce)) == 1
    ctx = request(host, f"Authorization: {authorization(nonce)}")
    ctx.flow = type(ctx.flow)("udp", ctx.flow.local, ctx.flow.local)
    other = type(ctx.flow.remote)("127.0.0.9", 1)
    ctx.flow = type(ctx.flow)("udp", ctx.flow.local, other)
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 0) == -1


# ----- replays


async def test_nonce_count_refuses_a_repeated_nc(host):
    module = await host.load("auth", nonce_count=1)
    nonce = nonce_of(challenged(host, module))
    assert check(host, module, authorization(nonce, nc=1)) == 1
    assert check(host, module, authorization(nonce, nc=1)) == -6
    assert check(host, module, authorization(nonce, nc=3)) == 1
    assert check(host, module, authorization(nonce, nc=2)) == -6
    assert check(host, module, authorization(nonce, nc=4, password="wrong")) == -2
    assert check(host, module, authorization(nonce, nc=4)) == 1


async def test_one_time_nonce_refuses_any_reuse(host):
    module = await host.load("auth", one_time_nonce=1)
    nonce = nonce_of(challenged(host, module))
    assert check(host, module, authorization(nonce, nc=1)) == 1
    assert check(host, module, authorization(nonce, nc=2)) == -6
    assert check(host, module, authorization(nonce, qop="")) == -6


def test_the_memory_of_used_nonces_is_bounded():
    uses = Uses(3)
    for number in range(10):
        assert uses.use(1, number, 1)
    assert len(uses._last) == 3
    assert not uses.use(1, 2, 5)  # forgotten, so refused
    assert uses.use(1, 9, 2)


# ----- who it was, and what is passed on


async def test_pv_auth_check_compares_from_and_to(host):
    module = await host.load("auth")
    header = f"Authorization: {authorization(nonce_of(challenged(host, module)))}"
    assert module.pv_auth_check(request(host, header), "kamtool", "secret", 0, 1) == 1
    assert module.pv_auth_check(request(host, header, user="bob"), "kamtool", "secret", 0, 1) == -8
    assert module.pv_auth_check(request(host, header, to="bob"), "kamtool", "secret", 0, 1) == -8
    assert module.pv_auth_check(request(host, header, user="bob"), "kamtool", "secret", 0, 0) == 1
    header = "Proxy-" + header
    ctx = request(host, header.replace("REGISTER", "INVITE"), method="INVITE", user="bob")
    assert module.pv_auth_check(ctx, "kamtool", "x", 0, 1) == -2


async def test_consume_credentials_takes_off_what_was_checked_and_nothing_else(host):
    module = await host.load("auth")
    nonce = nonce_of(challenged(host, module))
    mine, others = authorization(nonce), authorization(nonce, realm="next-hop")
    ctx = request(host, f"Authorization: {others}", f"Authorization: {mine}")
    assert module.consume_credentials(ctx) == -1
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 0) == 1
    assert module.consume_credentials(ctx) == 1
    left = splice(ctx.msg.data, ctx.edits)
    assert others.encode() in left
    assert mine.encode() not in left


async def test_has_credentials_looks_at_the_realm_alone(host):
    module = await host.load("auth")
    ctx = request(host, f"Proxy-Authorization: {authorization('n', password='wrong')}")
    assert module.has_credentials(ctx, "kamtool") is True
    assert module.has_credentials(ctx, "other") is False


async def test_a_realm_prefix_is_taken_off(host):
    module = await host.load("auth", realm_prefix="sip.")
    assert module.www_challenge(request(host), "sip.example.com", 0) == 1
    assert 'realm="example.com"' in host.replies[-1].header("WWW-Authenticate")
    nonce = nonce_of(host.replies[-1])
    assert check(host, module, authorization(nonce, realm="example.com"), realm="sip.example.com") == 1


async def test_a_challenge_may_go_into_an_avp(host):
    module = await host.load("auth")
    ctx = request(host)
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 4) == -5
    text = ctx.scratch["$avp(digest_challenge)"]
    assert text.startswith('WWW-Authenticate: Digest realm="kamtool", nonce="')
    assert text.endswith('qop="auth"\r\n')


async def test_authentication_info_proves_that_the_server_knows_the_secret_too(host):
    from tests.support.digest import ALGORITHMS

    module = await host.load("auth", add_authinfo_hdr=1)
    nonce = nonce_of(challenged(host, module))
    ctx = request(host, f"Authorization: {authorization(nonce)}")
    assert module.pv_www_authenticate(ctx, "kamtool", "secret", 0) == 1
    md5 = ALGORITHMS["MD5"]
    a1, a2 = (md5(text.encode()).hexdigest() for text in ("alice:kamtool:secret", ":sip:example.com"))
    proof = md5(f"{a1}:{nonce}:00000001:cn:auth:{a2}".encode()).hexdigest()
    assert f'rspauth="{proof}"' in ctx.reply_headers[0]


async def test_protect_contacts_binds_a_nonce_to_the_contacts(host):
    module = await host.load("auth", protect_contacts=1)
    ctx = request(host, "Contact: <sip:a@h>")
    module.www_challenge(ctx, "kamtool", 1)
    header = f"Authorization: {authorization(nonce_of(host.replies[-1]))}"
    right = request(host, header, "Contact: <sip:a@h>")
    moved = request(host, header, "Contact: <sip:mallory@h>")
    assert module.pv_www_authenticate(right, "kamtool", "secret", 0) == 1
    assert module.pv_www_authenticate(moved, "kamtool", "secret", 0) == -1
