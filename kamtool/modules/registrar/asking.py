"""registered(), unregister() and $ulc: what a script may ask about a user, and undo."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kamtool.errors import ParseError, StoreError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Index, Plain, Value, function, pv
from kamtool.modules.registrar.base import Base
from kamtool.modules.registrar.ulc import SCRATCH, Profile
from kamtool.modules.registrar.ulc import read as read_ulc
from kamtool.modules.usrloc.contact import Contact
from kamtool.script.context import Context

logger = logging.getLogger("kamtool.registrar")


class Asking(Base):
    """The functions that ask about registrations."""

    @function("registered", routes=ANY)
    async def registered(
        self, ctx: Context, table: Plain, uri: str = "", match: int = 0, action: int = 0
    ) -> bool:
        """Whether the R-URI (of a reply: To), or `uri`, has a contact in `table`.

        `match` asks for more, by the values in `xavp_cfg`: 1 match_callid, 2 match_received, 4 match_contact.
        `action` 2 leaves `xavp_rcd` as it is.
        """
        try:
            location, contacts = await self._contacts(table, self._named(ctx, uri, _target(ctx)))
        except (ParseError, StoreError):
            return False
        now = self.server.now()
        wishes = self._wishes(ctx, match)
        for contact in contacts:
            if contact.is_valid(now) and all(wish == mine(contact) for mine, wish in wishes):
                if self.xavp_rcd and not action & 2:
                    self._record(ctx, [contact], location)
                return True
        return False

    def _wishes(self, ctx: Context, match: int) -> list[tuple[Callable[[Contact], str], str]]:
        wishes: list[tuple[Callable[[Contact], str], str]] = []
        if self._reg_callid is not None and (call_id := self._reg_callid.get(ctx)) is not None:
            wishes.append((lambda contact: contact.call_id, str(call_id)))
        if match and self.xavp_cfg:
            parts: list[tuple[int, str, Callable[[Contact], str]]] = [
                (1, "match_callid", lambda contact: contact.call_id),
                (2, "match_received", lambda contact: contact.received),
                (4, "match_contact", lambda contact: contact.uri),
            ]
            for bit, name, mine in parts:
                value = ctx.avps.xavps.get(self.xavp_cfg, None, name) if match & bit else None
                if value is not None:
                    wishes.append((mine, str(value)))
        return wishes

    @function("unregister", routes=ANY)
    async def unregister(self, ctx: Context, table: Plain, uri: str, ruid: str = "") -> int:
        """Remove all contacts of `uri` from `table`, or only the one with this `ruid`.

        1 removed; -1 `uri` names no user; -2 the table cannot be written; -3 nothing was there.
        """
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1
        except StoreError as error:
            logger.error("%s", error)
            return -2
        chosen = [contact for contact in contacts if not ruid or contact.ruid == ruid]
        if not chosen:
            return -3
        for contact in chosen:
            location.delete(contact)
        if location.waits:
            try:
                await location.commit()
            except StoreError as error:
                logger.error("%s", error)
                return -2
        return 1

    @function("reg_fetch_contacts", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def reg_fetch_contacts(self, ctx: Context, table: Plain, uri: str, profile: Plain) -> int:
        """Put the contacts of `uri` aside as `$ulc(profile=>…)`; 1 when there are some, else -1."""
        profiles = ctx.scratch.setdefault(SCRATCH, {})
        profiles.pop(profile, None)
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1
        except StoreError as error:
            logger.error("%s", error)
            return -1
        found = tuple(contact for contact in contacts if contact.is_valid(self.server.now()))
        if not found:
            return -1
        profiles[profile] = Profile(found[0].aor, table, found, location.offset())
        return 1

    @function("reg_free_contacts", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def reg_free_contacts(self, ctx: Context, profile: Plain) -> int:
        """Forget `$ulc(profile=>…)`."""
        ctx.scratch.get(SCRATCH, {}).pop(profile, None)
        return 1

    @pv("ulc", inner_required=True)
    def get_ulc(self, ctx: Context, inner: str, index: Index = None) -> Value:
        """What `reg_fetch_contacts()` found: `$(ulc(profile=>addr)[0])`.

        Of the user: aor domain aorhash count. Of a contact, by index: addr path received expires callid q
        cseq flags cflags user_agent socket modified methods ruid regid instance conid server_id.
        """
        return read_ulc(ctx.scratch, inner, index)


def _target(ctx: Context) -> str:
    return ctx.ruri if ctx.msg.is_request else ctx.msg.to.uri
