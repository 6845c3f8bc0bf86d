"""What the command line and a test may set that is not the cfg's to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kamtool.sip.flow import Socket
from kamtool.transport.resolver import Resolver


@dataclass(slots=True)
class Options:
    """`listens`, when given, replace those of the cfg (`-l`). Times are seconds.

    `t1`, `t2` and `t4` are RFC 3261's; the cfg's `modparam("tm", "retr_timer1", …)` wins over `t1`.
    """

    listens: Sequence[Socket] = field(default_factory=list)
    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    sweep: float = 0.05
    drain: float = 5.0
    resolver: Resolver | None = None
    freeze: bool = True
    """Hide what start-up made from the garbage collector; a test with many servers may not want it."""
