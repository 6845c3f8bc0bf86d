"""textops: headers, added, removed and asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from kamtool.module import ANY, BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Plain, Regex, function
from kamtool.script import edits
from kamtool.script.pv_uri import received_uri
from kamtool.script.values import matches, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context

_REQUESTS = REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE


@lru_cache(maxsize=256)
def _methods(text: str) -> frozenset[str]:
    return frozenset(name.strip().upper() for name in text.split("|"))


def _inline_is_method(arguments: Sequence[str | None]) -> str:
    names = arguments[0]
    if names is None:
        return ""
    wanted = ", ".join(map(repr, sorted(_methods(names))))
    return f"ctx.msg.method in {{{wanted}}}" if "," in wanted else f"ctx.msg.method == {wanted}"


_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda value, text: value == text,
    "ne": lambda value, text: value != text,
    "in": lambda value, text: text in value,
    "re": lambda value, text: matches(text, value),
}


class HeaderFunctions:
    """Headers. A name may be the compact one and ignores case."""

    @function("is_method", routes=ANY, inline=_inline_is_method)
    def is_method(self, ctx: Context, names: Plain) -> bool:
        """True when the method, of a reply its CSeq's, is one of `INVITE|ACK|…`."""
        return ctx.msg.method in _methods(names)

    @function("append_hf", routes=ANY)
    def append_hf(self, ctx: Context, text: str, after: Plain | None = None) -> bool:
        r"""Add header lines after the last header, or after the last one named `after`.

        The text is whole lines: `append_hf("P-Hint: usrloc\r\n")`; a missing line end is added.
        """
        places = ctx.msg.find(after) if after else ()
        at = ctx.msg.row(places[-1])[5] if places else ctx.msg.head_end
        ctx.edit(at, at, to_octets(edits.lines(text)))
        return text != ""

    @function("insert_hf", routes=ANY)
    def insert_hf(self, ctx: Context, text: str, before: Plain | None = None) -> bool:
        """Add header lines before the first header, or before the first one named `before`."""
        places = ctx.msg.find(before) if before else ()
        at = ctx.msg.row(places[0])[1] if places else ctx.msg.head_end if before else ctx.msg.first_line_end
        ctx.edit(at, at, to_octets(edits.lines(text)))
        return text != ""

    @function("append_urihf", routes=_REQUESTS)
    def append_urihf(self, ctx: Context, prefix: Plain, suffix: Plain) -> bool:
        """Add a header after the last one: prefix, the R-URI as received, suffix."""
        uri = received_uri(ctx)
        if uri is None:
            return False
        edits.append_header(ctx, prefix + uri + suffix)
        return True

    @function("append_to_reply", routes=_REQUESTS)
    def append_to_reply(self, ctx: Context, text: str) -> int:
        """Add a header line to the replies that this server makes to the request."""
        line = text.rstrip("\r\n")
        if line:
            ctx.add_reply_header(line)
        return 1

    @function("append_time", routes=_REQUESTS)
    def append_time(self, ctx: Context) -> int:
        """Add a Date header to the replies that this server makes."""
        ctx.add_reply_header(f"Date: {_date()}")
        return 1

    @function("append_time_to_request", routes=ANY)
    def append_time_to_request(self, ctx: Context) -> int:
        """Add a Date header to the request."""
        edits.append_header(ctx, f"Date: {_date()}")
        return 1

    @function("remove_hf", routes=ANY)
    def remove_hf(self, ctx: Context, name: Plain) -> bool:
        """Remove every header of that name; false when there is none."""
        if not ctx.msg.find(name):
            return False
        return edits.remove(ctx, ctx.msg.fields(name)) > 0

    @function("remove_hf_pv", routes=ANY)
    def remove_hf_pv(self, ctx: Context, name: str) -> bool:
        """Like `remove_hf`; the name may hold pseudo-variables."""
        return edits.remove(ctx, ctx.msg.fields(name)) > 0

    @function("remove_hf_idx", routes=ANY)
    def remove_hf_idx(self, ctx: Context, name: str, index: int) -> bool:
        """Remove the header at `index` among those of that name, negative from the end."""
        fields = ctx.msg.fields(name)
        if not -len(fields) <= index < len(fields):
            return False
        return edits.remove(ctx, [fields[index]]) > 0

    @function("remove_hf_match", routes=ANY)
    def remove_hf_match(self, ctx: Context, name: str, operator: str, text: str) -> int:
        """Remove each header of that name whose value is (`eq`), is not (`ne`), holds (`in`), matches (`re`).

        -2 when none is removed, -1 when there is no such operator.
        """
        test = _MATCHES.get(operator.lower())
        if test is None:
            return -1
        found = [field for field in ctx.msg.fields(name) if test(field.value, text)]
        return 1 if found and edits.remove(ctx, found) else -2

    @function("remove_hf_re", routes=ANY)
    def remove_hf_re(self, ctx: Context, pattern: Regex) -> bool:
        """Remove every header whose name matches."""
        return edits.remove(ctx, [f for f in ctx.msg.fields() if pattern.search(f.name)]) > 0

    @function("remove_hf_re_pv", routes=ANY)
    def remove_hf_re_pv(self, ctx: Context, pattern: str) -> bool:
        """Like `remove_hf_re`; the expression may hold pseudo-variables."""
        return edits.remove(ctx, [f for f in ctx.msg.fields() if matches(pattern, f.name)]) > 0

    @function("remove_hf_exp", routes=ANY)
    def remove_hf_exp(self, ctx: Context, pattern: Regex, keep: Regex) -> bool:
        """Remove every header whose name matches, unless it matches `keep` too."""
        found = [f for f in ctx.msg.fields() if pattern.search(f.name) and not keep.search(f.name)]
        return edits.remove(ctx, found) > 0

    @function("remove_hf_exp_pv", routes=ANY)
    def remove_hf_exp_pv(self, ctx: Context, pattern: str, keep: str) -> bool:
        """Like `remove_hf_exp`; the expressions may hold pseudo-variables."""
        found = [f for f in ctx.msg.fields() if matches(pattern, f.name) and not matches(keep, f.name)]
        return edits.remove(ctx, found) > 0

    @function("is_present_hf", routes=ANY)
    def is_present_hf(self, ctx: Context, name: Plain) -> bool:
        """True when there is a header of that name."""
        return ctx.msg.header(name) is not None

    @function("is_present_hf_pv", routes=ANY)
    def is_present_hf_pv(self, ctx: Context, name: str) -> bool:
        """Like `is_present_hf`; the name may hold pseudo-variables."""
        return ctx.msg.header(name) is not None

    @function("is_present_hf_re", routes=ANY)
    def is_present_hf_re(self, ctx: Context, pattern: Regex) -> bool:
        """True when a header's name matches."""
        return any(pattern.search(field.name) for field in ctx.msg.fields())

    @function("is_present_hf_re_pv", routes=ANY)
    def is_present_hf_re_pv(self, ctx: Context, pattern: str) -> bool:
        """Like `is_present_hf_re`; the expression may hold pseudo-variables."""
        return any(matches(pattern, field.name) for field in ctx.msg.fields())

    @function("is_privacy", routes=ANY)
    def is_privacy(self, ctx: Context, kind: Plain) -> bool:
        """True when the Privacy header asks for `kind`: id, header, session, user, none (RFC 3323)."""
        asked = (ctx.msg.header("Privacy") or "").lower()
        return kind.lower() in [word.strip() for word in asked.replace(",", ";").split(";")]


def _date() -> str:
    # RFC 3261 §20.17: always GMT.
    from email.utils import formatdate  # 2 ms, which a check does without

    return formatdate(time.time(), usegmt=True)
