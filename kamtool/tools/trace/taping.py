"""Which twin notes messages: the compiled one, or `kamtool.speed.tape` where it is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamtool.speed.tape import HEAD, Row

if TYPE_CHECKING:
    from kamtool.speed.tape import Ring, Tape
else:
    try:
        if os.environ.get("KAMTOOL_PURE", "") not in ("", "0"):
            raise ImportError("KAMTOOL_PURE is set")
        from kamtool.speed._tape import Ring, Tape
    except ImportError:
        from kamtool.speed.tape import Ring, Tape

__all__ = ["HEAD", "Ring", "Row", "Tape"]
