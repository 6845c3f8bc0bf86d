"""A URI's text in its raw parts, to read one of them or to replace it and leave the rest byte for byte.

`$rU`, `rewritehost()` and `{uri.host}` speak of texts as they stand in the message: nothing is unescaped,
lower-cased or put in order here. What may be compared or connected to is `sip.uri`'s business.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from kamtool.errors import ScriptError

_SIP = re.compile(
    r"(sips?):"
    r"(?:([^:@]*)(?::([^@]*))?(@))?"
    r"(\[[0-9a-f:.]+\]|[^\s:;?@<>\"\[\]/,=&+$]+)"
    r"(?::([0-9]{1,5}))?"
    r"(?:;([^?]*))?"
    r"(?:\?(.*))?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_TEL = re.compile(r"(tels?):([^;?]+)(?:;([^?]*))?(?:\?(.*))?", re.IGNORECASE | re.DOTALL)
_URN = re.compile(r"(urn):(\S+)", re.IGNORECASE)


class UriText(NamedTuple):
    """The parts of a sip, sips, tel or urn URI as written; an absent part is None."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: str | None
    params: str | None
    headers: str | None

    @property
    def transport(self) -> str:
        """The value of the transport parameter as written, empty when there is none."""
        return param(self.params, "transport") or "" if self.params else ""

    @property
    def port_or_default(self) -> str:
        """The port, else 5061 where TLS is asked for, else 5060."""
        if self.port:
            return self.port
        return "5061" if self.scheme.lower() == "sips" or self.transport.lower() == "tls" else "5060"

    def __str__(self) -> str:
        if self.scheme.lower() in ("tel", "tels", "urn"):
            head = f"{self.scheme}:{self.user or ''}"
        else:
            user = (
                ""
                if self.user is None
                else self.user + ("" if self.password is None else f":{self.password}")
            )
            at = "" if self.user is None else "@"
            port = f":{self.port}" if self.port else ""
            head = f"{self.scheme}:{user}{at}{self.host}{port}"
        params = "" if self.params is None else f";{self.params}"
        headers = "" if self.headers is None else f"?{self.headers}"
        return head + params + headers


@lru_cache(maxsize=4096)
def parts(text: str) -> UriText | None:
    """The parts of a URI, None when it is none that SIP routes by."""
    if found := _SIP.fullmatch(text):
        scheme, user, password, _, host, port, params, headers = found.groups()
        if port is not None and int(port) > 65535:
            return None
        return UriText(scheme, user, password, host, port, params, headers)
    if found := _TEL.fullmatch(text):
        scheme, number, params, headers = found.groups()
        return UriText(scheme, number, None, "", None, params, headers)
    if found := _URN.fullmatch(text):
        return UriText(found[1], found[2], None, "", None, None, None)
    return None


def need(text: str) -> UriText:
    """Like `parts`, but raises ScriptError for what is no URI."""
    result = parts(text)
    if result is None:
        raise ScriptError(f"bad URI {text[:256]!r}")
    return result


def param(params: str | None, name: str) -> str | None:
    """The value of a parameter in `a=1;b`, any case of its name; "" for a bare one, None when absent."""
    if not params:
        return None
    name = name.lower()
    for piece in params.split(";"):
        key, _, value = piece.partition("=")
        if key.strip().lower() == name:
            return value.strip()
    return None
