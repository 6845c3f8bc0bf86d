"""Which twin steps the calls of plain scenarios: the compiled one, or `kamtool.speed.volley` where it is
missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.speed import proving, segments, volley

Datagram = tuple[bytes, tuple[str, int]]
Stamped = list[tuple[bytes, tuple[str, int], float]]
SO_TIMESTAMPNS = 35

if TYPE_CHECKING:
    from kamtool.speed.proving import Answer
    from kamtool.speed.stages import Script, Shot, Stage
    from kamtool.speed.volley import Volley

    NATIVE = bool(os.environ)
    _sockets = segments
else:
    try:
        if os.environ.get("KAMTOOL_PURE", "") not in ("", "0"):
            raise ImportError("KAMTOOL_PURE is set")
        from kamtool.speed import _datagrams as _sockets
        from kamtool.speed import _volley as _twin

        NATIVE = hasattr(_sockets, "UDP_GRO") and hasattr(_twin, "Answer")
    except ImportError:
        NATIVE = False
    if not NATIVE:  # also in a checkout where it was built before it had all of these names
        _twin, _sockets = volley, segments
    Script, Shot, Stage, Volley = _twin.Script, _twin.Shot, _twin.Stage, _twin.Volley
    Answer = _twin.Answer if NATIVE else proving.Answer


def _recv_stamped(fd: int) -> Stamped:
    batch = speed.recv_batch(fd, 64)
    now = time.perf_counter()
    return [(data, source, now) for data, source in batch]


recv_stamped: Callable[[int], Stamped] = getattr(_sockets, "recv_stamped", _recv_stamped)
"""Up to 64 datagrams that wait on a socket, each with its sender and the time it came: the kernel's time
where the compiled twin runs and the socket has SO_TIMESTAMPNS, else that of reading.
"""

send_segments: Callable[[int, list[Datagram]], tuple[list[Datagram], int]] = _sockets.send_segments
"""See `kamtool.speed.segments`."""

__all__ = [
    "NATIVE",
    "SO_TIMESTAMPNS",
    "Answer",
    "Script",
    "Shot",
    "Stage",
    "Volley",
    "recv_stamped",
    "send_segments",
]
