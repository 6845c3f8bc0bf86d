"""From and To assigned more than once, as Kamailio 5.6.3 does it: all are sent, one behind the other.

Only where the cfg defines KAMTOOL_QUIRKS: what comes of it is mostly no URI (RFC 3261 §25.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.script import edits

if TYPE_CHECKING:
    from kamtool.script.context import Context


def assign(ctx: Context, name: str, begin: int, end: int, edit: tuple[int, int, bytes]) -> None:
    """Queue another text for a part of the URI of `name`, which stands at `data[begin:end]`."""
    message, made = ctx.scratch.get(f"quirks.{name}", (None, []))
    if message is not ctx.msg:
        made = []  # msg_apply_changes() has made a message of what was queued
        ctx.scratch[f"quirks.{name}"] = ctx.msg, made
    made.append(edit)
    edits.put(ctx, begin, end, strung(ctx.msg.data[begin:end], begin, made))


def strung(text: bytes, at: int, made: list[tuple[int, int, bytes]]) -> bytes:
    """`text`, which stands at `at`, with all edits in the order of their places, in one place in turn."""
    begin, end = at, at + len(text)
    out: list[bytes] = []
    for start, stop, new in sorted(made, key=lambda edit: edit[0]):
        out += [text[at - begin : max(at, start) - begin], new]
        at = max(at, stop)
    return b"".join([*out, text[at - begin : end - begin]])


def user_edit(uri: bytes, begin: int, user: bytes) -> tuple[int, int, bytes]:
    """What `$fU = …` of a URI that begins at `begin` queues; b"" takes it away, with the `@`."""
    start = uri.index(b":") + 1
    at = uri.find(b"@")
    if at < 0:
        return begin + start, begin + start, user + b"@" if user else b""
    colon = uri.find(b":", start, at)
    stop = colon if colon >= 0 else at if user else at + 1
    return begin + start, begin + stop, user


def host_edit(uri: bytes, begin: int, host: bytes) -> tuple[int, int, bytes]:
    """What `$fd = …` of a URI that begins at `begin` queues."""
    start = uri.find(b"@") + 1 or uri.index(b":") + 1
    after = uri.find(b"]", start) + 1 or start
    stops = [at for mark in b":;?" if (at := uri.find(mark, after)) >= 0]
    return begin + start, begin + min(stops, default=len(uri)), host


PARTS = {"user": user_edit, "host": host_edit}
