"""See the package."""

import json
import sys
from difflib import unified_diff

from tests.live.hidden.plays import played
from tests.live.hidden.servers import Running
from tests.live.hidden.test_hidden import ANSWERS


def ask(kamailio):
    with Running(kamailio) as server:
        return played(server)


def main():
    if "--record" in sys.argv:
        ANSWERS.write_text(json.dumps(ask(True), indent=1) + "\n")
        return
    theirs = json.loads(ANSWERS.read_text())
    for name, ours in ask(False).items():
        one, other = ("\n".join("\n".join(m) for m in side).split("\n") for side in (theirs[name], ours))
        print(f"##### {name}")
        print("\n".join(unified_diff(one, other, "kamailio", "kamtool", lineterm="", n=4)))


if __name__ == "__main__":
    main()
