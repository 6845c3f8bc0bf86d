"""Two logs side by side."""

import difflib
from pathlib import Path

ANSWERS = Path(__file__).with_name("answers.json")
DEVIATIONS = Path(__file__).with_name("deviations.json")


def difference(expected, ours):
    """What differs, as a diff to read; "" when nothing does."""
    told = []
    for peer in sorted({*expected, *ours}):
        theirs, mine = (
            [line for text in log.get(peer, []) for line in [*text.split("\n"), "--"]]
            for log in (expected, ours)
        )
        if theirs != mine:
            told += [f"{peer}:", *difflib.unified_diff(theirs, mine, "kamailio", "kamtool", lineterm="", n=2)]
    return "\n".join(told)
