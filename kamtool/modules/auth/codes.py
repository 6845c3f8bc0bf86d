"""What the authentication functions return to the script, as Kamailio's do."""

from __future__ import annotations

from typing import Final


class Code:
    """1 is success; the others are negative, so that `if (!www_authenticate(…))` challenges.

    They are plain ints: a script may keep them in a variable and compare it.
    """

    OK: Final = 1
    ERROR: Final = -1
    WRONG_PASSWORD: Final = -2
    UNKNOWN_USER: Final = -3
    NONCE_EXPIRED: Final = -4
    NO_CREDENTIALS: Final = -5
    NONCE_REUSED: Final = -6
    USER_MISMATCH: Final = -8
