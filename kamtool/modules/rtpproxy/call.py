"""How RTPproxy names a call: Call-ID, tags, and what the flags add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kamtool.errors import ParseError

if TYPE_CHECKING:
    from kamtool.module import Variable
    from kamtool.modules.rtpproxy.flags import Flags
    from kamtool.script.context import Context


class Call(NamedTuple):
    """A call as a message names it. `name` is the Call-ID with `;branch` or `;extra` behind it."""

    call_id: str
    name: str
    from_tag: str
    to_tag: str

    @property
    def tags(self) -> str:
        return f"{self.from_tag} {self.to_tag}" if self.to_tag else self.from_tag


def call_of(ctx: Context, flags: Flags, extra_id: Variable | None) -> Call | None:
    """None when the message lacks what the flags ask for."""
    msg = ctx.msg
    name = msg.call_id
    if not name or not msg.from_tag or " " in name:
        return None
    if flags.via:
        branch = branch_of(ctx, flags.via)
        if not branch:
            return None
        name += f";{branch}"
    if flags.extra_id:
        value = extra_id.get(ctx) if extra_id is not None else None
        if value is None or value == "":
            return None
        name += f";{value}"
    return Call(msg.call_id, name, msg.from_tag, msg.to_tag)


def branch_of(ctx: Context, which: int) -> str:
    """The branch of the first Via (1), the second (2), or that of the caller (3); "" without one."""
    place = which - 1 if which < 3 else (0 if ctx.msg.is_request else 1)
    try:
        vias = ctx.msg.vias
    except ParseError:
        return ""
    return (vias[place].params.get("branch") or "") if place < len(vias) else ""
