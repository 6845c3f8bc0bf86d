"""Read every SIPp scenario below some folders: `python -m tests.tools.stress.public FOLDER …`.

Keywords that a file expects from `-key` are given to it. Says what share was read, and why others were not.
"""

import re
import sys
from collections import Counter
from pathlib import Path

from kamtool.errors import ConfigErrors
from kamtool.tools.sippxml.scenario import parse_scenario
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.program import Program

_KEY = re.compile(r"no keyword \[(\w+)\]$")


def read(data, name):
    """The program of a scenario. Raises ConfigErrors."""
    try:
        found = parse_scenario(data, name)
    except ConfigErrors as errors:
        keys = [match[1] for error in errors.errors if (match := _KEY.match(error.message))]
        found = parse_scenario(data, name, keys)
    return Program(found, Setting())


def main(folders):
    good, reasons = 0, Counter()
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.xml*")):
        data = path.read_bytes()
        if b"<scenario" not in data or not re.search(rb"<(send|recv)\b", data):
            continue
        try:
            read(data, str(path))
            good += 1
        except ConfigErrors as errors:
            print("\n".join(str(error) for error in errors.errors))
            reasons.update({error.message for error in errors.errors})
    total = good + sum(reasons.values())
    print(f"{good} read, {good / max(1, total):.1%}")
    for reason, count in reasons.most_common():
        print(f"{count:6} {reason}")


if __name__ == "__main__":
    main(sys.argv[1:])
