"""Run, compare, record: see the package."""

import argparse
import asyncio
import json
import tempfile

from .cfg import FAMILIES
from .compare import ANSWERS, DEVIATIONS, difference
from .reasons import REASONS
from .scenarios import SCENARIOS
from .servers import ask_kamailio, ask_kamtool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--record", action="store_true", help="ask the installed Kamailio and write answers.json"
    )
    parser.add_argument("--keep", action="store_true", help="write our answers where REASONS has a reason")
    parser.add_argument("names", nargs="*", help="parts of scenario names; all by default")
    options = parser.parse_args()
    chosen = {n: v for n, v in SCENARIOS.items() if not options.names or any(x in n for x in options.names)}
    answers = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    deviations = json.loads(DEVIATIONS.read_text()) if DEVIATIONS.exists() else {}
    families = [f for f in FAMILIES if any(of == f for of, _ in chosen.values())]
    if options.record:
        with tempfile.TemporaryDirectory() as folder:
            for family in families:
                answers |= asyncio.run(ask_kamailio(chosen, family, folder))
        answers = {name: answers[name] for name in sorted(answers) if name in SCENARIOS}
        ANSWERS.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")
        print(f"{len(answers)} recorded")
        return
    wrong = 0
    for family in families:
        for name, ours in asyncio.run(ask_kamtool(chosen, family)).items():
            if options.keep and name in REASONS:
                deviations[name] = {"why": REASONS[name], "ours": ours}
            kept = deviations.get(name)
            found = difference(kept["ours"] if kept else answers.get(name, {}), ours)
            if found:
                wrong += 1
                print(f"== {name}{' (deviates already)' if kept else ''}\n{found}\n")
    if options.keep:
        deviations = {name: kept for name, kept in deviations.items() if name in REASONS}
        DEVIATIONS.write_text(
            json.dumps(dict(sorted(deviations.items())), indent=1, ensure_ascii=False) + "\n"
        )
    print(f"{len(chosen)} scenarios, {wrong} differ, {len(deviations)} kept otherwise")


main()
