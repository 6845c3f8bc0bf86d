"""textops: multipart bodies (RFC 2046 §5.1)."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Plain,
    Variable,
    function,
)
from kamtool.script import edits
from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_DEFAULT_BOUNDARY = "unique-boundary-1"
_ROUTES = REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE | ONREPLY_ROUTE


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body: its header lines and its content."""

    head: bytes
    content: bytes

    @property
    def kind(self) -> str:
        """The media type in lower case."""
        for line in from_octets(self.head).splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("content-type", "c"):
                return media_type(value)
        return "text/plain"

    def __bytes__(self) -> bytes:
        return self.head.strip(b"\r\n") + b"\r\n\r\n" + self.content


def media_type(value: str | None) -> str:
    """The media type without its parameters, in lower case."""
    return (value or "").partition(";")[0].strip().lower().replace(" ", "")


def boundary_of(content_type: str | None) -> str | None:
    """The boundary of a multipart Content-Type."""
    if not media_type(content_type).startswith("multipart/"):
        return None
    found = _BOUNDARY.search(content_type or "")
    return (found[1] or found[2]) if found else None


def parts_of(ctx: Context) -> list[Part]:
    """The parts of the body as it is, or will be once the queued edits are applied."""
    content_type, body = now(ctx)
    boundary = boundary_of(content_type)
    if boundary is None:
        return []
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(to_octets(boundary)) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    marks = list(delimiter.finditer(body))
    parts = []
    for mark, after in itertools.pairwise(marks):
        if mark[1]:
            break
        head, _, content = body[mark.end() : after.start()].partition(b"\r\n\r\n")
        parts.append(Part(head, content))
    return parts


def now(ctx: Context) -> tuple[str | None, bytes]:
    """Content-Type and body with the queued edits of them applied."""
    places = ctx.msg.find("Content-Type")
    kind = ctx.msg.header("Content-Type")
    if places:
        _, _, _, start, end, _ = ctx.msg.row(places[0])
        kind = from_octets(edits.pending(ctx, start, end))
    else:
        for _, _, text in ctx.edits:
            if text.startswith(b"Content-Type: "):
                kind = from_octets(text[14:]).strip()
    return kind, edits.pending(ctx, ctx.msg.body_start, len(ctx.msg.data))


def first_of(ctx: Context, kind: str) -> Part | None:
    """The first part of that media type."""
    return next((part for part in parts_of(ctx) if part.kind == media_type(kind)), None)


def write(ctx: Context, parts: list[Part], boundary: str) -> None:
    """Queue a multipart body of these parts."""
    line = b"--" + to_octets(boundary)
    body = (
        b"".join(line + b"\r\n" + bytes(part).rstrip(b"\r\n") + b"\r\n" for part in parts) + line + b"--\r\n"
    )
    edits.replace_body(ctx, body)


class MultipartFunctions:
    """Bodies of several parts."""

    @function("set_body_multipart", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE, arities=(0, 1, 2, 3))
    def set_body_multipart(self, ctx: Context, text: str = "", kind: str = "", boundary: str = "") -> bool:
        """Make the body multipart/mixed: of its old content, or of one part with `text` of type `kind`.

        One argument alone is the boundary.
        """
        if text and not kind:
            text, boundary = "", text
        boundary = boundary or _DEFAULT_BOUNDARY
        if text:
            part = _part(to_octets(text), kind or "text/plain", "")
        elif ctx.msg.body:
            part = _part(ctx.msg.body, ctx.msg.header("Content-Type") or "text/plain", "")
        else:
            return False
        write(ctx, [part], boundary)
        edits.set_header(ctx, "Content-Type", f'multipart/mixed;boundary="{boundary}"')
        if ctx.msg.header("MIME-Version") is None:
            edits.append_header(ctx, "MIME-Version: 1.0")
        return True

    @function("append_body_part", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def append_body_part(self, ctx: Context, text: str, kind: str, disposition: str = "") -> bool:
        """Add a part to a multipart body."""
        boundary = boundary_of(now(ctx)[0])
        if boundary is None or not kind:
            return False
        write(ctx, [*parts_of(ctx), _part(to_octets(text), kind, disposition)], boundary)
        return True

    @function("append_body_part_hex", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def append_body_part_hex(self, ctx: Context, text: str, kind: str, disposition: str = "") -> bool:
        """Like `append_body_part`; the text is hexadecimal."""
        boundary = boundary_of(now(ctx)[0])
        try:
            content = bytes.fromhex(text)
        except ValueError:
            return False
        if boundary is None or not kind:
            return False
        write(ctx, [*parts_of(ctx), _part(content, kind, disposition)], boundary)
        return True

    @function("remove_body_part", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def remove_body_part(self, ctx: Context, kind: str) -> bool:
        """Remove the parts of that type from a multipart body."""
        boundary, parts = boundary_of(now(ctx)[0]), parts_of(ctx)
        kept = [part for part in parts if part.kind != media_type(kind)]
        if boundary is None or len(kept) == len(parts):
            return False
        write(ctx, kept, boundary)
        return True

    @function("get_body_part", routes=ANY & ~ONSEND_ROUTE)
    def get_body_part(self, ctx: Context, kind: Plain, variable: Variable) -> bool:
        """Store the content of the first part of that type."""
        part = first_of(ctx, kind)
        if part is None:
            return False
        variable.set(ctx, from_octets(part.content))
        return True

    @function("get_body_part_raw", routes=ANY & ~ONSEND_ROUTE)
    def get_body_part_raw(self, ctx: Context, kind: Plain, variable: Variable) -> bool:
        """Store the first part of that type, its headers included."""
        part = first_of(ctx, kind)
        if part is None:
            return False
        variable.set(ctx, from_octets(bytes(part)))
        return True


def _part(content: bytes, kind: str, disposition: str) -> Part:
    lines = [f"Content-Type: {kind}"]
    if disposition:
        lines.append(f"Content-Disposition: {disposition}")
    return Part(to_octets("\r\n".join(lines)), content)
