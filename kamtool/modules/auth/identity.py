"""Whether who authenticated is who the request says: the flags of auth_check() and pv_auth_check()."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.sip.digest import Credentials
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape
from kamtool.speed import Proof

CHECK = 1
SKIP_ANONYMOUS = 2

MAY_BE_ANONYMOUS = frozenset(("INVITE", "BYE", "PRACK", "UPDATE", "MESSAGE"))


def matches(ctx: Context, credentials: Credentials | Proof, realm: str, flags: int, use_domain: bool) -> bool:
    """Whether From names the user of the credentials; of REGISTER also To, of PUBLISH also To and the R-URI.

    With `use_domain` their domains must be the realm.
    """
    if not flags & CHECK:
        return True
    msg = ctx.msg
    if flags & SKIP_ANONYMOUS and msg.method in MAY_BE_ANONYMOUS:
        return True
    try:
        uris = [msg.from_address or msg.from_.uri]
        if msg.method in ("REGISTER", "PUBLISH"):
            uris.append(msg.to_address or msg.to.uri)
        if msg.method == "PUBLISH":
            uris.append(ctx.ruri)
        return all(_names(uri, credentials, realm, use_domain) for uri in uris)
    except ParseError:
        return False


def _names(text: str, credentials: Credentials | Proof, realm: str, use_domain: bool) -> bool:
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        return uri.number == credentials.user
    if not isinstance(uri, SipUri) or unescape(uri.user or "") != credentials.user:
        return False
    return not use_domain or uri.host.lower() == realm.lower()
