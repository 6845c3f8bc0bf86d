"""The many requests that pass, seen from what the parser has established already. This is compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kamtool.script import uri_text
from kamtool.script.context import Context
from kamtool.sip.message import Message

VIA_VERSION, EXPIRES, PROXY_REQUIRE, PARSE_URIS, DIGEST, DUPLICATE_TAGS = 8, 256, 512, 1024, 2048, 4096
URI_FROM, URI_TO, URI_CONTACT = 2, 4, 8
TRANSPORTS = frozenset({"UDP", "TCP", "TLS", "SCTP", "TLS-SCTP", "WS", "WSS"})


class Checking:
    """The function of the script: 1 for what is plain, all the checks of the module for the rest.

    Of a response only what the parser has seen is checked, and the transport of its Via.
    """

    def __init__(self, module: Any, thorough: Callable[[Context, int, int], int]) -> None:
        self.module, self.thorough = module, thorough

    def check(self, ctx: Context, msg_checks: int | None = None, uri_checks: int | None = None) -> int:
        """See Sanity.sanity_check."""
        wanted: int = self.module.default_checks if msg_checks is None else msg_checks
        uris: int = self.module.uri_checks if uri_checks is None else uri_checks
        msg = ctx.msg
        if not wanted & (VIA_VERSION | DUPLICATE_TAGS) and (
            is_plain(msg, wanted, uris) if msg.is_request else msg.via_transport in TRANSPORTS
        ):
            return 1
        return self.thorough(ctx, wanted, uris)


def is_plain(msg: Message, wanted: int, uris: int) -> bool:
    """Whether the request is one of the many that pass.

    The parser has refused other versions, missing headers, a CSeq that does not fit and a wrong
    Content-Length; what is left are the schemes, the transport of the Via, the URIs, and headers that most
    requests do not have.
    """
    if not msg.uri.startswith("sip:") or msg.via_transport not in TRANSPORTS:
        return False
    for name in _rare(wanted):
        if msg.find(name):
            return False
    if not wanted & PARSE_URIS:
        return True
    if uris & URI_CONTACT:
        return False
    return (not uris & URI_FROM or _uri_parses(msg.from_address)) and (
        not uris & URI_TO or _uri_parses(msg.to_address)
    )


_RARE = (
    (EXPIRES, "Expires"),
    (PROXY_REQUIRE, "Proxy-Require"),
    (DIGEST, "Authorization"),
    (DIGEST, "Proxy-Authorization"),
)


@lru_cache(maxsize=64)
def _rare(wanted: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _RARE if wanted & bit)


@lru_cache(maxsize=4096)
def _uri_parses(uri: str) -> bool:
    return uri_text.parts(uri) is not None
