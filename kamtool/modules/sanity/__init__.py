"""Refuse requests that are not what RFC 3261 allows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.module import ONREPLY_ROUTE, REQUEST_ROUTE, Host, Module, Param, function
from kamtool.modules.sanity.plain import (
    DIGEST,
    DUPLICATE_TAGS,
    EXPIRES,
    PARSE_URIS,
    PROXY_REQUIRE,
    TRANSPORTS,
    URI_CONTACT,
    URI_FROM,
    URI_TO,
    Checking,
    quick,
)
from kamtool.script import uri_text
from kamtool.script.address_text import address
from kamtool.script.pv_identity import digest_params
from kamtool.script.pv_uri import received_uri
from kamtool.sip.message import Response
from kamtool.speed import plain_request

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.sanity")

RURI_VERSION, RURI_SCHEME, REQUIRED_HEADERS, VIA_VERSION, VIA_PROTOCOL = 1, 2, 4, 8, 16
CSEQ_METHOD, CSEQ_VALUE, CONTENT_LENGTH = 32, 64, 128
URI_RURI = 1

Refusal = tuple[int, str, tuple[tuple[str, str], ...]]
"""What to answer: status, reason, headers."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_KNOWN_SCHEMES = frozenset({"sip", "sips", "tel", "tels", "urn"})
_VIA = re.compile(r"\s*SIP\s*/\s*([^/\s]+)\s*/\s*([^\s]+)", re.IGNORECASE)
_DIGEST_PARAMS = ("username", "realm", "nonce", "uri", "response")


def _bad(reason: str) -> Refusal:
    return 400, reason, ()


class Sanity(Module):
    """Checks what a request must be, and answers those that are not it.

    Much of this the parser has refused already, in any route: these checks say it in the script's own time.
    """

    live = ("default_checks", "uri_checks", "proxy_require", "autodrop", "noreply")

    default_checks = Param(3047, "the checks of `sanity_check()` without parameters, a sum of bits")
    uri_checks = Param(7, "the URIs that are parsed: 1 R-URI, 2 From, 4 To, 8 Contact")
    proxy_require = Param("", "the option tags in Proxy-Require that are supported, separated by commas")
    autodrop = Param(1, "1: a failed check ends the script; 0: the function returns false")
    noreply = Param(0, "1: answer nothing before `sanity_reply()`")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        # What scripts call: this method only sees what is not plain.
        vars(self)["sanity_check"] = Checking(self, self.sanity_check).check
        vars(self)["is_plain"] = plain_request

    @function("sanity_check", routes=REQUEST_ROUTE | ONREPLY_ROUTE, quick=quick)
    def sanity_check(self, ctx: Context, msg_checks: int | None = None, uri_checks: int | None = None) -> int:
        """Run the checks that the bits of `msg_checks` name; answer and stop at the first that fails.

        1 version of the first line, 2 scheme of the R-URI, 4 required headers, 8 version in Via, 16 transport
        in Via, 32 method in CSeq, 64 number in CSeq, 128 Content-Length, 256 Expires, 512 Proxy-Require,
        1024 URIs (the bits of `uri_checks`), 2048 digest credentials, 4096 tags given twice.
        """
        wanted = self.default_checks if msg_checks is None else msg_checks
        uris = self.uri_checks if uri_checks is None else uri_checks
        is_reply = not ctx.msg.is_request
        for bit, check in _CHECKS:
            if not wanted & bit or (is_reply and not bit & _FOR_REPLIES):
                continue
            refusal = check(self, ctx, uris)
            if refusal is not None:
                return self._refuse(ctx, refusal)
        return 1

    @function("sanity_reply", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def sanity_reply(self, ctx: Context) -> bool:
        """Answer what the last `sanity_check()` found, when `noreply` kept it from answering."""
        refusal: Refusal | None = ctx.scratch.pop("sanity.refusal", None)
        return refusal is not None and self._answer(ctx, refusal)

    def _refuse(self, ctx: Context, refusal: Refusal) -> int:
        logger.info("%s from %s: %s", ctx.msg.method, ctx.flow.remote, refusal[1])
        if self.noreply:
            ctx.scratch["sanity.refusal"] = refusal
        elif not isinstance(ctx.msg, Response) and ctx.msg.method != "ACK":
            self._answer(ctx, refusal)
        return 0 if self.autodrop else -1

    def _answer(self, ctx: Context, refusal: Refusal) -> bool:
        server: Any = self.server
        status, reason, headers = refusal
        return bool(server.reply(ctx, status, reason, headers))

    def _ruri_version(self, ctx: Context, uris: int) -> Refusal | None:
        version = ctx.msg.data[: ctx.msg.first_line_end].split()[-1]
        return None if version.upper() == b"SIP/2.0" else (505, "Version Not Supported", ())

    def _ruri_scheme(self, ctx: Context, uris: int) -> Refusal | None:
        uri = received_uri(ctx) or ""
        found = _SCHEME.match(uri)
        if found is None:
            return _bad("Bad Request URI")
        if found[0].lower() not in _KNOWN_SCHEMES:
            # RFC 3261 §8.2.2.1 asks for 416 where Kamailio says 400.
            return 416, "Unsupported URI Scheme", ()
        return None if uri_text.parts(uri) is not None else _bad("Bad Request URI")

    def _required_headers(self, ctx: Context, uris: int) -> Refusal | None:
        for name in ("To", "From", "CSeq", "Call-ID", "Via"):
            if not ctx.msg.find(name):
                return _bad(f"Missing Required Header {name}")
        return None

    def _via(self, ctx: Context) -> tuple[str, str]:
        found = _VIA.match(ctx.msg.header("Via") or "")
        return (found[1], found[2].upper()) if found else ("", "")

    def _via_version(self, ctx: Context, uris: int) -> Refusal | None:
        return None if self._via(ctx)[0] == "2.0" else (505, "Version Not Supported in Via", ())

    def _via_protocol(self, ctx: Context, uris: int) -> Refusal | None:
        return None if self._via(ctx)[1] in TRANSPORTS else _bad("Unsupported Protocol in Via")

    def _cseq_method(self, ctx: Context, uris: int) -> Refusal | None:
        if ctx.msg.cseq_method == ctx.msg.method:
            return None
        return _bad("CSeq method does not match request method")

    def _cseq_value(self, ctx: Context, uris: int) -> Refusal | None:
        # RFC 3261 §8.1.1.5: less than 2**31. What no one exceeds is 32 bits.
        return None if 0 <= ctx.msg.cseq < 2**32 else _bad("CSeq number is illegal")

    def _content_length(self, ctx: Context, uris: int) -> Refusal | None:
        length = ctx.msg.content_length
        return None if length is None or length == len(ctx.msg.body) else _bad("Content-Length mis-match")

    def _expires(self, ctx: Context, uris: int) -> Refusal | None:
        value = ctx.msg.header("Expires")
        if value is None or (value.isascii() and value.isdigit()):
            return None
        return _bad("Expires value is illegal")

    def _proxy_require(self, ctx: Context, uris: int) -> Refusal | None:
        if not ctx.msg.find("Proxy-Require"):
            return None
        known = {tag.strip().lower() for tag in self.proxy_require.split(",")}
        strange = [tag for tag in ctx.msg.items("Proxy-Require") if tag.lower() not in known]
        if not strange:
            return None
        # §16.3: Unsupported lists every tag not understood; Kamailio names the first.
        return 420, "Bad Proxy Require Extension", (("Unsupported", ", ".join(strange)),)

    def _uris(self, ctx: Context, uris: int) -> Refusal | None:
        if uris & URI_RURI and uri_text.parts(received_uri(ctx) or "") is None:
            return _bad("Bad Request URI")
        for bit, name in ((URI_FROM, "From"), (URI_TO, "To")):
            if uris & bit and not _parses(ctx.msg.header(name) or ""):
                return _bad(f"Invalid {name} Header")
        if uris & URI_CONTACT:
            for item in ctx.msg.items("Contact"):
                if item != "*" and not _parses(item):
                    return _bad("Bad Contact URI")
        return None

    def _digest(self, ctx: Context, uris: int) -> Refusal | None:
        value = ctx.msg.header("Proxy-Authorization") or ctx.msg.header("Authorization")
        if value is None or not value.lower().startswith("digest"):
            return None
        params = digest_params(ctx)
        if not params:
            return _bad("Bad Auth Header")
        return None if all(params.get(name) for name in _DIGEST_PARAMS) else _bad("Bad Auth Credentials")

    def _tags(self, ctx: Context, uris: int) -> Refusal | None:
        for name in ("From", "To"):
            found = address(ctx.msg.header(name) or "")
            tags = re.findall(r"(?:^|;)\s*tag\s*=", found.params, re.IGNORECASE) if found else []
            if len(tags) > 1:
                return _bad(f"Duplicate Tag in {name}")
        return None


def _parses(value: str) -> bool:
    found = address(value)
    return found is not None and uri_text.parts(found.uri) is not None


_CHECKS: tuple[tuple[int, Callable[[Sanity, Any, int], Refusal | None]], ...] = (
    (RURI_VERSION, Sanity._ruri_version),
    (RURI_SCHEME, Sanity._ruri_scheme),
    (REQUIRED_HEADERS, Sanity._required_headers),
    (VIA_VERSION, Sanity._via_version),
    (VIA_PROTOCOL, Sanity._via_protocol),
    (CSEQ_METHOD, Sanity._cseq_method),
    (CSEQ_VALUE, Sanity._cseq_value),
    (CONTENT_LENGTH, Sanity._content_length),
    (EXPIRES, Sanity._expires),
    (PROXY_REQUIRE, Sanity._proxy_require),
    (PARSE_URIS, Sanity._uris),
    (DIGEST, Sanity._digest),
    (DUPLICATE_TAGS, Sanity._tags),
)

_FOR_REPLIES = (
    REQUIRED_HEADERS | VIA_VERSION | VIA_PROTOCOL | CSEQ_METHOD | CSEQ_VALUE | CONTENT_LENGTH | DUPLICATE_TAGS
)
