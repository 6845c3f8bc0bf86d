"""From and To with another URI and name, and back again in responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kamtool.sip import build
from kamtool.sip.message import Message, Response
from kamtool.speed import split_name_addr

if TYPE_CHECKING:
    from kamtool.script.context import Context

Name = Literal["From", "To"]
Edit = tuple[int, int, bytes]

RESTORED = "uac.restored"


def changed(value: str, uri: str, display: str | None = None) -> str:
    """A From or To value with another URI; `display` None keeps the name, "" takes it away.

    Raises ParseError.
    """
    name, known, _ = split_name_addr(value)
    bracketed = f"<{known}>"
    at = value.find(bracketed, len(name))
    if at >= 0:
        shown, tail = value[:at].strip(), value[at + len(bracketed) :]
    else:
        shown, tail = "", value.strip()[len(known) :]
    if display is not None:
        shown = display
    return build.one_line(f"{shown} <{uri}>{tail}" if shown else f"<{uri}>{tail}")


def edit_of(msg: Message, name: Name, value: str) -> list[Edit]:
    """The edit that gives a header another value."""
    fields = msg.fields(name)
    if not fields:
        return []
    return [(fields[0].start, fields[0].end, build.encode(f"{name}: {value}\r\n"))]


def replace(ctx: Context, name: Name, value: str) -> None:
    """Give the request another From or To, and its responses the one that it came with (§8.2.6.2)."""
    for edit in edit_of(ctx.msg, name, value):
        ctx.edit(*edit)
    original = ctx.msg.header(name) or ""
    if name == "From":
        restore_later(ctx, lambda response: edit_of(response, "From", original))
    else:
        tagged = bool(ctx.msg.to_tag)
        restore_later(ctx, lambda response: edit_of(response, "To", _with_tag(original, tagged, response)))


def _with_tag(original: str, tagged: bool, response: Response) -> str:
    if tagged or not response.to_tag:
        return original
    if "<" not in original:
        uri, _, params = original.partition(";")
        original = f"<{uri.strip()}>" + (f";{params}" if params else "")
    return f"{original};tag={response.to_tag}"


def restore_later(ctx: Context, restore: object) -> None:
    """Have `restore(response)` give edits to every response of this request."""
    if ctx.transaction is not None:
        ctx.transaction.restore = (*ctx.transaction.restore, restore)
        return
    flags = ctx.scratch.setdefault("tm.flags", {})
    flags["restore"] = (*flags.get("restore", ()), restore)
