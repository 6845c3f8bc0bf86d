"""siputils: URIs, numbers, Contacts, OPTIONS (answers of Kamailio 5.6.3 unless said otherwise)."""

import pytest

from tests.support.messages import BARE_OPTIONS, OK_200, PLAIN_INVITE
from tests.support.runtime import Runtime, changed_lines

REQUEST = (
    PLAIN_INVITE.replace("sip:alice@example.com SIP", "sip:+123456@example.com:5070;foo=bar;lr SIP")
    .replace("Subject", "Supported: path, 100rel, timer\r\nSubject")
    .replace("To: <sip:alice@example.com>", "To: <sip:alice@example.com>;tag=tt")
)
EDITS = [
    (
        [("add_uri_param", "a=b")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:alice@example.com;a=b SIP/2.0"],
    ),
    (
        [("tel2sip", "tel:+1-23(4);ext=1", "example.org", "$ru")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:+1234;ext=1@example.org;user=phone SIP/2.0"],
    ),
    (
        [("$ru", "tel:+1(2)34;isub=ab"), ("tel2sip", "$ru", "example.org", "$ru")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:+1234;isub=ab@example.org;user=phone SIP/2.0"],
    ),
    ([("uri_param_rm", "x")], [], []),
    (
        [("$ru", "sip:a@h;x=1;y=2"), ("uri_param_rm", "x")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:a@h;y=2 SIP/2.0"],
    ),
]


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "textops", "siputils")


@pytest.mark.parametrize(("steps", "removed", "added"), EDITS, ids=[repr(row[0]) for row in EDITS])
def test_what_leaves_the_server(runtime, steps, removed, added):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (removed, added)


CODES = [
    (("is_request",), 1),
    (("is_reply",), -1),
    (("has_totag",), 1),
    (("is_user", "bob"), -1),
    (("uri_param", "foo", "bar"), 1),
    (("uri_param", "foo"), -1),
    (("uri_param", "lr"), 1),
    (("uri_param", "nope"), -1),
    (("uri_param_any", "foo"), 1),
    (("uri_param_any", "nope"), -1),
    (("uri_param_value", "nope", "$var(o)"), -1),
    (("is_first_hop",), 1),
    (("is_e164", "$rU"), 1),
    (("is_e164", "$fU"), -1),
    (("is_e164", "+1234567890123456"), -1),
    (("is_uri_user_e164", "$ru"), 1),
    (("is_uri_user_e164", "$fu"), -1),
    (("cmp_uri", "sip:a@B.com", "sip:a@b.com"), 1),
    (("cmp_uri", "sip:A@b.com", "sip:a@b.com"), -1),
    (("cmp_uri", "sip:a@b.com", "sip:a@b.com:5060"), -1),
    (("cmp_uri", "sip:a@b.com;x=1", "sip:a@b.com"), 1),
    (("cmp_aor", "sip:a@b.com;x=1", "sip:a@b.com:5060"), 1),
    (("cmp_aor", "sip:a@b.com", "sip:a@c.com"), -1),
    (("cmp_aor", "sip:a@b.com:5070", "sip:a@b.com"), -1),
    (("cmp_uri", "garbage", "sip:a@b"), -1),
    (("cmp_hdr_name", "From", "f"), 1),
    (("cmp_hdr_name", "From", "t"), -1),
    (("is_supported", "path"), 1),
    (("is_supported", "gruu"), -1),
    (("is_gruu",), -1),
    (("is_gruu", "sip:a@b;gr"), 1),
    (("is_gruu", "sip:a@b;gr=x"), 2),
    (("is_tel_number", "+1234"), 1),
    (("is_tel_number", "12ab"), -1),
    (("is_numeric", "123"), 1),
    (("is_numeric", "12a"), -1),
    (("is_alphanum", "a1B"), 1),
    (("is_alphanum", "a-1"), -1),
    (("is_alphanumex", "a-1", "-"), 1),
    (("is_alphanumex", "a b", "-"), -1),
    (("is_uri", "sip:a@b"), 1),
    (("is_uri", "a@b"), -1),
    (("hdr_date_check", 100), -1),
    (("is_rpid_user_e164",), -1),
    (("append_rpid_hf",), -1),
    (("decode_contact",), -1),
    (("decode_contact_header",), -1),
    (("tel2sip", "sip:a@b", "h", "$var(o)"), 2),
    (("options_reply",), -1),
    (("uri_param_rm", "nope"), -1),
]


@pytest.mark.parametrize(("call", "code"), CODES, ids=[repr(row[0]) for row in CODES])
def test_the_return_code(runtime, call, code):
    assert runtime.call(runtime.message(REQUEST), *call) == code


def test_a_reply_is_a_reply(runtime):
    ctx = runtime.message(OK_200)
    assert (runtime.call(ctx, "is_reply"), runtime.call(ctx, "is_request")) == (1, -1)


@pytest.mark.parametrize(
    ("uri", "result"),
    [
        ("tel:+1-23(4);ext=1", "sip:+1234;ext=1@example.org;user=phone"),
        ("tel:123", "sip:123@example.org;user=phone"),
        ("TEL:+1.2;phone-context=B;ext=1", "sip:+12;ext=1;phone-context=b@example.org;user=phone"),
    ],
)
def test_tel2sip_follows_rfc_3261_19_1_6(runtime, uri, result):
    ctx = runtime.message(REQUEST)
    assert runtime.call(ctx, "tel2sip", uri, "example.org", "$var(o)") == 1
    assert runtime.get(ctx, "$var(o)") == result


def test_parts_of_a_uri_in_a_variable_are_set(runtime):
    ctx = runtime.message(REQUEST)
    runtime.set(ctx, "$var(u)", "sip:a:p@h:5;x=1")
    assert runtime.call(ctx, "set_uri_user", "$var(u)", "b") == 1
    assert runtime.call(ctx, "set_uri_host", "$var(u)", "k") == 1
    assert runtime.get(ctx, "$var(u)") == "sip:b:p@k:5;x=1"
    assert runtime.call(ctx, "set_uri_user", "$var(u)", "") == 1
    assert runtime.get(ctx, "$var(u)") == "sip:k:5;x=1"
    runtime.set(ctx, "$var(u)", "garbage")
    assert runtime.call(ctx, "set_uri_user", "$var(u)", "b") == -1


def test_uri_param_value_stores_it(runtime):
    ctx = runtime.message(REQUEST)
    assert runtime.call(ctx, "uri_param_value", "foo", "$var(o)") == 1
    assert runtime.get(ctx, "$var(o)") == "bar"


def test_a_contact_is_encoded_and_decoded(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "encode_contact", "enc_pfx", "1.2.3.4") == 1
    encoded = "sip:enc_pfx*bob**127.0.0.1*5999*@1.2.3.4"
    assert f"Contact: <{encoded}>" in runtime.sent(ctx).split("\r\n")
    ctx.new_uri = encoded
    assert runtime.call(ctx, "decode_contact") == 1
    assert ctx.new_uri == "sip:bob@127.0.0.1:5999"
    back = runtime.message(PLAIN_INVITE.replace("sip:bob@127.0.0.1:5999;ob", "sip:e*bob*pw*h*1*tcp@x"))
    assert runtime.call(back, "decode_contact_header") == 1
    assert "Contact: <sip:bob:pw@h:1;transport=tcp>" in runtime.sent(back).split("\r\n")


def test_a_contact_is_kept_whole_in_a_parameter(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "contact_param_encode", "org", "sip:pbx.example.com") == 1
    line = next(line for line in runtime.sent(ctx).split("\r\n") if line.startswith("Contact"))
    assert line.startswith("Contact: <sip:pbx.example.com;org=")
    ctx.new_uri = line[line.index("<") + 1 : -1]
    assert runtime.call(ctx, "contact_param_decode_ruri", "org") == 1
    assert ctx.new_uri == "sip:bob@127.0.0.1:5999;ob"
    assert runtime.call(ctx, "contact_param_decode", "org") == 1
    assert "Contact: <sip:bob@127.0.0.1:5999;ob>" in runtime.sent(ctx).split("\r\n")
    assert runtime.call(ctx, "contact_param_rm", "ob") == 1
    assert "Contact: <sip:bob@127.0.0.1:5999>" in runtime.sent(ctx).split("\r\n")


def test_every_contact_of_a_list_is_changed(runtime):
    two = "Contact: <sip:a@h;x>, <sip:b@k;x>"
    ctx = runtime.message(PLAIN_INVITE.replace("Contact: <sip:bob@127.0.0.1:5999;ob>", two))
    assert runtime.call(ctx, "contact_param_rm", "x") == 1
    assert "Contact: <sip:a@h>, <sip:b@k>" in runtime.sent(ctx).split("\r\n")


def test_options_to_the_server_itself_is_answered(runtime):
    ctx = runtime.message(BARE_OPTIONS)
    assert runtime.call(ctx, "options_reply") == 1
    reply = runtime.replies[-1]
    assert (reply.status, reply.header("Accept"), reply.header("Accept-Language")) == (200, "*/*", "en")
    assert reply.find("Accept-Encoding")
    assert reply.find("Supported")


async def test_the_identity_of_the_database_becomes_remote_party_id(runtime):
    module = runtime.modules["siputils"]
    await module.start()
    ctx = runtime.message(PLAIN_INVITE)
    runtime.set(ctx, "$avp(s:rpid)", "<sip:+12345@x>")
    assert runtime.call(ctx, "is_rpid_user_e164") == 1
    assert runtime.call(ctx, "append_rpid_hf") == 1
    assert runtime.call(ctx, "append_rpid_hf", "A:", ";z") == 1
    _, added = changed_lines(PLAIN_INVITE, runtime.sent(ctx))
    assert added == [
        "Remote-Party-ID: <sip:+12345@x>;party=calling;id-type=subscriber;screen=yes",
        "Remote-Party-ID: A:<sip:+12345@x>;z",
    ]


def test_the_age_of_a_date_is_checked(runtime):
    from email.utils import formatdate

    fresh = runtime.message(
        PLAIN_INVITE.replace("Subject: hello world hello", f"Date: {formatdate(usegmt=True)}")
    )
    old = runtime.message(
        PLAIN_INVITE.replace("Subject: hello world hello", "Date: Sat, 13 Nov 2010 23:29:00 GMT")
    )
    bad = runtime.message(PLAIN_INVITE.replace("Subject: hello world hello", "Date: soon"))
    assert [runtime.call(ctx, "hdr_date_check", 60) for ctx in (fresh, old, bad)] == [1, -3, -2]
