"""`kamtool why`: why a request was answered as it was."""

from __future__ import annotations

from pathlib import Path

import click

from kamtool.cli.output import emit_value, output_option
from kamtool.cli.rpc import socket_option
from kamtool.server import control


@click.command()
@click.argument("status")
@click.option("--last", type=int, is_flag=False, flag_value=1, default=1, show_default=True, metavar="N",
              help="How many requests, the newest first.")  # fmt: skip
@socket_option
@output_option
def command(status: str, last: int, socket: Path, output: str) -> None:
    """Tell why the last request that got STATUS got it: the line of the cfg that decided, and by which value.

    STATUS is a code such as 403, a class such as 4xx, or 0 for requests that were not answered. The server
    must keep a history: `kamtool serve --history 1000`, or later `kamtool rpc debug.history 1000`.

    Example: kamtool why 403
    """
    found = control.ask(socket, "debug.why", [status, last], 10.0)
    show(sorted(found, key=lambda story: -story["began"])[:last], output)  # each worker has told its last


def show(stories: list[dict[str, object]], output: str) -> None:
    """Stories as text, or as data."""
    if output != "table":
        emit_value(stories, output)
        return
    from kamtool.debug.story.words import told

    click.echo("\n\n".join("\n".join(told(story)) for story in stories))
