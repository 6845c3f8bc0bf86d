"""The one command, `python -m tests.live.soak`."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.live.soak.run import Load, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.soak", description="A server under load.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500, help="calls a second")
    parser.add_argument("--registrations", type=float, default=50, help="REGISTERs a second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all samples here")
    options = parser.parse_args()
    load = Load(options.seconds, options.rate, options.registrations, options.workers)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = soak(load, Path(folder), print)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=1) + "\n")
    print(found.told())
    for line in found.amiss():
        print(f"amiss: {line}")
    return 1 if found.amiss() else 0


if __name__ == "__main__":
    sys.exit(main())
