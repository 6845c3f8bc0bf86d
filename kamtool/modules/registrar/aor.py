"""The address-of-record that a URI means, as the location table is keyed (RFC 3261 §10.3 step 5)."""

from __future__ import annotations

from dataclasses import dataclass

from kamtool.errors import ParseError
from kamtool.sip.uri import TelUri, parse_uri, unescape
from kamtool.speed import aor_of, split_uri


@dataclass(frozen=True, slots=True)
class AorRule:
    """How URIs become keys: the parameters `use_domain`, `case_sensitive`, `realm_prefix`."""

    use_domain: bool
    case_sensitive: bool
    realm_prefix: str

    def __call__(self, text: str) -> str:
        """`alice`, or with `use_domain` `alice@example.com`. Raises ParseError."""
        if not self.realm_prefix:
            aor = aor_of(text, self.use_domain, self.case_sensitive)
            if aor is not None:
                return aor
        if text[:3].lower() != "sip":
            return self._of_other(text)
        _, name, _, host, *_ = split_uri(text)
        user = unescape(name) if name else ""
        if not self.case_sensitive:
            user = user.lower()
        if not self.use_domain:
            if not user:
                raise ParseError(f"{text!r} names no user")
            return user
        host = host.lower().removeprefix(self.realm_prefix)
        return f"{user}@{host}" if user else host

    @staticmethod
    def _of_other(text: str) -> str:
        uri = parse_uri(text)
        if isinstance(uri, TelUri):
            return uri.digits.lower()
        raise ParseError(f"{text!r} is no SIP URI")
