"""tm: serial forking by q."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from kamtool.module import function
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, Part
from kamtool.script.context import Branch

if TYPE_CHECKING:
    from kamtool.script.context import Context

KEY = "tm.contacts"


class Contacts(Part):
    """t_load_contacts and t_next_contacts: the highest q first, equals together."""

    @function("t_load_contacts", routes=REQUEST_OR_FAILURE)
    def t_load_contacts(self, ctx: Context, mode: int = 0) -> int:
        """Take the destination set (R-URI and branches) away, ordered by q, for t_next_contacts.

        Nothing changes when all have the same q: then they are forked to in parallel anyway. With `mode` 1
        each contact is tried alone.
        """
        if mode not in (0, 1):
            return -1
        if not ctx.branches:
            return 1
        main = Branch(
            ctx.ruri, ctx.dst_uri, ctx.path, ctx.q, ctx.branch_flags, ctx.send_socket, ctx.ruid,
            ctx.user_agent, ctx.instance, connection=ctx.connection,
        )  # fmt: skip
        ordered = sorted([main, *ctx.branches], key=lambda branch: -branch.q)
        groups = (
            [[branch] for branch in ordered]
            if mode
            else [list(group) for _, group in groupby(ordered, key=lambda branch: branch.q)]
        )
        if len(groups) == 1:
            return 1
        ctx.scratch[KEY] = groups
        ctx.branches = ()
        return 1

    @function("t_next_contacts", routes=REQUEST_OR_FAILURE)
    def t_next_contacts(self, ctx: Context) -> int:
        """Make the next group the destination set: 1, or -2 when none is left."""
        groups: list[list[Branch]] = ctx.scratch.get(KEY) or []
        if not groups:
            return -2
        first, *rest = groups.pop(0)
        ctx.new_uri, ctx.dst_uri, ctx.path, ctx.q = first.uri, first.dst_uri, first.path, first.q
        ctx.branch_flags, ctx.connection, ctx.send_socket = first.flags, first.connection, first.send_socket
        ctx.ruid, ctx.user_agent, ctx.instance = first.ruid, first.user_agent, first.instance
        ctx.branches = rest
        return 1

    @function("t_next_contact_flow", routes=REQUEST_OR_FAILURE)
    def t_next_contact_flow(self, ctx: Context) -> int:
        """-2: other flows of a contact (RFC 5626) are not kept here."""
        return -2
