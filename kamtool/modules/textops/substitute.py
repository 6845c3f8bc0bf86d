"""textops: substitutions `/regex/replacement/flags`, and the transformation `re.subst`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Plain,
    Substitution,
    function,
)
from kamtool.modules.textops.text import Piece, after_first_line, body
from kamtool.script import edits
from kamtool.script.pv_uri import change_ruri, request_uri, ruri_parts
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.textops")

_URI_ROUTES = REQUEST_ROUTE | ONREPLY_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE


def substitute(ctx: Context, piece: Piece, substitution: Substitution) -> bool:
    """Queue what a substitution changes in a piece of the message; false when nothing matched."""
    changed = False
    for start, end, text in substitution.edits(ctx, piece.text):
        edits.put(ctx, piece.offset(start), piece.offset(end), to_octets(text))
        changed = True
    return changed


class SubstituteFunctions:
    """`subst` and its company. Flags: `g` all matches, `i` ignore case, `s` let `.` match line ends."""

    @function("subst", routes=ANY)
    def subst(self, ctx: Context, expression: Substitution) -> bool:
        r"""Substitute in headers and body: `subst('/^To:(.*)sip:[^@]*@(.*)$/To:\1sip:$fU@\2/ig')`."""
        return substitute(ctx, after_first_line(ctx), expression)

    @function("subst_body", routes=ANY)
    def subst_body(self, ctx: Context, expression: Substitution) -> bool:
        """Substitute in the body."""
        return substitute(ctx, body(ctx), expression)

    @function("subst_hf", routes=ANY)
    def subst_hf(self, ctx: Context, name: Plain, expression: Substitution, mode: Plain) -> bool:
        """Substitute in the values of headers: all (`a`), the first (`f`) or the last (`l`) of that name."""
        places = ctx.msg.find(name)
        places = {"f": places[:1], "l": places[-1:]}.get(mode[:1].lower(), places)
        changed = False
        for place in places:
            _, _, _, start, end, _ = ctx.msg.row(place)
            changed = substitute(ctx, Piece(ctx, start, end), expression) or changed
        return changed

    @function("subst_uri", routes=_URI_ROUTES)
    def subst_uri(self, ctx: Context, expression: Substitution) -> bool:
        """Substitute in the R-URI."""
        uri = request_uri(ctx)
        changed = None if uri is None else expression.apply(ctx, uri)
        if changed is None:
            return False
        ctx.new_uri = changed
        return True

    @function("subst_user", routes=_URI_ROUTES)
    def subst_user(self, ctx: Context, expression: Substitution) -> bool:
        """Substitute in the user of the R-URI."""
        parts = ruri_parts(ctx)
        changed = None if parts is None else expression.apply(ctx, parts.user or "")
        if changed is None:
            return False
        change_ruri(ctx, user=changed or None)
        return True
