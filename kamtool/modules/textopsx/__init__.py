"""More work on a message as text: apply edits at once, values inside headers, iterators."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.module import ANY, ONREPLY_ROUTE, REQUEST_ROUTE, Module, Regex, function
from kamtool.modules.textopsx.iterators import IteratorFunctions
from kamtool.modules.textopsx.values import ValueFunctions
from kamtool.script import edits
from kamtool.script.values import to_octets
from kamtool.sip.headers import canonical
from kamtool.sip.message import Message, Response, parse

if TYPE_CHECKING:
    from kamtool.script.context import Context

_CORE_HEADERS = frozenset(
    canonical(name)
    for name in (
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length", "Content-Type", "Max-Forwards",
        "Route", "Record-Route",
    )
)  # fmt: skip


class Textopsx(ValueFunctions, IteratorFunctions, Module):
    """Applies queued edits at once, edits values in comma lists, walks over headers and lines of the body."""

    name = "textopsx"

    @function("msg_apply_changes", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def msg_apply_changes(self, ctx: Context) -> bool:
        """Carry out the edits queued so far: what follows sees the changed message.

        Not in a request after the transaction exists, which keeps it as it was.
        """
        if ctx.transaction is not None and ctx.msg.is_request:
            return False
        return _replace(ctx, edits.applied(ctx))

    @function("msg_set_buffer", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def msg_set_buffer(self, ctx: Context, text: str) -> bool:
        """Go on with another message in place of this one; false when `text` is none."""
        if ctx.transaction is not None and ctx.msg.is_request:
            return False
        return _replace(ctx, to_octets(text))

    @function("change_reply_status", routes=ONREPLY_ROUTE)
    def change_reply_status(self, ctx: Context, code: int, reason: str) -> bool:
        """Change the status line of a reply. A provisional one stays provisional, a failure a failure."""
        msg = ctx.msg
        if not isinstance(msg, Response) or not _may_become(msg.status, code):
            return False
        line = to_octets(f"SIP/2.0 {code} {' '.join(reason.split())}\r\n")
        edits.put(ctx, 0, msg.first_line_end, line)
        return True

    @function("change_reply_status_code", routes=ONREPLY_ROUTE)
    def change_reply_status_code(self, ctx: Context, code: int) -> bool:
        """Change the status code of a reply and keep its reason."""
        return self.change_reply_status(ctx, code, ctx.msg.reason)

    @function("remove_body", routes=ANY)
    def remove_body(self, ctx: Context) -> int:
        """Remove the body."""
        if ctx.msg.body:
            edits.replace_body(ctx, b"")
        return 1

    @function("keep_hf", routes=ANY)
    def keep_hf(self, ctx: Context, pattern: Regex | None = None) -> int:
        """Remove every header whose name does not match, but never those SIP cannot do without."""
        strange = [
            field
            for field in ctx.msg.fields()
            if canonical(field.name) not in _CORE_HEADERS and not (pattern and pattern.search(field.name))
        ]
        edits.remove(ctx, strange)
        return 1

    @function("fnmatch", routes=ANY)
    def fnmatch(self, ctx: Context, text: str, pattern: str, flags: str = "") -> bool:
        """True when the text matches a pattern of shell wildcards; flag `i` ignores case."""
        if "i" in flags:
            text, pattern = text.lower(), pattern.lower()
        return fnmatchcase(text, pattern)


def _replace(ctx: Context, data: bytes) -> bool:
    try:
        message: Message = parse(data, stream=False)
    except ParseError:
        return False
    if message.is_request != ctx.msg.is_request:
        return False
    ctx.msg = message
    ctx.edits = ()
    ctx.new_uri = None
    if ctx._scratch is not None:
        for memory in ("textopsx.removed", "pv.digest"):
            ctx._scratch.pop(memory, None)
    return True


def _may_become(old: int, new: int) -> bool:
    # A success or a provisional response is more than its number: the transaction has acted on it.
    if old < 200:
        return 100 <= new < 200
    return 300 <= new < 700 if old >= 300 else 200 <= new < 300
