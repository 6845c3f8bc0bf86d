"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966): parse, print, compare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote_from_bytes, unquote_to_bytes

from kamtool.errors import ParseError
from kamtool.speed import split_uri

Params = Mapping[str, str | None]


def unescape(text: str) -> str:
    """The text with its %-escapes resolved; octets that are no UTF-8 survive as surrogates."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def escape(text: str, safe: str = "-_.!~*'()&=+$,;?/") -> str:
    """The text with %-escapes for what is not in `safe`; by default what a user part may hold (§25.1)."""
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI, its parts as written.

    `user` and `password` are None when absent and keep their escapes, `host` keeps the brackets of IPv6,
    `port` is None when absent. Names of `params` and `headers` are lower case; `"lr": None` is a parameter
    without a value.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Params = field(default_factory=dict)
    headers: Params = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Raises ParseError, also when the scheme is another."""
        scheme, user, password, host, port, params, headers = split_uri(text)
        return cls(
            scheme, user, password, host, port,
            _pairs(params[1:], ";") if params else {},
            _pairs(headers[1:], "&") if headers else {},
        )  # fmt: skip

    @property
    def transport(self) -> str:
        """The transport parameter in lower case, "" when there is none."""
        return (self.params.get("transport") or "").lower()

    @property
    def loose(self) -> bool:
        """Whether it has `lr`: this router routes as RFC 3261 §16.4 says."""
        return "lr" in self.params

    @property
    def address_of_record(self) -> str:
        """`user@host` with escapes resolved and the host in lower case: the key of §10.3 step 5."""
        host = self.host.lower()
        return host if self.user is None else f"{unescape(self.user)}@{host}"

    def equals(self, other: SipUri) -> bool:
        """RFC 3261 §19.1.4: escapes, case of the host, order and absence of most parameters do not matter."""
        if self.scheme != other.scheme or _folded(self.user) != _folded(other.user):
            return False
        if _folded(self.password) != _folded(other.password) or self.port != other.port:
            return False
        if _host_key(self.host) != _host_key(other.host):
            return False
        return _same_params(self.params, other.params) and _same_headers(self.headers, other.headers)

    def __str__(self) -> str:
        userinfo = "" if self.user is None else self.user
        if self.password is not None:
            userinfo += f":{self.password}"
        at = "" if self.user is None else f"{userinfo}@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(
            [f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items()]
        )
        headers = "&".join(
            [name if value is None else f"{name}={value}" for name, value in self.headers.items()]
        )
        return f"{self.scheme}:{at}{self.host}{port}{params}{'?' if headers else ''}{headers}"


_VISUAL = str.maketrans("", "", "-.()")
_GLOBAL_NUMBER = re.compile(r"\+[0-9\-.()]*[0-9][0-9\-.()]*")
_LOCAL_NUMBER = re.compile(r"[0-9A-Fa-f*#\-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*")


@dataclass(frozen=True, slots=True)
class TelUri:
    """A `tel:` URI: the number as written, and its parameters."""

    number: str
    params: Params = field(default_factory=dict)
    scheme: str = "tel"

    @classmethod
    def parse(cls, text: str) -> TelUri:
        """Raises ParseError. Local numbers should have a `phone-context`, often have none: not asked for."""
        scheme, _, rest = text.partition(":")
        number, _, params = rest.partition(";")
        pattern = _GLOBAL_NUMBER if number.startswith("+") else _LOCAL_NUMBER
        if scheme.lower() != "tel" or not pattern.fullmatch(number):
            raise ParseError(f"malformed URI {text!r}")
        return cls(number, _pairs(params, ";"))

    @property
    def digits(self) -> str:
        """The number without visual separators."""
        return self.number.translate(_VISUAL)

    def equals(self, other: TelUri) -> bool:
        """RFC 3966 §4: separators do not matter, parameters do, in any order."""
        mine = {name: (value or "").lower() for name, value in self.params.items()}
        theirs = {name: (value or "").lower() for name, value in other.params.items()}
        return self.digits.lower() == other.digits.lower() and mine == theirs

    def __str__(self) -> str:
        params = "".join(
            [f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items()]
        )
        return f"{self.scheme}:{self.number}{params}"


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme that kamtool routes nothing to; `opaque` is all behind the colon."""

    scheme: str
    opaque: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.opaque}"


Uri = SipUri | TelUri | OtherUri

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.+)", re.DOTALL)


@lru_cache(4096)
def parse_uri(text: str) -> Uri:
    """A URI of any scheme; sip, sips and tel are taken apart. Raises ParseError.

    The last few thousand are remembered: the same users and proxies come again and again.
    """
    found = _SCHEME.fullmatch(text)
    if not found:
        raise ParseError(f"malformed URI {text!r}")
    scheme = found[1].lower()
    if scheme in ("sip", "sips"):
        return SipUri.parse(text)
    if scheme == "tel":
        return TelUri.parse(text)
    return OtherUri(scheme, found[2])


def _pairs(text: str, separator: str) -> dict[str, str | None]:
    pairs: dict[str, str | None] = {}
    for piece in text.split(separator):
        name, equals, value = piece.partition("=")
        if name:
            pairs.setdefault(name.lower(), value if equals else None)
    return pairs


def _folded(text: str | None) -> str | None:
    """For comparing: an escape equals its character."""
    return text if text is None or "%" not in text else unescape(text)


def _host_key(host: str) -> str | int:
    if host.startswith("["):
        try:
            return int(IPv6Address(host[1:-1]))
        except ValueError:
            pass
    return host.lower()


# §19.1.4: these must be in both or in neither, all others are compared only where both have them.
_DECISIVE = ("user", "ttl", "method", "maddr", "transport")


def _same_params(one: Params, other: Params) -> bool:
    for name in _DECISIVE:
        if (name in one) != (name in other):
            return False
    common = one.keys() & other.keys()
    return all(unescape(one[name] or "").lower() == unescape(other[name] or "").lower() for name in common)


def _same_headers(one: Params, other: Params) -> bool:
    if one.keys() != other.keys():
        return False
    return all(unescape(one[name] or "") == unescape(other[name] or "") for name in one)
