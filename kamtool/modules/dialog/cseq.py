"""CSeq that is higher at the callee than at the caller, since uac_auth has sent the INVITE once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.sip.message import Message, Response

if TYPE_CHECKING:
    from kamtool.script.context import Context

_OURS = "dialog.cseq"

Edit = tuple[int, int, bytes]


def shift(ctx: Context, by: int) -> None:
    """Send the request on with a higher CSeq; its responses get back the one that it came with."""
    number = ctx.msg.cseq
    before = ctx.scratch.get(_OURS)
    if before is not None:
        ctx.edits = [edit for edit in ctx.edits if edit is not before]
    edits = _edit(ctx.msg, (number + by) & 0xFFFFFFFF)
    if not edits:
        return
    ctx.edits = [*ctx.edits, *edits]
    ctx.scratch[_OURS] = edits[0]
    if before is None:
        _restore_later(ctx, number)


def _edit(msg: Message, number: int) -> list[Edit]:
    fields = msg.fields("CSeq")
    method = msg.cseq_method
    return [(fields[0].start, fields[0].end, f"CSeq: {number} {method}\r\n".encode())] if fields else []


def _restore_later(ctx: Context, number: int) -> None:
    def restore(response: Response) -> list[Edit]:
        return _edit(response, number)

    tx: Any = ctx.transaction
    if tx is not None:
        tx.restore = (*tx.restore, restore)
    else:
        flags = ctx.scratch.setdefault("tm.flags", {})
        flags["restore"] = (*flags.get("restore", ()), restore)
