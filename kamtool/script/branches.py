"""Additional branches, appended the way append_branch() and its relatives do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kamtool.script import uri_text
from kamtool.script.context import Branch
from kamtool.script.pv_branch import current_branch, parsed_q

if TYPE_CHECKING:
    from kamtool.script.context import Context

DEFAULT_MAX_BRANCHES = 12


def limit(ctx: Context) -> int:
    """How many additional branches there may be: one less than the global parameter `max_branches`."""
    settings = getattr(ctx.host, "settings", None)
    return (settings.number("max_branches") if settings is not None else DEFAULT_MAX_BRANCHES) - 1


def append(ctx: Context, uri: str | None = None, q: str = "") -> bool:
    """Add the R-URI and what goes with it, or `uri`, as a branch. False when there is no room or no URI."""
    if len(ctx.branches) >= limit(ctx):
        return False
    branch = (
        current_branch(ctx) if not uri else Branch(uri, flags=ctx.branch_flags, send_socket=ctx.send_socket)
    )
    if uri_text.parts(branch.uri) is None:
        return False
    if q:
        branch.q = parsed_q(q)
    ctx.add_branch(branch)
    return True


def append_copy(ctx: Context, branch: Branch) -> bool:
    """Add a copy of a branch; false when there is no room or it has no URI."""
    if len(ctx.branches) >= limit(ctx) or uri_text.parts(branch.uri) is None:
        return False
    ctx.add_branch(replace(branch))
    return True
