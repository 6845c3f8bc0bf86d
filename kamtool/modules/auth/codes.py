"""What the authentication functions return to the script, as Kamailio's do."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """1 is success; the others are negative, so that `if (!www_authenticate(…))` challenges."""

    OK = 1
    ERROR = -1
    WRONG_PASSWORD = -2
    UNKNOWN_USER = -3
    NONCE_EXPIRED = -4
    NO_CREDENTIALS = -5
    NONCE_REUSED = -6
    USER_MISMATCH = -8
