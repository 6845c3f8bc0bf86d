"""`kamtool prof`: where the time of the messages goes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError
from kamtool.server import control

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", required=False, type=FILE)
@click.option("--by", type=click.Choice(("line", "route", "function")), default="line", show_default=True,
              help="What to add up.")  # fmt: skip
@click.option("--seconds", type=float, default=10.0, show_default=True, help="How long to measure.")
@click.option("--top", type=int, default=20, show_default=True, help="How many rows to show.")
@click.option("--svg", type=FILE, metavar="FILE", help="Write a flame graph.")
@click.option("--speedscope", type=FILE, metavar="FILE", help="Write a file for speedscope.app.")
@click.option("-w", "--write", type=FILE, metavar="FILE", help="Write what was measured, to be shown later.")
@socket_option
@output_option
def command(
    file: Path | None, by: str, seconds: float, top: int, svg: Path | None, speedscope: Path | None,
    write: Path | None, socket: Path, output: str,
) -> None:  # fmt: skip
    """Measure the running server's script and show where its time goes, in microseconds.

    The time of a statement is that from its begin to that of the next one; waiting for a database or for
    DNS is in it. While nobody measures it costs nothing. With FILE, show what -w wrote.

    Example: kamtool prof --by function --svg flame.svg
    """
    from kamtool.debug.profile.flame import flame
    from kamtool.debug.profile.record import Profile
    from kamtool.debug.profile.speedscope import speedscope as for_speedscope

    if file is not None:
        try:
            facts = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} cannot be read: {error}", exit_code=3) from error
    else:
        control.ask(socket, "debug.profile", ["on"], 10.0)
        try:
            time.sleep(seconds)
        finally:
            facts = control.ask(socket, "debug.profile", ["off"], 10.0)
    if isinstance(facts, list):  # one a worker
        facts = Profile.joined(map(Profile.of, facts)).facts()
    profile = Profile.of(facts)
    if write is not None:
        write.write_text(json.dumps(facts))
    title = f"{profile.runs} runs of routes, {profile.total_ns / 1e6:.1f} ms"
    if svg is not None:
        svg.write_text(flame(profile, title))
    if speedscope is not None:
        speedscope.write_text(json.dumps(for_speedscope(profile, title)))
    if not profile.runs:
        click.echo("no message came", err=True)
    emit(profile.by(by)[:top], output, (by, "percent", "total", "runs", "each"))
