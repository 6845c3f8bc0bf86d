"""One entry of Via (RFC 3261 §20.42)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kamtool.sip.nameaddr import show_params
from kamtool.speed import split_via

MAGIC_COOKIE: Final = "z9hG4bK"
"""What a branch begins with when it identifies the transaction by itself (§8.1.1.7)."""


@dataclass(frozen=True, slots=True)
class Via:
    """Where a message was sent from and where its responses go.

    `transport` is upper case. `host` keeps the brackets of IPv6. `port` is None when absent: the default
    depends on the transport (§18.2.2).
    """

    transport: str
    host: str
    port: int | None = None
    params: Mapping[str, str | None] = field(default_factory=dict)
    protocol: str = "SIP/2.0"

    @property
    def branch(self) -> str:
        """The branch, "" when there is none."""
        return self.params.get("branch") or ""

    @property
    def received(self) -> str:
        """The source address that the next hop wrote there, without brackets; "" when there is none."""
        return (self.params.get("received") or "").strip("[]")

    @property
    def rport(self) -> int | None:
        """None when absent, 0 when asked for and not yet filled in (RFC 3581)."""
        value = self.params.get("rport", "-")
        if value == "-":
            return None
        return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 5 else 0

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.protocol}/{self.transport} {self.host}{port}{show_params(self.params)}"


def parse_via(value: str) -> Via:
    """One Via entry, e.g. `SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776`.

    Parameters keep their order; their names are lower case. Raises ParseError.
    """
    protocol, transport, host, port, params = split_via(value)
    return Via(transport.upper(), host, port, params, protocol)
