"""One account at another server, and the REGISTERs that keep it there (RFC 3261 §10.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from os import urandom
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ParseError, TransportError
from kamtool.modules.uac.credentials import Account, authorization, challenges_of, choose, header_of
from kamtool.sip.message import STAR, Response, parse_expires
from kamtool.store.select import text_of

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.sip.flow import Socket

log = logging.getLogger("kamtool.modules.uac")

DISABLED, ONGOING, ONLINE, AUTH_SENT, INITIALIZED = 1, 2, 4, 8, 16
"""The bits of `flags`, by Kamailio's numbers."""
MARGIN: Final = 3
COLUMNS: Final = (
    "l_uuid", "l_username", "l_domain", "r_username", "r_domain", "realm", "auth_username", "auth_password",
    "auth_ha1", "auth_proxy", "expires", "flags", "reg_delay", "contact_addr", "socket",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Registration:
    """A row of the table, and what has become of it. Moments are on the server's clock."""

    l_uuid: str
    l_username: str
    l_domain: str
    r_username: str
    r_domain: str
    realm: str
    auth_username: str
    auth_password: str
    auth_ha1: str
    auth_proxy: str
    expires: int
    flags: int
    reg_delay: int
    contact_addr: str
    socket: str
    call_id: str = ""
    cseq: int = 9
    due_at: float = 0.0
    online_until: float = 0.0
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """The address of record at the other server."""
        return f"sip:{self.r_username}@{self.r_domain}"

    @property
    def account(self) -> Account:
        secret = self.auth_ha1 if self.auth_ha1 and not self.auth_password else self.auth_password
        return Account(self.auth_username, self.realm, secret, secret is self.auth_ha1)


def read(row: tuple[Any, ...]) -> Registration:
    """A row in the order of COLUMNS."""
    cells = dict(zip(COLUMNS, row, strict=True))
    numbers = ("expires", "flags", "reg_delay")
    values: dict[str, Any] = {
        name: int(cells[name] or 0) if name in numbers else text_of(cells[name]) for name in COLUMNS
    }
    found = Registration(**values)
    found.flags &= DISABLED
    found.expires = found.expires or 360
    return found


class Registrar:
    """Sends the REGISTERs."""

    def __init__(
        self, server: Server, contact: str, socket_of: Callable[[str], Socket | None], retry: int, keep: bool
    ) -> None:
        self.server, self.contact, self.socket_of, self.retry, self.keep = (
            server,
            contact,
            socket_of,
            retry,
            keep,
        )

    async def register(self, one: Registration, expires: int | None = None) -> None:
        """Register, answer a challenge once, and note what came of it. 0 seconds take the contact away."""
        wanted = one.expires if expires is None else expires
        one.flags = one.flags & ~AUTH_SENT | ONGOING
        status, reply = await self._ask(one, wanted, [])
        if reply is not None and status in (401, 407):
            header = self._authorization(one, reply)
            if header is not None:
                one.flags |= AUTH_SENT
                status, reply = await self._ask(one, wanted, [header])
                # The interval that is too brief, told behind the challenge (§10.3).
        if reply is not None and status == 423 and (least := _seconds(reply.header("Min-Expires"))):
            one.expires = max(one.expires, least)
        self._note(one, status, reply, wanted)

    async def _ask(
        self, one: Registration, expires: int, extra: list[tuple[str, str]]
    ) -> tuple[int, Response | None]:
        if not one.call_id or (not self.keep and not extra):
            one.call_id = f"{urandom(12).hex()}@uac"
        one.cseq += 1
        contact = one.contact_addr or self.contact
        headers = [
            ("From", f"<{one.uri}>;tag={urandom(8).hex()}"),
            ("To", f"<{one.uri}>"),
            ("Call-ID", one.call_id),
            ("CSeq", f"{one.cseq} REGISTER"),
            ("Contact", f"<sip:{one.l_uuid}@{contact}>"),
            ("Expires", str(expires)),
            *extra,
        ]
        try:
            return await self.server.uac.request(
                "REGISTER", f"sip:{one.r_domain}", headers, next_hop=one.auth_proxy,
                socket=self.socket_of(one.socket),
            )  # fmt: skip
        except (ParseError, TransportError) as error:
            log.error("%s: REGISTER to %s: %s", one.l_uuid, one.r_domain, error)
            return 477, None

    @staticmethod
    def _authorization(one: Registration, reply: Response) -> tuple[str, str] | None:
        found = choose(challenges_of(reply), [one.account])
        if found is None:
            log.error("%s: no credentials for what %s asks", one.l_uuid, one.r_domain)
            return None
        try:
            return header_of(reply.status), authorization(*found, "REGISTER", f"sip:{one.r_domain}")
        except ParseError as error:
            log.error("%s: %s", one.l_uuid, error)
            return None

    def _note(self, one: Registration, status: int, reply: Response | None, wanted: int) -> None:
        now = self.server.now()
        one.flags &= ~(ONGOING | AUTH_SENT)
        if reply is not None and 200 <= status < 300:
            granted = _granted(reply, one.l_uuid, wanted)
            if wanted and granted:
                one.flags |= ONLINE
                one.online_until = one.due_at = now + granted
                return
            one.flags &= ~ONLINE
            one.online_until = 0.0
            one.due_at = now + (self.retry or 90) if wanted else 0.0
            return
        one.call_id = ""
        if one.online_until <= now or status in (401, 403, 404, 407):
            one.flags &= ~ONLINE
            one.online_until = 0.0
        if status == 423:
            one.due_at = now
        elif self.retry > 0:
            one.due_at = now + self.retry
        else:
            log.error(
                "%s: registration at %s failed with %d and is disabled", one.l_uuid, one.r_domain, status
            )
            one.flags |= DISABLED


def _seconds(value: str | None) -> int:
    try:
        return parse_expires(value) if value else 0
    except ParseError:
        return 0


def _granted(reply: Response, uuid: str, wanted: int) -> int:
    """For how many seconds the registrar keeps our contact."""
    try:
        listed = reply.contacts
    except ParseError:
        listed = []
    for entry in [] if listed is STAR else listed:
        if entry.uri.partition(":")[2].startswith(f"{uuid}@"):
            value = entry.params.get("expires")
            return _seconds(value) if value else _seconds(reply.header("Expires")) or wanted
    return _seconds(reply.header("Expires")) or wanted
