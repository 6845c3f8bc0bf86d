"""msilo: a message waits for its user, once. `tests/interop/test_msilo.py` has what Kamailio 5.6.3 does."""

import sqlite3
import time

import pytest

from kamtool.errors import ConfigError, ParseError
from kamtool.modules.msilo.message import Stored, account_of, body_of, read_time
from kamtool.modules.msilo.support import takes_messages
from kamtool.sip.message import parse
from tests.support.server import MODULES, port_of
from tests.support.until import until

CFG = """
loadmodule "db_sqlite.so"
loadmodule "msilo.so"
modparam("msilo", "db_url", "{url}")
modparam("msilo", "snd_time_avp", "$avp(at)")
modparam("msilo", "outbound_proxy", "sip:127.0.0.1:{port}")
{params}
request_route {{
  if (is_method("REGISTER")) {{ $var(rc) = m_dump(); sl_send_reply("200", "$var(rc)"); exit; }}
  if ($hdr(X-At) != $null) $avp(at) = $hdr(X-At);
  if ($hdr(X-Skip) != $null) setflag(5);
  if ($hdr(X-Owner) != $null) $var(rc) = m_store("$hdr(X-Owner)");
  else $var(rc) = m_store();
  sl_send_reply("202", "$var(rc)");
}}
"""
TEXT = "Content-Type: text/plain\r\n"


class Shop:
    """A server with msilo, the sender and the phone of `you`."""

    def __init__(self, server, rows, sender, phone):
        self.server, self.rows, self.sender, self.phone, self.count = server, rows, sender, phone, 0
        self.port = port_of(server)

    async def ask(self, who, method, uri, **options):
        self.count += 1
        who.send(
            who.request(method, uri, branch=str(self.count), call_id=f"c{self.count}", **options), self.port
        )
        return (await who.expect("20")).reason

    async def store(self, body="hello", headers=TEXT, uri="sip:you@example.com"):
        """The code of m_store."""
        return await self.ask(self.sender, "MESSAGE", uri, headers=headers, body=body)

    async def register(self, headers="Contact: <sip:you@127.0.0.1>\r\n"):
        """The code of m_dump."""
        return await self.ask(self.phone, "REGISTER", "sip:example.com", headers=headers)

    async def take(self, status=200):
        message = await self.phone.expect("MESSAGE")
        self.phone.send(self.phone.answer(message, status), self.port)
        return message

    def kept(self, columns="body"):
        return self.rows.run(f"SELECT {columns} FROM silo ORDER BY id")

    def counted(self, name):
        return self.server.stats[f"msilo:{name}"]


@pytest.fixture
def shop(kamtool, peer, rows):
    async def make(params="", phone=None):
        sender, phone = await peer(), await peer()
        text = CFG.format(url=rows.url, port=phone.port, params=params)
        return Shop(await kamtool(MODULES + text), rows, sender, phone)

    return make


async def test_a_message_is_committed_before_its_answer_and_delivered_once_at_registration(shop):
    here = await shop()
    before = int(time.time())
    assert await here.store("hello", TEXT + "X-Mood: good\r\n") == "1"
    columns = "src_addr, dst_addr, username, domain, snd_time, ctype, body, extra_hdrs, callid, status"
    assert here.kept(columns) == [
        ("sip:peer@example.com", "sip:you@example.com", "you", "example.com", 0, "text/plain", b"hello",
         b"X-Mood: good\r\n", "", 0)
    ]  # fmt: skip
    received, expires = here.kept("inc_time, exp_time")[0]
    assert received >= before
    assert expires == received + 259200
    assert await here.register() == "1"
    message = await here.take()
    assert message.uri == message.to.uri == "sip:you@example.com"
    assert message.from_.uri == "sip:peer@example.com"
    assert message.header("Date").endswith("GMT")
    assert message.header("X-Mood") == "good"
    assert message.header("Contact") is None
    assert message.body.startswith(b"[Offline message - ")
    assert message.body.endswith(b"] hello")
    await until(lambda: not here.kept())
    assert here.counted("stored_messages") == here.counted("dumped_messages") == 1
    assert await here.register() == "1"
    await here.phone.silence()


async def test_messages_go_out_one_after_the_other_in_their_order(shop):
    """RFC 3428 8: no second MESSAGE while one is pending."""
    here = await shop('modparam("msilo", "add_date", 0)')
    for body in ("one", "two", "three"):
        await here.store(body)
    await here.register()
    first = await here.phone.expect("MESSAGE")
    await here.phone.silence(0.2)
    here.phone.send(here.phone.answer(first, 200), here.port)
    assert [first.body, (await here.take()).body, (await here.take()).body] == [b"one", b"two", b"three"]
    await until(lambda: not here.kept())


async def test_what_is_refused_waits_and_is_sent_at_the_next_registration(shop):
    here = await shop()
    await here.store("first")
    await here.store("second")
    await here.register()
    await here.take(480)
    await until(lambda: here.counted("failed_messages") == 1)
    await until(lambda: here.kept("status") == [(0,), (0,)])
    await here.phone.silence(0.2)  # a user who is away is not asked for the second
    await until(lambda: not here.server.modules["msilo"].delivery.busy)
    await here.register()
    await here.take(415)  # only this message is unwelcome
    assert (await here.take()).body.endswith(b"second")
    await until(lambda: len(here.kept()) == 1)


async def test_two_registrations_at_once_do_not_double_a_message(shop):
    here = await shop()
    await here.store()
    await here.register()
    message = await here.phone.expect("MESSAGE")
    assert await here.register() == "1"
    await here.phone.silence(0.2)
    here.phone.send(here.phone.answer(message, 200), here.port)
    await until(lambda: not here.kept())


async def test_a_claim_of_a_server_that_was_killed_is_undone_at_the_next_start(shop, rows):
    rows.add("silo", username="you", domain="example.com", src_addr="sip:a@b.c", dst_addr="sip:you@b.c",
             body=b"left", exp_time=2**31, status=1)  # fmt: skip
    here = await shop('modparam("msilo", "add_date", 0)')
    await here.register()
    assert (await here.take()).body == b"left"


@pytest.mark.parametrize(
    ("headers", "body", "uri"),
    [
        (TEXT, "", "sip:you@example.com"),
        ("", "no type", "sip:you@example.com"),
        ("Content-Type: text\r\n", "no type", "sip:you@example.com"),
        (TEXT, "no user", "sip:example.com"),
        (TEXT + "X-Owner: nobody\r\n", "bad owner", "sip:you@example.com"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_leaves_no_row(shop, headers, body, uri):
    here = await shop()
    assert await here.store(body, headers, uri) == "-1"
    assert here.kept() == []


async def test_more_than_max_messages_are_refused_for_each_user(shop):
    here = await shop('modparam("msilo", "max_messages", 2)')
    assert [await here.store() for _ in range(3)] == ["1", "1", "-1"]
    assert await here.store("x", TEXT + "X-Owner: sip:other@example.com\r\n") == "1"


async def test_the_owner_is_found_whatever_the_case_of_the_domain(shop):
    here = await shop()
    assert await here.store("x", TEXT + "X-Owner: sip:you@EXAMPLE.com:5080\r\n") == "1"
    await here.register()
    await here.take()


async def test_expires_may_shorten_but_not_prolong(shop):
    here = await shop('modparam("msilo", "expire_time", 100)')
    for wish in ("10", "0", "999999"):
        await here.store("x", f"{TEXT}Expires: {wish}\r\n")
    assert [expires - received for received, expires in here.kept("inc_time, exp_time")] == [10, 100, 100]


async def test_what_has_expired_is_neither_sent_nor_kept(shop, rows):
    rows.add("silo", username="you", domain="example.com", src_addr="sip:a@b.c", dst_addr="sip:you@b.c",
             body=b"old", exp_time=5)  # fmt: skip
    here = await shop()
    await here.register()
    await here.phone.silence()
    await here.server.modules["msilo"].silo.expire()
    assert here.kept() == []


async def test_a_reminder_is_sent_at_its_time_and_not_at_registration(shop):
    here = await shop(
        'modparam("msilo", "reminder", "sip:clock@example.com")\nmodparam("msilo", "send_time", 1)'
    )
    later = time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + 86400))
    await here.store("tomorrow", f"{TEXT}X-At: {later}\r\n")
    await here.store("long ago", TEXT + "X-At: 20200101101500\r\n")
    message = await here.take(486)
    assert message.uri == "sip:you@example.com"
    assert message.from_.uri == "sip:clock@example.com"
    assert message.body == b"[Reminder message - Wed Jan  1 10:15:00 2020] long ago"
    await until(lambda: here.counted("failed_reminders") == 1)
    await until(lambda: ("status", 0, 0) in here.kept("'status', status, snd_time"))
    await here.register()  # refused, it has become a message
    assert (await here.take()).body.endswith(b"long ago")
    await until(lambda: len(here.kept()) == 1)


async def test_a_sender_is_told_unless_the_flag_is_set(shop):
    here = await shop(
        'modparam("msilo", "from_address", "sip:desk@example.com")\n'
        'modparam("msilo", "offline_message", "$rU is away")\n'
        'modparam("msilo", "content_type_hdr", "Content-Type: text/plain\\r\\n")\n'
        'modparam("msilo", "contact_hdr", "Contact: <sip:desk@example.com>;msilo=yes\\r\\n")\n'
        'modparam("msilo", "skip_notification_flag", 5)\n'
    )
    await here.store("x", TEXT + "Contact: <sip:peer@192.0.2.7:5062>\r\n")
    told = await here.take()
    assert (told.uri, told.to.uri, told.from_.uri, told.body) == (
        "sip:peer@192.0.2.7:5062", "sip:peer@example.com", "sip:desk@example.com", b"you is away",
    )  # fmt: skip
    assert told.header("Contact").endswith(";msilo=yes")
    await here.store("x", TEXT + "X-Skip: 1\r\n")
    await here.phone.silence()


async def test_a_row_with_a_line_break_is_not_sent(shop, rows):
    rows.add("silo", username="you", domain="example.com", src_addr="sip:a@b.c>\r\nX-Evil: 1",
             dst_addr="sip:you@b.c", body=b"x", exp_time=2**31)  # fmt: skip
    here = await shop()
    await here.register()
    await here.phone.silence()
    assert len(here.kept()) == 1


@pytest.mark.parametrize(
    ("headers", "takes"),
    [
        ("Contact: <sip:a@b>\r\n", True),
        ("Contact: <sip:a@b>\r\nAllow: INVITE, MESSAGE\r\n", True),
        ("Contact: <sip:a@b>\r\nAllow: INVITE\r\n", False),
        ('Contact: <sip:a@b>;methods="INVITE,MESSAGE"\r\n', True),
        ('Contact: <sip:a@b>;methods="INVITE"\r\nAllow: MESSAGE\r\n', False),
        ('Contact: <sip:a@b>;methods="INVITE", <sip:c@d>\r\n', True),
        ("Contact: <sip:a@b>\r\nExpires: 0\r\n", False),
        ("Contact: <sip:a@b>;expires=60\r\nExpires: 0\r\n", True),
        ("Contact: <sip:a@b>;expires=0\r\n", False),
        ("Contact: *\r\nExpires: 0\r\n", False),
        ("", False),
    ],
)
def test_only_a_phone_that_stays_and_takes_messages_gets_them(headers, takes):
    text = (
        "REGISTER sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
    )
    assert takes_messages(parse(text.encode())) is takes


def test_a_time_is_read_as_local_time():
    for text, form in (("20300102", "%Y%m%d"), ("203001021530", "%Y%m%d%H%M")):
        assert read_time(text) == time.mktime(time.strptime(text, form))
    for text in ("", "2030", "203013011200", "20300102153045999", "2030-01-02", "２０３００１０２"):
        with pytest.raises(ParseError):
            read_time(text)


@pytest.mark.parametrize(
    ("content_type", "prefixed"),
    [
        ("text/plain", True), ("text/plain;charset=UTF-8", True), ("Text/Plain; charset=\"utf-8\"", True),
        ("text/plain;charset=utf-16", False), ("text/html", False), ("message/cpim", False),
    ],
)  # fmt: skip
def test_a_date_is_put_before_plain_text_only(content_type, prefixed):
    row = Stored("", "", "", "", 0, 0, 0, content_type, b"body", b"")
    assert (body_of(row, 1, "Offline") != b"body") is prefixed
    assert body_of(row, 0, "Offline") == b"body"


def test_a_tel_uri_has_an_account_without_a_domain():
    assert account_of("tel:+49301") == ("+49301", "")
    assert account_of("sip:j%40b@example.com") == ("j@b", "example.com")


async def test_an_offline_message_needs_a_content_type(kamtool, rows):
    params = 'modparam("msilo", "offline_message", "away")'
    with pytest.raises(ConfigError, match="Content-Type"):
        await kamtool(MODULES + CFG.format(url=rows.url, port=9, params=params))


def test_the_version_of_the_table_is_kamailios(rows):
    with sqlite3.connect(rows.path) as file:
        found = file.execute("SELECT table_version FROM version WHERE table_name = 'silo'").fetchall()
    assert found == [(8,)]
