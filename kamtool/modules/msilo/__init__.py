"""msilo: messages for users who are not there, kept until they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ParseError, StoreError
from kamtool.module import FAILURE_ROUTE, REQUEST_ROUTE, Host, Module, Param, Variable, function
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.msilo.delivery import Delivery
from kamtool.modules.msilo.message import account_of, stored
from kamtool.modules.msilo.support import takes_messages
from kamtool.modules.msilo.table import Silo
from kamtool.script.context import Context
from kamtool.server.uac import header_lines
from kamtool.sip.message import Request
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.script.program import Script

log = logging.getLogger("kamtool.modules.msilo")

VERSION = 8
STATISTICS = (
    "stored_messages", "dumped_messages", "failed_messages", "dumped_reminders", "failed_reminders",
)  # fmt: skip


class Msilo(Module):
    """Keep MESSAGEs for users who are offline, and send them when they register; send reminders.

    A message is committed before `m_store` returns, and removed once its receiver has accepted it. What is
    sent to one user goes out one after the other, as RFC 3428 §8 asks.
    """

    depends = ("tm",)
    tables = ("silo",)

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    db_table = Param("silo", "the table of messages")
    from_address = Param("", "the From URI of what senders are told, a format; empty: they are told nothing")
    contact_hdr = Param("", "the Contact line of what senders are told, a format")
    extra_hdrs = Param("", "further header lines, each with its line end, of what m_dump sends, a format")
    content_type_hdr = Param("", "the Content-Type line of `offline_message`, a format")
    offline_message = Param("", "the body of what senders are told, a format; empty: they are told nothing")
    reminder = Param("", "the From URI of reminders; empty: there are none")
    outbound_proxy = Param("", "the URI of the next hop for all that is sent from here")
    expire_time = Param(259200, "seconds that a message is kept at most; its Expires may ask for fewer")
    check_time = Param(60, "seconds; those whose time is over are removed every `clean_period` of them")
    send_time = Param(0, "seconds between looks for reminders that are due; 0: there are none")
    clean_period = Param(10, "how many `check_time` lie between two removals of what has expired")
    use_contact = Param(1, "1: senders are told at their Contact, if they gave one; 0: at their From URI")
    sc_mid = Param("id", "the column with the number of the row")
    sc_from = Param("src_addr", "the column with the URI of From")
    sc_to = Param("dst_addr", "the column with the URI of To")
    sc_uri_user = Param("username", "the column with the owner's user name")
    sc_uri_host = Param("domain", "the column with the owner's domain")
    sc_body = Param("body", "the column with the body")
    sc_ctype = Param("ctype", "the column with the Content-Type")
    sc_exp_time = Param("exp_time", "the column with the time of expiry")
    sc_inc_time = Param("inc_time", "the column with the time of arrival")
    sc_snd_time = Param("snd_time", "the column with the time of a reminder, 0 for a message")
    sc_stored_hdrs = Param("extra_hdrs", "the column with the header lines that are sent again")
    snd_time_avp = Param("", "an AVP that makes a message a reminder: `YYYYMMDD[HH[MM[SS]]]`, in local time")
    extra_hdrs_avp = Param(
        "", "an AVP with header lines to keep; without a value, those of the message that SIP does not know"
    )
    add_date = Param(1, "1: a plain text begins with the date at which it arrived")
    max_messages = Param(0, "messages kept for one user at most; 0: any number")
    add_contact = Param(0, "1: what is sent has the sender's URI as Contact, which RFC 3428 §4 forbids")
    skip_notification_flag = Param(-1, "a message with this flag is kept without telling its sender")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.silo: Silo
        self.delivery: Delivery
        self._formats: dict[str, Callable[[Any], str]] = {}
        self._send_at: Variable | None = None
        self._extra: Variable | None = None

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What cannot work."""
        if self.offline_message and not self.content_type_hdr:
            yield ConfigError(
                "msilo: offline_message needs a Content-Type", code="KT1201",
                hint='modparam("msilo", "content_type_hdr", "Content-Type: text/plain\\r\\n")',
            )  # fmt: skip
        for name in ("check_time", "clean_period", "expire_time"):
            if getattr(self, name) <= 0:
                yield ConfigError(f"msilo: {name} must be positive", code="KT1201")

    async def start(self) -> None:
        """Open the database. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]
            raise error
        database = await open_database(self.server, self.db_url, "msilo")
        await require_version(database, self.db_table, VERSION)
        self.silo = Silo(database, self)
        self.delivery = Delivery(self.server, self.silo, self)
        for name in ("from_address", "contact_hdr", "extra_hdrs", "content_type_hdr", "offline_message"):
            if text := getattr(self, name):
                self._formats[name] = self.server.format(text)
        self._send_at = self.server.variable(self.snd_time_avp) if self.snd_time_avp else None
        self._extra = self.server.variable(self.extra_hdrs_avp) if self.extra_hdrs_avp else None
        for name in STATISTICS:
            self.server.stats.setdefault(f"msilo:{name}", 0)
        if self.worker == 0:
            await self.silo.release_all()
        self.every(self.check_time * self.clean_period, self.silo.expire, alone=True)
        if self.send_time and not self.reminder:
            log.warning("send_time is set and reminder is not: no reminders are sent")
        elif self.send_time:
            self.every(self.send_time, self.delivery.remind, alone=True)

    def _text(self, name: str, ctx: Context) -> str:
        return self._formats[name](ctx) if name in self._formats else ""

    # Functions

    @function("m_store", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def m_store(self, ctx: Context, owner: str = "") -> bool:
        """Keep this MESSAGE for `owner`, a URI, else for the R-URI's user; false when it cannot be kept."""
        try:
            message = stored(
                ctx, owner, self.expire_time,
                None if self._send_at is None else self._send_at.get(ctx),
                None if self._extra is None else self._extra.get(ctx),
            )  # fmt: skip
            kept = await self.silo.add(message, self.max_messages)
        except (ParseError, StoreError) as error:
            log.error("m_store: %s", error)
            return False
        if not kept:
            log.error("m_store: %s@%s has %d messages", message.user, message.domain, self.max_messages)
            return False
        self.server.count("msilo:stored_messages")
        self._tell_sender(ctx)
        return True

    def _tell_sender(self, ctx: Context) -> None:
        skipped = self.skip_notification_flag >= 0 and ctx.flags & 1 << self.skip_notification_flag
        sender, body = self._text("from_address", ctx), self._text("offline_message", ctx)
        if skipped or not sender or not body:
            return
        headers = header_lines(self._text("content_type_hdr", ctx) + self._text("contact_hdr", ctx))
        target = uri = ctx.msg.from_.uri
        if self.use_contact:
            try:
                contacts = ctx.msg.contacts
                target = contacts[0].uri if isinstance(contacts, list) and contacts else uri
            except ParseError as error:
                log.info("m_store: the sender is told at From: %s", error)
        self.server.spawn(self.delivery.tell(target, uri, sender, headers, body), f"msilo: tell {uri}")

    @function("m_dump", routes=REQUEST_ROUTE)
    def m_dump(self, ctx: Context, owner: str = "") -> bool:
        """Send what is kept for `owner`, a URI, else for To's user; the script goes on at once.

        False for a REGISTER that removes its contacts, or whose phone takes no MESSAGE.
        """
        try:
            user, domain = account_of(owner or ctx.msg.to.uri)
            if isinstance(ctx.msg, Request) and ctx.msg.method == "REGISTER" and not takes_messages(ctx.msg):
                return False
            if not self.silo.has_any(user, domain, int(time.time())):
                return True
        except (ParseError, StoreError) as error:
            log.error("m_dump: %s", error)
            return False
        extra = header_lines(self._text("extra_hdrs", ctx))
        self.delivery.dump(user, domain, extra)
        return True

    async def stop(self) -> None:
        """Give what is under way back to those who come later."""
        self.delivery.stop()
