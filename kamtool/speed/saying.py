"""What may be logged as it is; the pure twin of `_saying.pxi`."""

from __future__ import annotations

import re

_PRINTABLE = bytes(range(0x20, 0x7F))
_PASSWORD = re.compile(r":[^ @:]*@")
_WORDS = ("esponse", "rspauth", "modparam", "nline:")


def unremarkable(text: str) -> bool:
    """Whether a text is printable ASCII without a sign of a secret: `kamtool.errors.veiled` leaves it alone.

    A sign is a word of those that it looks for, in any case, or a colon with an `@` behind it and no space
    between, where the password of a URI stands.
    """
    if not text.isascii() or text.encode().translate(None, _PRINTABLE):
        return False
    lower = text.lower()
    return not any(word in lower for word in _WORDS) and _PASSWORD.search(text) is None
