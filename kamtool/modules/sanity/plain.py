"""The many requests that pass, seen from what the parser has established already. This is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from kamtool.script.context import Context
from kamtool.speed import IDS, plain_request

# What is Final, compiled code need not look up.
VIA_VERSION: Final = 8
EXPIRES: Final = 256
PROXY_REQUIRE: Final = 512
PARSE_URIS: Final = 1024
DIGEST: Final = 2048
DUPLICATE_TAGS: Final = 4096
URI_FROM: Final = 2
URI_TO: Final = 4
URI_CONTACT: Final = 8
TRANSPORTS: Final = frozenset({"UDP", "TCP", "TLS", "SCTP", "TLS-SCTP", "WS", "WSS"})
NEVER_PLAIN: Final = 4104
"""VIA_VERSION and DUPLICATE_TAGS: what the parser does not look at."""

_plain: Final = plain_request
_EXPIRES: Final[int] = 1 << IDS["Expires"]
_PROXY_REQUIRE: Final[int] = 1 << IDS["Proxy-Require"]
_CREDENTIALS: Final[int] = 1 << IDS["Authorization"] | 1 << IDS["Proxy-Authorization"]


class Checking:
    """The function of the script: 1 for what is plain, all the checks of the module for the rest.

    Of a response only what the parser has seen is checked, and the transport of its Via.
    """

    def __init__(self, module: Any, thorough: Callable[[Context, int, int], int]) -> None:
        self.module, self.thorough = module, thorough

    def check(self, ctx: Context, msg_checks: int | None = None, uri_checks: int | None = None) -> int:
        """See Sanity.sanity_check.

        The parser has refused other versions, missing headers, a CSeq that does not fit and a wrong
        Content-Length; what is left are the schemes, the transport of the Via, the URIs, and headers that
        most requests do not have.
        """
        wanted: int = self.module.default_checks if msg_checks is None else msg_checks
        uris: int = self.module.uri_checks if uri_checks is None else uri_checks
        if not wanted & NEVER_PLAIN:
            msg = ctx.msg
            asked = uris if wanted & PARSE_URIS else 0
            if not asked & URI_CONTACT and _plain(
                msg, _rare(wanted), asked & URI_FROM != 0, asked & URI_TO != 0
            ):
                return 1
            if not msg.is_request and msg.via_transport in TRANSPORTS:
                return 1
        return self.thorough(ctx, wanted, uris)


def quick(arguments: Sequence[str | None]) -> str:
    """The same for checks that are known when the script is linked, as an expression; "" for others."""
    numbers = [int(text) for text in arguments if text is not None and text.isascii() and text.isdigit()]
    if len(arguments) != 2 or len(numbers) != 2 or numbers[0] & NEVER_PLAIN:
        return ""
    asked = numbers[1] if numbers[0] & PARSE_URIS else 0
    if asked & URI_CONTACT:
        return ""
    return f"self.is_plain(ctx.msg, {_rare(numbers[0])}, {asked & URI_FROM != 0}, {asked & URI_TO != 0})"


def _rare(wanted: int) -> int:
    """The headers that call for a closer look, a sum of `1 << id`."""
    rare = _EXPIRES if wanted & EXPIRES else 0
    if wanted & PROXY_REQUIRE:
        rare |= _PROXY_REQUIRE
    if wanted & DIGEST:
        rare |= _CREDENTIALS
    return rare
