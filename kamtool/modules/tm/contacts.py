"""tm: serial forking by q."""

from __future__ import annotations

import random
from itertools import groupby
from typing import TYPE_CHECKING

from kamtool.module import Routes, function
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, Part
from kamtool.script.avp import Record
from kamtool.script.context import Branch

if TYPE_CHECKING:
    from kamtool.script.context import Context

GROUPS, FLOWS = "tm.contacts", "tm.contact_flows"
PRIORITY, PROPORTIONAL = 0, 1


class Contacts(Part):
    """t_load_contacts, t_next_contacts and t_next_contact_flow: the highest q first, equals together."""

    contacts_avp: str
    contact_flows_avp: str

    @function("t_load_contacts", routes=REQUEST_OR_FAILURE)
    def t_load_contacts(self, ctx: Context, mode: int = 0) -> int:
        """Take the destination set (R-URI and branches) away, ordered by q, for t_next_contacts.

        A set of one stays as it is. With `mode` 1 each contact is tried alone, in an order drawn by lot in
        which q is the weight; those without a q, or with 0, come last.
        """
        if mode not in (PRIORITY, PROPORTIONAL):
            return -1
        if not ctx.branches:
            return 1
        main = Branch(
            ctx.ruri, ctx.dst_uri, ctx.path, ctx.q, ctx.branch_flags, ctx.send_socket, ctx.ruid,
            ctx.user_agent, ctx.instance, connection=ctx.connection,
        )  # fmt: skip
        every = [main, *ctx.branches]
        groups = [[branch] for branch in by_lot(every)] if mode == PROPORTIONAL else by_q(every)
        if mode == PRIORITY and len(groups) == 1 and not _doubles(every):
            return 1
        ctx.scratch[GROUPS], ctx.scratch[FLOWS] = groups, []
        ctx.branches = ()
        self._show(ctx)
        return 1

    @function("t_next_contacts", routes=REQUEST_OR_FAILURE)
    def t_next_contacts(self, ctx: Context) -> int:
        """Make the next group the destination set: 1, or -2 when none is left.

        Of contacts with one +sip.instance only the first is taken; the others are kept for
        t_next_contact_flow.
        """
        groups: list[list[Branch]] = ctx.scratch.get(GROUPS) or []
        if not groups:
            return -2
        taken: list[Branch] = []
        flows: list[Branch] = ctx.scratch.setdefault(FLOWS, [])
        for branch in groups.pop(0):
            if branch.instance and any(other.instance == branch.instance for other in taken):
                flows.append(branch)
            else:
                taken.append(branch)
        _put(ctx, taken[0])
        ctx.branches = taken[1:]
        self._show(ctx)
        return 1

    @function("t_next_contact_flow", routes=REQUEST_OR_FAILURE)
    def t_next_contact_flow(self, ctx: Context) -> int:
        """In event_route[tm:branch-failure:…]: make the next flow (RFC 5626) of the contact that failed the
        R-URI: 1, or -2 when none is left.
        """
        tx = ctx.transaction
        if tx is None or ctx.route_kind not in (Routes.EVENT, Routes.FAILURE):
            return -1
        instance = tx.branches[ctx.branch_index].instance if ctx.branch_index < len(tx.branches) else ""
        flows: list[Branch] = ctx.scratch.get(FLOWS) or []
        for branch in flows:
            if instance and branch.instance == instance:
                flows.remove(branch)
                _put(ctx, branch)
                self._show(ctx)
                return 1
        return -2

    def _show(self, ctx: Context) -> None:
        """The XAVPs that say what is left: a script may ask whether they are there."""
        groups: list[list[Branch]] = ctx.scratch.get(GROUPS) or []
        left = [branch for group in groups for branch in group]
        for name, branches in ((self.contacts_avp, left), (self.contact_flows_avp, ctx.scratch.get(FLOWS))):
            name = name.removeprefix("$xavp(").removesuffix(")")
            if not name:
                continue
            ctx.avps.xavps.delete(name, "*")
            for branch in reversed(branches or ()):
                record = Record()
                record.fields = {"uri": [branch.uri], "flags": [branch.flags], "q_flag": [max(branch.q, 0)]}
                for field in ("dst_uri", "path", "instance", "ruid"):
                    if value := getattr(branch, field):
                        record.fields[field] = [value]
                ctx.avps.xavps.push(name, record)


def by_q(branches: list[Branch]) -> list[list[Branch]]:
    """Groups of one q each, the highest first."""
    ordered = sorted(branches, key=lambda branch: -branch.q)
    return [list(group) for _, group in groupby(ordered, key=lambda branch: branch.q)]


def by_lot(branches: list[Branch]) -> list[Branch]:
    """All of them in an order drawn by lot: the chance to be the next is q; those without come last."""
    drawn: list[Branch] = []
    weighed = [branch for branch in branches if branch.q > 0]
    while weighed:
        chosen = random.choices(weighed, [branch.q for branch in weighed])[0]
        weighed.remove(chosen)
        drawn.append(chosen)
    return drawn + [branch for branch in branches if branch.q <= 0]


def _doubles(branches: list[Branch]) -> bool:
    named = [branch.instance for branch in branches if branch.instance]
    return len(named) != len(set(named))


def _put(ctx: Context, branch: Branch) -> None:
    ctx.new_uri, ctx.dst_uri, ctx.path, ctx.q = branch.uri, branch.dst_uri, branch.path, branch.q
    ctx.branch_flags, ctx.connection, ctx.send_socket = branch.flags, branch.connection, branch.send_socket
    ctx.ruid, ctx.user_agent, ctx.instance = branch.ruid, branch.user_agent, branch.instance
