"""The address-of-record that a URI means, as the location table is keyed (RFC 3261 §10.3 step 5)."""

from __future__ import annotations

from dataclasses import dataclass

from kamtool.errors import ParseError
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape


@dataclass(frozen=True, slots=True)
class AorRule:
    """How URIs become keys: the parameters `use_domain`, `case_sensitive`, `realm_prefix`."""

    use_domain: bool
    case_sensitive: bool
    realm_prefix: str

    def __call__(self, text: str) -> str:
        """`alice`, or with `use_domain` `alice@example.com`. Raises ParseError."""
        uri = parse_uri(text)
        if isinstance(uri, TelUri):
            return uri.digits.lower()
        if not isinstance(uri, SipUri):
            raise ParseError(f"{text!r} is no SIP URI")
        user = unescape(uri.user or "")
        if not self.case_sensitive:
            user = user.lower()
        if not self.use_domain:
            if not user:
                raise ParseError(f"{text!r} names no user")
            return user
        host = uri.host.lower().removeprefix(self.realm_prefix)
        return f"{user}@{host}" if user else host
