"""siputils: telephone numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamtool.module import ANY, BRANCH_ROUTE, FAILURE_ROUTE, ONREPLY_ROUTE, REQUEST_ROUTE, Variable, function
from kamtool.script import uri_text

if TYPE_CHECKING:
    from kamtool.script.context import Context

_E164 = re.compile(r"\+[0-9]{2,15}", re.ASCII)
_TELEPHONE = re.compile(r"\+?[0-9]+", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_ALPHANUMERIC = re.compile(r"[0-9A-Za-z]+", re.ASCII)


def is_e164(text: str | None) -> bool:
    """`+` and 2 to 15 digits (ITU-T E.164)."""
    return text is not None and _E164.fullmatch(text) is not None


class NumberFunctions:
    """Texts that may be numbers."""

    @function("is_e164", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def is_e164(self, ctx: Context, text: str) -> bool:
        """True for `+` and 2 to 15 digits."""
        return is_e164(text)

    @function("is_uri_user_e164", routes=ANY)
    def is_uri_user_e164(self, ctx: Context, uri: str) -> bool:
        """True when the user of the URI is `+` and 2 to 15 digits."""
        parts = uri_text.parts(uri)
        return parts is not None and is_e164(parts.user)

    @function("is_tel_number", routes=ANY)
    def is_tel_number(self, ctx: Context, text: str) -> bool:
        """True for digits, with or without a `+` before them."""
        return _TELEPHONE.fullmatch(text) is not None

    @function("is_numeric", routes=ANY)
    def is_numeric(self, ctx: Context, text: str) -> bool:
        """True for digits."""
        return _DIGITS.fullmatch(text) is not None

    @function("is_alphanum", routes=ANY)
    def is_alphanum(self, ctx: Context, text: str) -> bool:
        """True for ASCII letters and digits."""
        return _ALPHANUMERIC.fullmatch(text) is not None

    @function("is_alphanumex", routes=ANY)
    def is_alphanumex(self, ctx: Context, text: str, also: str) -> bool:
        """True for ASCII letters, digits and the characters of `also`."""
        return text != "" and all(_ALPHANUMERIC.fullmatch(c) or c in also for c in text)

    @function("tel2sip", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE | ONREPLY_ROUTE)
    def tel2sip(self, ctx: Context, uri: str, host: str, result: Variable) -> int:
        """Store the SIP URI that a tel URI becomes at `host` (RFC 3261 §19.1.6); 2 when it is no tel URI."""
        if not uri.lower().startswith("tel:"):
            return 2
        number, _, params = uri[4:].partition(";")
        digits = re.sub(r"[-.()]", "", number)
        if not digits or not host:
            return -1
        params = ";".join(sorted(params.lower().split(";"))) if params else ""
        user = f"{digits};{params}" if params else digits
        result.set(ctx, f"sip:{user}@{host};user=phone")
        return 1
