"""What happens for every message is counted apart; who reads the statistics does not notice."""

import re
from pathlib import Path

import kamtool
from kamtool.server.statistics import Stats
from kamtool.server.tally import Tally, settle


def test_what_was_counted_is_there_when_it_is_read_and_only_once():
    stats, both, one = Stats(b=4), Tally(("a", "b")), Tally(("b",))
    both.number += 2
    one.number += 1
    settle([both, one], stats)
    settle([both, one], stats)
    assert stats == {"a": 2, "b": 7}


def test_it_counts_far_beyond_64_bits():
    stats, tally = {}, Tally(("many",))
    tally.number += 2**70
    settle([tally], stats)
    assert stats == {"many": 2**70}


def test_nobody_adds_to_the_statistics_that_are_for_reading():
    """A look at `server.stats` settles every tally: `server.count` adds without."""
    package = Path(kamtool.__file__).parent
    adding = re.compile(r"\.stats\[[^\n]*\] *[+-]=|\.stats\[([^\n]*)\] = [^\n]*\.stats\.get\(")
    assert [str(path) for path in package.rglob("*.py") if adding.search(path.read_text())] == []
