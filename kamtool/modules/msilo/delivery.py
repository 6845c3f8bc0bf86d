"""MESSAGEs that leave from here: what waited, reminders, and word to senders."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol, cast

from kamtool.errors import ParseError, StoreError, TransportError
from kamtool.module import Host
from kamtool.modules.msilo.message import Stored, body_of, headers_of
from kamtool.modules.msilo.table import Silo
from kamtool.server.uac import Headers

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.msilo")

NOT_SENT = 477
ABSENT = frozenset({408, NOT_SENT, 480, 404, 410, 503})
"""Answers after which the same user is not asked to take another message."""


class Settings(Protocol):
    """The parameters that say how to send."""

    @property
    def outbound_proxy(self) -> str: ...
    @property
    def reminder(self) -> str: ...
    @property
    def add_date(self) -> int: ...
    @property
    def add_contact(self) -> int: ...


class Delivery:
    """Sends what waits in the table, to each user one message after the other."""

    def __init__(self, server: Host, silo: Silo, settings: Settings) -> None:
        self.server, self.silo, self.settings = server, silo, settings
        self.busy: set[tuple[str, str]] = set()
        """Users who are being sent something."""
        self.claimed: set[int] = set()
        self._reminding = False

    def dump(self, user: str, domain: str, extra: Headers) -> None:
        """Begin to send what waits for a user, unless that is under way."""
        account = (user, domain.lower())
        if account not in self.busy:
            self.busy.add(account)
            self.server.spawn(self._dump(account, extra), f"msilo: messages of {user}@{domain}")

    async def _dump(self, account: tuple[str, str], extra: Headers) -> None:
        try:
            for number in await self.silo.waiting(*account, int(time.time())):
                status = await self._deliver(number, extra)
                if status in ABSENT:
                    return
        except StoreError as error:
            log.error("m_dump: %s", error)
        finally:
            self.busy.discard(account)

    async def _deliver(self, number: int, extra: Headers) -> int:
        """Send one message, remove it when it is accepted; the status of the answer, 0 when it was taken."""
        message = await self._claim(number)
        if message is None:
            return 0
        headers = headers_of(message, extra, contact=bool(self.settings.add_contact))
        body = body_of(message, message.received_epoch if self.settings.add_date else 0, "Offline")
        status = await self._send(message.destination, headers, body)
        if 200 <= status < 300:
            self._count("dumped_messages")
            self.silo.done(number)
        else:
            log.info("message %d for %s@%s: %d", number, message.user, message.domain, status)
            self._count("failed_messages")
            self.silo.release(number)
        self.claimed.discard(number)
        return status

    async def remind(self) -> None:
        """Send the reminders whose time has come; one that is not accepted becomes a message that waits."""
        if self._reminding:
            return
        self._reminding = True
        try:
            for number in await self.silo.due(int(time.time())):
                self.server.spawn(self._remind(number), f"msilo: reminder {number}")
        except StoreError as error:
            log.error("reminders: %s", error)
        finally:
            self._reminding = False

    async def _remind(self, number: int) -> None:
        message = await self._claim(number)
        if message is None:
            return
        uri = f"sip:{message.user}@{message.domain}" if message.domain else message.destination
        headers = [
            ("From", f"<{self.settings.reminder}>"),
            ("To", f"<{uri}>"),
            ("Content-Type", message.content_type or "text/plain"),
        ]
        if self.settings.add_contact:
            headers.append(("Contact", f"<{self.settings.reminder}>;msilo=yes"))
        epoch = message.send_epoch if self.settings.add_date else 0
        status = await self._send(uri, headers, body_of(message, epoch, "Reminder"))
        if 200 <= status < 300:
            self._count("dumped_reminders")
            self.silo.done(number)
        else:
            self._count("failed_reminders")
            self.silo.release_as_message(number)
        self.claimed.discard(number)

    async def tell(self, target: str, to: str, sender: str, headers: Headers, body: str) -> None:
        """Tell a sender that the message waits."""
        await self._send(
            target,
            [("From", f"<{sender}>"), ("To", f"<{to}>"), *headers],
            body.encode("utf-8", "surrogateescape"),
        )

    def stop(self) -> None:
        """What was claimed and not answered yet waits again."""
        for number in self.claimed:
            self.silo.release(number)
        self.claimed.clear()

    async def _claim(self, number: int) -> Stored | None:
        message = await self.silo.claim(number)
        if message is not None:
            self.claimed.add(number)
        return message

    async def _send(self, uri: str, headers: Headers, body: bytes) -> int:
        """Send a MESSAGE and wait for its final answer's status; NOT_SENT when it cannot even be sent."""
        if any("\r" in text or "\n" in text for text in (uri, *(value for _, value in headers))):
            log.error("a MESSAGE to %r is not sent: a line break in its headers", uri)
            return NOT_SENT
        uac = cast("Server", self.server).uac
        try:
            status, _ = await uac.request("MESSAGE", uri, headers, body, self.settings.outbound_proxy)
        except (ParseError, TransportError) as error:
            log.error("MESSAGE to %s: %s", uri, error)
            return NOT_SENT
        return status

    def _count(self, name: str) -> None:
        self.server.count(f"msilo:{name}")
