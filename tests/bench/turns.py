"""`kamtool serve` whose tap takes turns while somebody traces: a quarter of a second on, one off, and so on.

Says on stderr, once the trace has left, what CPU a second of either took. Turns so near to each other differ
in little but the tap, however the speed of a shared machine swings.
"""

import asyncio
import statistics
import sys
import time

from kamtool.cli.main import main
from kamtool.transport.tap import Tap

TURN = 0.25
MARK = "TURNS "


class Turns:
    """The watcher of a tap, and what CPU seconds each second of a turn took."""

    def __init__(self, tap, watcher):
        self.tap, self.watcher, self.is_on = tap, watcher, True
        self.costs = {True: [], False: []}
        self.loop = asyncio.get_running_loop()
        self.begin()

    def begin(self):
        self.at, self.used = time.monotonic(), time.process_time()
        self.timer = self.loop.call_later(TURN, self.end)

    def end(self):
        used, seconds = time.process_time() - self.used, time.monotonic() - self.at
        self.costs[self.is_on].append(used / seconds)
        self.is_on = not self.is_on
        self.tap.watchers = [self.watcher] if self.is_on else []
        self.tap._rewire()
        self.begin()

    def said(self):
        """Pairs, the medians, and how much more it is with the tap, give or take: without the outer fifth."""
        self.timer.cancel()
        pairs = list(zip(self.costs[True], self.costs[False], strict=False))
        more = sorted(with_tap - without for with_tap, without in pairs)
        more = more[len(more) // 10 : len(more) - len(more) // 10]
        medians = (statistics.median(column) for column in zip(*pairs, strict=True))
        return len(pairs), *medians, statistics.mean(more), statistics.stdev(more) / len(more) ** 0.5


def take_turns():
    """From now on every tap of this process does."""
    add, remove, turns = Tap.add, Tap.remove, {}

    def adding(self, watcher):
        add(self, watcher)
        turns[watcher] = Turns(self, watcher)

    def removing(self, watcher):
        print(MARK, *turns.pop(watcher).said(), file=sys.stderr, flush=True)
        remove(self, watcher)

    Tap.add, Tap.remove = adding, removing


if __name__ == "__main__":
    take_turns()
    main()
