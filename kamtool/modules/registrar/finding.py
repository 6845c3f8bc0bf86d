"""lookup() and its company: where a request for a user goes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from kamtool.errors import ParseError, StoreError
from kamtool.module import FAILURE_ROUTE, REQUEST_ROUTE, Plain, function
from kamtool.modules.registrar.base import Base
from kamtool.modules.registrar.keeping import give_back
from kamtool.modules.registrar.lookup import aim, at_once, branch, by_gruu, usable
from kamtool.modules.usrloc.contact import Contact
from kamtool.script.context import Context
from kamtool.sip.message import METHODS, OTHER_METHOD
from kamtool.sip.uri import SipUri, parse_uri

logger = logging.getLogger("kamtool.registrar")

REQUEST_OR_FAILURE = REQUEST_ROUTE | FAILURE_ROUTE


class Finding(Base):
    """The functions that send a request to its user's contacts."""

    async def _find(self, ctx: Context, table: str, uri: str) -> tuple[int, list[Contact]]:
        """The contacts that a request for `uri` goes to, and the code of lookup()."""
        try:
            location, contacts = await self._contacts(table, uri)
        except ParseError:
            return -1, []
        except StoreError as error:
            logger.error("%s", error)
            return -3, []
        if not contacts:
            return -1, []
        now = self.server.now()
        found = list(contacts) if self.use_expired_contacts else usable(contacts, now)
        if ";gr" in uri:
            target = parse_uri(uri)
            if isinstance(target, SipUri) and "gr" in target.params:
                found = by_gruu(found, target)
        if self.lookup_filter_mode & 1 and self.xavp_cfg:
            flags = ctx.avps.xavps.get(self.xavp_cfg, None, "rlf_bflags")
            if isinstance(flags, int):
                found = [contact for contact in found if contact.cflags & flags]
        if found and self.method_filtering and not ctx.msg.to_tag:
            mask = METHODS.get(ctx.msg.method, OTHER_METHOD)
            found = [contact for contact in found if contact.methods & mask]
            if not found:
                return -2, []
        if not found:
            return -1, []
        if self.xavp_rcd:
            self._record(ctx, found, location)
        if self.usrloc.xavp_contact:
            give_back(ctx, self.usrloc.xavp_contact, found if self.append_branches else found[:1])
        return 1, found

    @function("lookup", routes=REQUEST_OR_FAILURE, at_once="lookup_at_once")
    async def lookup(self, ctx: Context, table: Plain, uri: str = "") -> int:
        """Send the request to the contacts of its R-URI (or of `uri`) in `table`: the best becomes the R-URI.

        The others become branches. 1 found; -1 not registered; -2 registered, but no contact takes the method
        (with `method_filtering`); -3 the table cannot be read.
        """
        code = self.lookup_at_once(ctx, table, uri)
        return code if isinstance(code, int) else await code

    def lookup_at_once(self, ctx: Context, table: str, uri: str = "") -> int | Awaitable[int]:
        """The code of lookup(), or what is to be awaited for it."""
        if self.looks_plain and not uri:
            known = at_once(self.short, ctx, table)
            if known is not None:
                return known
        return self._lookup(ctx, table, uri)

    async def _lookup(self, ctx: Context, table: str, uri: str) -> int:
        code, contacts = await self._find(ctx, table, self._named(ctx, uri, ctx.ruri))
        if code < 0:
            return code
        aim(ctx, contacts[0], self.socket_of)
        if self.path_check_local:
            self._skip_local_path(ctx)
        if self.append_branches:
            for contact in contacts[1:]:
                ctx.add_branch(branch(contact, self.socket_of))
        return 1

    @function("lookup_to_dset", routes=REQUEST_OR_FAILURE)
    async def lookup_to_dset(self, ctx: Context, table: Plain, uri: str = "") -> int:
        """As `lookup()`, but every contact becomes a branch and the R-URI stays."""
        code, contacts = await self._find(ctx, table, self._named(ctx, uri, ctx.ruri))
        for contact in contacts:
            ctx.add_branch(branch(contact, self.socket_of))
        return code

    @function("lookup_branches", routes=REQUEST_OR_FAILURE)
    async def lookup_branches(self, ctx: Context, table: Plain) -> int:
        """`lookup()` for the R-URI and for every branch that is nothing but a URI."""
        plain = [entry for entry in ctx.branches if not entry.dst_uri and not entry.path and not entry.ruid]
        others = [entry for entry in ctx.branches if entry not in plain]
        ctx.branches = list(others)
        code = await self.lookup(ctx, table)
        for entry in plain:
            found, contacts = await self._find(ctx, table, entry.uri)
            if found < 0:
                ctx.add_branch(entry)
            for contact in contacts:
                ctx.add_branch(branch(contact, self.socket_of))
            code = max(code, found)
        return code

    def _skip_local_path(self, ctx: Context) -> None:
        is_myself = getattr(self.server, "is_myself", None)
        if not ctx.path or not ctx.dst_uri or is_myself is None:
            return
        hop = parse_uri(ctx.dst_uri)
        if isinstance(hop, SipUri) and is_myself(hop.host, hop.port, hop.transport):
            _, _, rest = ctx.path.partition(",")
            ctx.path = rest.strip()
            ctx.dst_uri = ctx.path.partition(",")[0].strip().strip("<>") or None
