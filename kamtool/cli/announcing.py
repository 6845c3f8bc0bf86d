"""What `kamtool serve` says on stderr once it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.version import version as version_line
from kamtool.cli.wishes import Wishes

if TYPE_CHECKING:
    from kamtool.sip.flow import Socket


def announce(
    wishes: Wishes, listening: Sequence[Socket], database: str, socket: Path, workers: int = 1
) -> None:
    """Tell on stderr what runs, where, and what to do next."""
    rows = [("cfg", str(wishes.script_file()))]
    if wishes.database:
        rows.append(("database", f"{wishes.database} ({database})"))
    sockets = [f"{each.transport}:{each.address}" for each in listening]
    rows += zip(["listening on", *[""] * (len(sockets) - 1)], sockets, strict=True)
    if workers > 1:
        rows.append(("workers", f"{workers}, dispatch by {wishes.dispatch}"))
    rows.append(("control", str(socket)))
    click.echo(version_line(), err=True)
    for name, value in rows:
        click.echo(f"  {name:<13} {value}", err=True)
    if wishes.database:
        click.echo(f"next: {own_name()} user add alice", err=True)


def own_name() -> str:
    """What to type for `kamtool`: `./run kamtool` says itself in $KAMTOOL_COMMAND."""
    return os.environ.get("KAMTOOL_COMMAND", "kamtool")
