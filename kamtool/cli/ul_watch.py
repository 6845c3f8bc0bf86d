"""`kamtool ul watch`: registrations as they come, change and go."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from kamtool.cli.output import coloured
from kamtool.cli.rpc import socket_option
from kamtool.server import control

COLOURS = {"inserted": "green", "updated": "blue", "deleted": "yellow", "expired": "red"}


@click.command("watch")
@click.argument("aor", required=False)
@click.option("--table", default="location", show_default=True, help="The location table.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=0.5,
    show_default=True,
    help="Seconds between looks.",
)
@click.option("-n", "--count", type=click.IntRange(min=1), help="Leave after so many changes.")
@click.option("--json", "as_json", is_flag=True, help="An object on each line.")
@socket_option
def watch(
    aor: str | None, table: str, interval: float, count: int | None, as_json: bool, socket: Path
) -> None:
    """Show changes of contacts as they happen, of AOR or of everybody, until Ctrl-C.

    Each is a line: the time, what happened (inserted, updated, deleted, expired), the address-of-record, the
    contact and the seconds it is registered for.

    Example: kamtool ul watch alice
    """
    found = (change for change in changes(socket, table, interval) if aor in (None, change["aor"]))
    colour = coloured(sys.stdout)
    for change in islice(found, count):
        if as_json:
            click.echo(json.dumps(change, ensure_ascii=False))
        else:
            event = f"{change['event']:<8}"
            shown = click.style(event, fg=COLOURS.get(change["event"])) if colour else event
            words = (change["time"], shown, change["aor"], change["contact"], str(change["expires"]))
            click.echo("\t".join((*words, change["user_agent"])), color=colour)


def changes(socket: Path, table: str, interval: float) -> Iterator[dict[str, Any]]:
    """Every change from now on, as long as the server answers. Raises UsageError when it does not."""
    told = control.ask(socket, "ul.watch", [table])
    click.echo(f"{told['Contacts']} contacts in {table}; watching", err=True)
    while True:
        time.sleep(interval)
        told = control.ask(socket, "ul.watch", [table, int(told["Number"])])
        now = time.strftime("%H:%M:%S")
        for change in told["Changes"]:
            yield {
                "time": now, "event": change["Event"], "aor": change["AoR"], "contact": change["Address"],
                "expires": change["Expires"], "user_agent": change["User-Agent"], "ruid": change["Ruid"],
            }  # fmt: skip
