"""`kamtool cov`: which lines of the cfg ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError
from kamtool.server import control

if TYPE_CHECKING:
    from kamtool.debug.coverage.record import Coverage

FILES = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show which lines of the cfg ran, and which ways out of its conditions were never taken.

    `kamtool serve --coverage FILE` counts from the start and writes FILE at the end; `cov start` and `cov
    stop FILE` count in a server that runs. Files of several runs are added up.

    Example: kamtool cov report run.cov
    """


@command.command("start")
@socket_option
def start(socket: Path) -> None:
    """Begin to count in the running server.

    Example: kamtool cov start
    """
    control.ask(socket, "debug.coverage", ["on"], 10.0)


@command.command("stop")
@click.argument("file", type=FILES)
@click.option("--go-on", is_flag=True, help="Write what was counted until now, and go on counting.")
@socket_option
def stop(file: Path, go_on: bool, socket: Path) -> None:
    """End counting in the running server and write FILE; a FILE of an earlier run is added to.

    Example: kamtool cov stop run.cov
    """
    from kamtool.debug.coverage.record import Coverage

    earlier = Coverage.read(file) if file.exists() else Coverage({})
    counted = control.ask(socket, "debug.coverage", ["show" if go_on else "off"], 10.0)
    for each in counted if isinstance(counted, list) else [counted]:  # one a worker
        earlier.merged(Coverage.of(each))
    earlier.write(file)


def _all(files: tuple[Path, ...]) -> Coverage:
    from kamtool.debug.coverage.record import Coverage

    if not files:
        raise UsageError("no coverage file given", hint="`kamtool serve --coverage run.cov` makes one")
    found = Coverage({})
    for file in files:
        found = found.merged(Coverage.read(file))
    return found


@command.command("report")
@click.argument("files", nargs=-1, type=FILES)
@click.option("--fail-under", type=float, default=0.0, metavar="PERCENT", help="Leave with 99 below that.")
@output_option
def report(files: tuple[Path, ...], fail_under: float, output: str) -> int:
    """Show a line a file: lines that ran, ways that were taken, and the lines that never ran.

    Example: kamtool cov report run.cov
    """
    from kamtool.debug.coverage.show import rows

    found = rows(_all(files))
    emit(found, output)
    return 99 if found and found[-1]["percent"] < fail_under else 0


@command.command("lcov")
@click.argument("files", nargs=-1, type=FILES)
@click.option("-w", "--write", type=FILES, metavar="FILE", help="Write there instead of to stdout.")
def as_lcov(files: tuple[Path, ...], write: Path | None) -> None:
    """Write an lcov tracefile, for genhtml and the services that read it.

    Example: kamtool cov lcov run.cov -w run.info
    """
    from kamtool.debug.coverage.show import lcov

    text = "".join(f"{line}\n" for line in lcov(_all(files)))
    if write is None:
        click.echo(text, nl=False)
    else:
        write.write_text(text)


@command.command("html")
@click.argument("files", nargs=-1, type=FILES)
@click.option("-w", "--write", type=click.Path(path_type=Path, file_okay=False), default=Path("coverage"),
              show_default=True, metavar="FOLDER", help="Where the pages go.")  # fmt: skip
def as_html(files: tuple[Path, ...], write: Path) -> None:
    """Write pages with the cfg in colours: ran, never ran, ran but only one way.

    Example: kamtool cov html run.cov
    """
    from kamtool.debug.coverage.show import pages

    click.echo(pages(_all(files), write)[0])
