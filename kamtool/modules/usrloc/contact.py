"""One binding of an address-of-record (RFC 3261 §10): what a phone told us in REGISTER."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ALL_METHODS = -1
"""The methods of a contact that sent no Allow: every one."""


@dataclass(frozen=True, slots=True)
class Details:
    """What few contacts have; most share the one object `PLAIN`."""

    path: str = ""
    instance: str = ""
    reg_id: int = 0
    server_id: int = 0
    flags: int = 0
    attributes: tuple[tuple[str, Any], ...] = ()


PLAIN = Details()


class Contact:
    """A binding. `expires_at` and `modified_at` are seconds on the loop's clock; `expires_at` 0 never ends.

    `q` is in thousandths, -1 when the phone gave none. `cflags` are the branch flags of its REGISTER.
    `connection` is the number of the TCP connection it came over, 0 for none.
    `bucket` belongs to the table: when its expiry is looked at next.
    """

    __slots__ = (
        "aor",
        "bucket",
        "call_id",
        "cflags",
        "connection",
        "cseq",
        "details",
        "expires_at",
        "methods",
        "modified_at",
        "q",
        "received",
        "ruid",
        "socket",
        "uri",
        "user_agent",
    )

    def __init__(
        self,
        aor: str,
        uri: str,
        ruid: str,
        expires_at: float = 0.0,
        modified_at: float = 0.0,
        q: int = -1,
        call_id: str = "",
        cseq: int = 0,
        received: str = "",
        user_agent: str = "",
        socket: str = "",
        connection: int = 0,
        methods: int = ALL_METHODS,
        cflags: int = 0,
        details: Details = PLAIN,
    ) -> None:
        self.aor = aor
        self.uri = uri
        self.ruid = ruid
        self.expires_at = expires_at
        self.modified_at = modified_at
        self.q = q
        self.call_id = call_id
        self.cseq = cseq
        self.received = received
        self.user_agent = user_agent
        self.socket = socket
        self.connection = connection
        self.methods = methods
        self.cflags = cflags
        self.details = details
        self.bucket = 0

    def is_valid(self, now: float) -> bool:
        """Whether the binding still holds."""
        return self.expires_at > now or self.expires_at == 0

    def remaining(self, now: float) -> int:
        """Whole seconds left, rounded up: what a 200 lists. 0 once expired, and for a permanent contact."""
        # A microsecond less, for `now + 3600.0 - now` may be a little more than 3600.
        left = self.expires_at - now - 1e-6
        return int(left) + 1 if left > 0 else 0

    def __repr__(self) -> str:
        return f"Contact({self.aor!r}, {self.uri!r}, {self.ruid!r})"


def format_q(q: int) -> str:
    """A q value as text: 500 is `0.5`, 1000 is `1`."""
    return f"{q / 1000:.3f}".rstrip("0").rstrip(".")
