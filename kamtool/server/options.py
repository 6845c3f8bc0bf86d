"""What the command line and a test may set that is not the cfg's to say."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kamtool.server.handover import Estate
from kamtool.server.workers import Team
from kamtool.sip.flow import Socket
from kamtool.transport.resolver import Resolver

RUNTIME_FOLDER = Path("/run/kamailio")


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
    sweep_most: int = 64
    """So many deadlines (about 1 ms) at once, then what has come has its turn; 0 for all at once."""
    drain: float = 5.0
    runtime_folder: Path = RUNTIME_FOLDER
    """Where modules put their sockets and FIFOs, if the cfg does not name a whole path (`-Y`)."""
    resolver: Resolver | None = None
    overload_late: float = 0.0
    """New requests get 503 while the loop is so many seconds behind; 0 for never."""
    overload_queue: int = 0
    """Likewise while a UDP socket's receive queue is so full, in percent; 0 for never."""
    overload_transactions: int = 0
    """Likewise while there are so many transactions; 0 for never."""
    gather: float = 0.0
    """How long datagrams may wait for more to be read with, once they come thick; 0 reads each at once."""
    team: Team | None = None
    """The workers this one belongs to; None where it is the only one."""
    bound: Mapping[Socket, socket.socket] = field(default_factory=dict)
    """Sockets that are bound already: those of the team, or taken over from another server."""
    estate: Estate | None = None
    """What another server gives to this one; it reads nothing until that says so."""
    freeze: bool = True
    """Hide what start-up made from the garbage collector; a test with many servers may not want it."""
    clock: Callable[[], float] | None = None
    """Seconds since some moment, in the place of the loop's own time: one that a recording keeps."""
