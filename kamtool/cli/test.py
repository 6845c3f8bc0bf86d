"""`kamtool test`: unit tests of a routing script."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.output import coloured
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.debug.trial.case import Suite

ATTENTION = 10
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cfg", type=FILE, metavar="FILE", help="Test this cfg, not the one that the tests name.")
@click.option("-k", "--keyword", default="", metavar="TEXT", help="Only cases with TEXT in their names.")
@click.option("--junit", type=FILE, metavar="FILE", help="Write a JUnit report for build servers.")
@click.option("--mutants", is_flag=True, help="Change the cfg in small ways and show what no test notices.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what failed, and the count.")
def command(
    files: tuple[Path, ...], cfg: Path | None, keyword: str, junit: Path | None, mutants: bool, quiet: bool
) -> int:
    """Run the tests in FILES (TOML; of a folder, every .toml in it) on the cfg that each names.

    A case sends messages and says what must come of them: responses, requests with their next hops,
    headers, variables. It runs without sockets, on a clock of its own, with the rows and the DNS that it
    names, on a server as it is right after its start. cfg/tests/ has examples.

    Leaves with 1 when a case failed; with --mutants with 10 when a mutant survived.

    Example: kamtool test cfg/tests
    """
    from kamtool.debug.trial import suite as suites
    from kamtool.debug.trial.case import read

    began, outcomes = time.perf_counter(), []
    for path in _all(files):
        suite = read(path, cfg)
        suite.cases = [case for case in suite.cases if keyword.lower() in case.name.lower()]
        outcome = suites.Outcome(suite)
        outcomes.append(outcome)
        for result in suites.run(suite):
            outcome.results.append(result)
            if result.wrong or not quiet:
                click.echo(f"{_mark(not result.wrong)} {path.name}: {result.name}")
            for line in result.wrong:
                click.echo(f"     {line}")
    count, failed = sum(len(o.results) for o in outcomes), sum(len(o.failures) for o in outcomes)
    click.echo(f"{count - failed} of {count} passed in {time.perf_counter() - began:.2f} s")
    if junit is not None:
        junit.write_text(suites.junit(outcomes), encoding="utf-8")
    if failed or not mutants:
        return int(bool(failed))
    return ATTENTION if sum(_survivors(outcome.suite) for outcome in outcomes) else 0


def _all(files: tuple[Path, ...]) -> list[Path]:
    found = [each for file in files for each in (sorted(file.glob("*.toml")) if file.is_dir() else [file])]
    if not found:
        raise UsageError(f"there is no test in {', '.join(map(str, files))}", exit_code=3)
    return found


def _mark(good: bool) -> str:
    word, colour = ("ok  ", "green") if good else ("FAIL", "red")
    return click.style(word, fg=colour) if coloured(sys.stdout) else word


def _survivors(suite: Suite) -> int:
    """Show the mutants of a suite's cfg that no case notices; how many."""
    from kamtool import script
    from kamtool.debug.trial.mutants import survivors

    alive = count = 0
    for mutant in survivors(suite, script.load(suite.cfg, defines=suite.defines)):
        count += 1
        if not mutant.killed_by:
            alive += 1
            click.echo(f"survived: {mutant.place}: {mutant.what}: {mutant.text}")
    click.echo(f"{suite.path.name}: {count - alive} of {count} mutants were noticed")
    return alive
