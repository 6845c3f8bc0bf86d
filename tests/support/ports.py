"""Ports for programs that cannot be told to choose one: what one process of tests takes, no other is given.

They lie below the range that the system gives out by itself, so nobody who binds port 0 meets them either.
"""

import random
import socket

FIRST, LAST = 10_000, 32_000
SLICE = 250


def is_free(port, host="127.0.0.1"):
    """Whether nobody has this port, for UDP or TCP."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


class Ports:
    """The ports of this process: slices of the range that it holds until it ends.

    A slice is held by a socket of its name in the kernel's own space of names, where no file is left behind.
    """

    def __init__(self):
        self.slices, self.held, self.given = [], [], set()

    def choose(self, count=1):
        """The first, even, of so many free ports in a row; each is given once."""
        for start in self.slices:
            for first in range(start, start + SLICE - count + 1, 2):
                ports = range(first, first + count)
                if self.given.isdisjoint(ports) and all(map(is_free, ports)):
                    self.given.update(ports)
                    return first
        self._claim()
        return self.choose(count)

    def _claim(self):
        starts = list(range(FIRST, LAST, SLICE))
        random.shuffle(starts)
        for start in starts:
            holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                holder.bind(f"\0kamtool-tests-ports-{start}")
            except OSError:
                holder.close()
                continue
            self.held.append(holder)
            self.slices.append(start)
            return
        if not self.given:
            raise AssertionError("no free ports: other tests hold them all")
        self.given.clear()  # all have been given once: those that are free again are good again


OURS = Ports()
