"""textops: bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import ANY, BRANCH_ROUTE, FAILURE_ROUTE, ONREPLY_ROUTE, REQUEST_ROUTE, Plain, function
from kamtool.modules.textops.multipart import first_of, media_type, now
from kamtool.script import edits
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context


class BodyFunctions:
    """Bodies. Content-Length is kept right by whatever changes one."""

    @function("has_body", routes=ANY)
    def has_body(self, ctx: Context, kind: Plain | None = None) -> bool:
        """True when there is a body, of the type `kind` if one is given."""
        if not ctx.msg.body:
            return False
        return kind is None or media_type(ctx.msg.header("Content-Type")) == media_type(kind)

    @function("set_body", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE | ONREPLY_ROUTE)
    def set_body(self, ctx: Context, text: str, kind: str) -> bool:
        """Replace the body and its Content-Type."""
        if not text or not kind:
            return False
        edits.replace_body(ctx, to_octets(text))
        edits.set_header(ctx, "Content-Type", kind)
        return True

    @function("set_reply_body", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def set_reply_body(self, ctx: Context, text: str, kind: str) -> bool:
        """Give the replies that this server makes to the request a body."""
        if not text or not kind:
            return False
        ctx.scratch["reply.body"] = (to_octets(text), kind)
        return True

    @function("filter_body", routes=ANY)
    def filter_body(self, ctx: Context, kind: Plain) -> bool:
        """Leave nothing of a multipart body but the content of its first part of type `kind`.

        Content-Type stays: change it too, with `remove_hf` and `append_hf`.
        """
        if media_type(now(ctx)[0]) == media_type(kind):
            return True
        part = first_of(ctx, kind)
        if part is None:
            return False
        edits.replace_body(ctx, part.content)
        return True

    @function("is_audio_on_hold", routes=ANY)
    def is_audio_on_hold(self, ctx: Context) -> bool:
        """True when the SDP holds its audio: sendonly, inactive, or the address 0.0.0.0 (RFC 3264 §8.4)."""
        session_hold = in_audio = hold = False
        seen_media = False
        for line in ctx.msg.body.decode("utf-8", "replace").splitlines():
            if line.startswith("m="):
                seen_media, in_audio = True, line.startswith("m=audio ")
                hold = hold or (in_audio and session_hold)
            elif _holds(line):
                hold = hold or (seen_media and in_audio)
                session_hold = session_hold or not seen_media
        return hold


def _holds(line: str) -> bool:
    line = line.strip()
    if line.startswith("c="):
        return line.rpartition(" ")[2] in ("0.0.0.0", "::")
    return line in ("a=sendonly", "a=inactive")
