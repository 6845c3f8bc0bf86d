"""A whole file of tests, its result, and the report that build servers read."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from xml.sax.saxutils import escape, quoteattr

from kamtool import script as language
from kamtool.debug.trial import forks
from kamtool.debug.trial.case import Case, Suite
from kamtool.debug.trial.run import Bench, Result
from kamtool.script.program import Script

DIED = "its process died"


@dataclass(slots=True)
class Outcome:
    """What became of a file."""

    suite: Suite
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        """The cases that went wrong."""
        return [each for each in self.results if each.wrong]


def run(
    suite: Suite, script: Script | None = None, cases: Sequence[Case] | None = None, *, together: int = 0
) -> Iterator[Result]:
    """Every case on a server of its own. Raises ConfigErrors for a bad cfg, StoreError for bad rows."""
    log = logging.getLogger("kamtool")
    level, handlers, propagate = log.level, log.handlers[:], log.propagate
    log.handlers[:], log.propagate = [logging.NullHandler()], False
    try:
        again = replace(
            script or language.load(suite.cfg, defines=suite.defines), linked_often=True, linked=[]
        )
        Bench(suite, again).stop()  # raises what is wrong before the first case, and compiles
        chosen = list(suite.cases if cases is None else cases)
        works = [partial(_one, suite, again, case) for case in chosen]
        for case, found in zip(chosen, forks.each(works, together), strict=True):
            wrong, seconds = found or ([DIED], 0.0)
            yield Result(case.name, wrong, seconds)
    finally:
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)


def _one(suite: Suite, script: Script, case: Case) -> tuple[list[str], float]:
    began = time.perf_counter()
    bench = Bench(suite, script)
    wrong = bench.run(case).wrong
    bench.stop()
    return wrong, round(time.perf_counter() - began, 6)


def junit(outcomes: Sequence[Outcome]) -> str:
    """The XML that build servers show."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>"]
    for outcome in outcomes:
        seconds = sum(each.seconds for each in outcome.results)
        name = quoteattr(str(outcome.suite.path))
        lines.append(
            f'  <testsuite name={name} tests="{len(outcome.results)}" failures="{len(outcome.failures)}" '
            f'errors="0" time="{seconds:.6f}">'
        )
        for each in outcome.results:
            head = f'    <testcase classname={name} name={quoteattr(each.name)} time="{each.seconds:.6f}"'
            if not each.wrong:
                lines.append(f"{head}/>")
                continue
            text = escape(_printable("\n".join(each.wrong)))
            first = quoteattr(_printable(each.wrong[0]))
            lines += [f"{head}>", f"      <failure message={first}>{text}</failure>", "    </testcase>"]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _printable(text: str) -> str:
    """XML knows no control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
