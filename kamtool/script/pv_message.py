"""Pseudo-variables of the message itself: first line, headers, body, the raw buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Index, Value, pv
from kamtool.script import edits
from kamtool.script.values import from_octets
from kamtool.sip.message import METHODS, OTHER_METHOD, Response

if TYPE_CHECKING:
    from kamtool.script.context import Context

LIST_HEADERS = frozenset((
    "via", "v", "contact", "m", "route", "record-route", "path", "service-route", "diversion", "history-info",
    "p-asserted-identity", "p-preferred-identity", "remote-party-id", "allow", "supported", "k", "require",
    "proxy-require", "unsupported", "accept", "accept-encoding", "accept-language", "allow-events", "u",
    "call-info", "error-info", "alert-info", "in-reply-to",
))  # fmt: skip
"""Headers whose grammar is a comma list, in lower case (RFC 3261 §7.3.1 and the extensions a proxy meets)."""


def at(values: list[str], index: Index, separator: str = ",") -> Value:
    """The value at an index: None is the first, negative counts from the end, `*` joins all."""
    if not values:
        return None
    if index is None:
        return values[0]
    if index == "*":
        return separator.join(values)
    number = index if type(index) is int else 0
    return values[number] if -len(values) <= number < len(values) else None


class FirstLineVariables:
    """`$rm $rs $rr $rv $mt` and friends."""

    @pv("rm", kind=str, inline="ctx.msg.method")
    def get_rm(self, ctx: Context) -> Value:
        """The method; of a reply, its CSeq's method."""
        return ctx.msg.method

    @pv("rmid", kind=int)
    def get_rmid(self, ctx: Context) -> Value:
        """The method as a number: INVITE 1, CANCEL 2, ACK 4, BYE 8 …; 0 for one that has none."""
        return METHODS.get(ctx.msg.method, OTHER_METHOD)

    @pv("rs", kind=int, inline="(ctx.msg.status or None)")
    def get_rs(self, ctx: Context) -> Value:
        """The status code of a reply; undefined in requests and failure routes."""
        return ctx.msg.status or None

    @pv("rr", kind=str)
    def get_rr(self, ctx: Context) -> Value:
        """The reason phrase of a reply."""
        return ctx.msg.reason if ctx.msg.status else None

    @pv("rv", kind=str)
    def get_rv(self, ctx: Context) -> Value:
        """The SIP version of the first line."""
        words = ctx.msg.data[: ctx.msg.data.index(b"\r\n") if b"\r\n" in ctx.msg.data else None].split()
        return from_octets(words[0] if isinstance(ctx.msg, Response) else words[-1])

    @pv("mt", kind=int, inline="(1 if ctx.msg.is_request else 2)")
    def get_mt(self, ctx: Context) -> Value:
        """1 for a request, 2 for a reply."""
        return 1 if ctx.msg.is_request else 2

    @pv("mts", kind=str)
    def get_mts(self, ctx: Context) -> Value:
        """`rq` for a request, `rp` for a reply."""
        return "rp" if isinstance(ctx.msg, Response) else "rq"


class HeaderVariables:
    """`$ci $cs $ct $cT $cl $ua`, `$hdr(…)` and the list forms."""

    @pv("ci", kind=str, inline="ctx.msg.call_id")
    def get_ci(self, ctx: Context) -> Value:
        """The Call-ID."""
        return ctx.msg.call_id

    @pv("cs", kind=str)
    def get_cs(self, ctx: Context) -> Value:
        """The number of the CSeq, as text."""
        return str(ctx.msg.cseq)

    @pv("csb", kind=str)
    def get_csb(self, ctx: Context) -> Value:
        """The CSeq header's value: number and method."""
        return f"{ctx.msg.cseq} {ctx.msg.cseq_method}"

    @pv("ct", kind=str)
    def get_ct(self, ctx: Context) -> Value:
        """The value of the first Contact header."""
        return ctx.msg.header("Contact")

    @pv("cT", kind=str)
    def get_cT(self, ctx: Context) -> Value:  # noqa: N802
        """The value of the Content-Type header."""
        return ctx.msg.header("Content-Type")

    @pv("cl", kind=int)
    def get_cl(self, ctx: Context) -> Value:
        """The number in Content-Length, 0 when there is none."""
        return ctx.msg.content_length or 0

    @pv("ua", kind=str, inline='ctx.msg.header("User-Agent")')
    def get_ua(self, ctx: Context) -> Value:
        """The value of the User-Agent header."""
        return ctx.msg.header("User-Agent")

    @pv("hdr", kind=str, inner_required=True, inline="ctx.msg.header(inner)")
    def get_hdr(self, ctx: Context, inner: str, index: Index = None) -> Value:
        """The value of a header as received: `$hdr(X)` the first, `$(hdr(X)[-1])` the last, `[*]` all."""
        if index is None:
            return ctx.msg.header(inner)
        return at(ctx.msg.headers(inner), index)

    @pv("hdrc", kind=int, inner_required=True)
    def get_hdrc(self, ctx: Context, inner: str) -> Value:
        """How many headers of that name there are."""
        return len(ctx.msg.headers(inner))

    @pv("hfl", kind=str, inner_required=True)
    def get_hfl(self, ctx: Context, inner: str, index: Index = None) -> Value:
        """An item of a header that is a comma list (Via, Route, Contact …); other headers are taken whole."""
        return at(header_items(ctx, inner), index)

    @pv("hflc", kind=int, inner_required=True)
    def get_hflc(self, ctx: Context, inner: str) -> Value:
        """How many items the headers of that name hold."""
        return len(header_items(ctx, inner))

    @pv("expires", kind=int, inner_required=True, form="min|max")
    def get_expires(self, ctx: Context, inner: str) -> Value:
        """The least (`min`) or greatest (`max`) expiry of the Contacts; else what the Expires header says."""
        if inner not in ("min", "max"):
            raise ScriptError(f"$expires knows min and max, not {inner!r}")
        found = [value for item in ctx.msg.items("Contact") if (value := _expires_of(item)) is not None]
        header = ctx.msg.header("Expires") or ""
        if not found and header.isascii() and header.isdigit():
            found = [int(header[:10])]
        if not found:
            return None
        return min(found) if inner == "min" else max(found)


def _expires_of(contact: str) -> int | None:
    from kamtool.script.address_text import address
    from kamtool.script.uri_text import param

    found = address(contact)
    value = None if found is None else param(found.params, "expires")
    return int(value[:10]) if value and value.isascii() and value.isdigit() else None


def header_items(ctx: Context, name: str) -> list[str]:
    """The items of a comma-list header, or the values of any other."""
    return ctx.msg.items(name) if name.lower() in LIST_HEADERS else ctx.msg.headers(name)


class BufferVariables:
    """`$rb $bs $mb $ml $mi` and `$msg(…)`."""

    @pv("rb", kind=str)
    def get_rb(self, ctx: Context) -> Value:
        """The body, empty when there is none."""
        return from_octets(ctx.msg.body)

    @pv("bs", kind=int)
    def get_bs(self, ctx: Context) -> Value:
        """The size of the body in octets."""
        return len(ctx.msg.body)

    @pv("mb", kind=str)
    def get_mb(self, ctx: Context) -> Value:
        """The message as received."""
        return from_octets(ctx.msg.data)

    @pv("mbu", kind=str)
    def get_mbu(self, ctx: Context) -> Value:
        """The message with the edits that are queued for it."""
        return from_octets(edits.applied(ctx))

    @pv("ml", kind=int)
    def get_ml(self, ctx: Context) -> Value:
        """The length of the message in octets."""
        return len(ctx.msg.data)

    @pv("mi", kind=int)
    def get_mi(self, ctx: Context) -> Value:
        """The number of the message: how many this process has received."""
        known = ctx.scratch.get("pv.mi")
        if known is None:
            stats = ctx.host.stats
            known = stats.get("core:rcv_requests", 0) + stats.get("core:rcv_replies", 0)
            known -= stats.get("core:msgid_base", 0)
            ctx.scratch["pv.mi"] = known
        return int(known)

    @pv("msg", inner_required=True, form="len|buf|body|hdrs|hdrc|fline|fpart|lpart")
    def get_msg(self, ctx: Context, inner: str) -> Value:
        """A piece: `len buf body hdrs fline`, `fpart` up to the body, `lpart` from the headers."""
        data, body = ctx.msg.data, ctx.msg.body
        fields = ctx.msg.fields()
        first, last = fields[0].start, fields[-1].end
        pieces = {
            "buf": data,
            "body": body,
            "hdrs": data[first:last].removesuffix(b"\r\n"),
            "fline": data[:first].rstrip(b"\r\n"),
            "fpart": data[:last].removesuffix(b"\r\n"),
            "lpart": data[first:],
        }
        if inner == "len":
            return len(data)
        if inner not in pieces:
            raise ScriptError(f"$msg({inner}): no such piece")
        return from_octets(pieces[inner])
