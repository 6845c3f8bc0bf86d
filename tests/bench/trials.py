"""What `kamtool test` takes for 1,000 cases: the examples of cfg/tests, again and again.

    python -m tests.bench.trials [cases] [rounds]

Seconds on the clock, and of CPU (user and system, all processes): the best of the rounds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CFG = Path(__file__).parents[2] / "cfg"


def many(name, count, folder):
    """The cases of an example, so often that there are `count` of them."""
    text = (CFG / "tests" / name).read_text().replace('cfg = "../', f'cfg = "{CFG}/')
    head, *cases = text.split("[[case]]\n")
    cases = ["[[case]]\n" + each for each in cases]
    file = Path(folder, name)
    named = [cases[place % len(cases)].replace('name = "', f'name = "{place}: ', 1) for place in range(count)]
    file.write_text(head + "\n".join(named))
    return file


def once(file):
    """Seconds on the clock and of CPU."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kamtool.cli.main", "test", "-q", str(file)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu, done.stdout.strip()


def main():
    count, rounds = (*map(int, sys.argv[1:]), *(1000, 3)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("basic.toml", "default.toml"):
            file = many(name, count, folder)
            found = [once(file) for _ in range(rounds)]
            clock, cpu = min(each[0] for each in found), min(each[1] for each in found)
            print(f"{name:<14} {clock:6.2f} s   {cpu:6.2f} s of CPU   {found[-1][2]}")


if __name__ == "__main__":
    main()
