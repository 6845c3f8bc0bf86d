"""Which twin notes messages: the compiled one, or `kamtool.speed.tape` where it is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamtool.speed.tape import HEAD, Row

if TYPE_CHECKING:
    from kamtool.speed.tape import Passing, Ring, Steps, Tape
else:
    try:
        if os.environ.get("KAMTOOL_PURE", "") not in ("", "0"):
            raise ImportError("KAMTOOL_PURE is set")
        from kamtool.speed._tape import Passing, Ring, Steps, Tape
    except ImportError:  # also in a checkout where it was built before it had all of these names
        from kamtool.speed.tape import Passing, Ring, Steps, Tape

__all__ = ["HEAD", "Passing", "Ring", "Row", "Steps", "Tape"]
