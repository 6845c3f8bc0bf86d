"""`kamtool tls`: what a running server does with its certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.server import control

if TYPE_CHECKING:
    pass


@click.command()
@socket_option
@output_option
def connections(socket: Path, output: str) -> None:
    """Show the TLS connections of the running server.

    Example: kamtool tls connections
    """
    rows = control.ask(socket, "tls.list", [])
    columns = ["id", "state", "transport", "src_ip", "src_port", "dst_port", "cipher", "server_name", "peer",
               "timeout", "ct_wq_size"]  # fmt: skip
    emit(rows, output, columns if output == "table" else ())


@click.command()
@click.argument("number", type=int, metavar="ID")
@socket_option
def kick(number: int, socket: Path) -> None:
    """Close a TLS connection of the running server.

    Example: kamtool tls kick 17
    """
    control.ask(socket, "tls.kill", [number])
    click.echo(f"closed {number}", err=True)


@click.command()
@socket_option
def reload(socket: Path) -> None:
    """Let the running server read tls.cfg and its certificates again; connections stay.

    When anything is wrong with them, it says what and goes on with the old ones.

    Example: kamtool tls reload
    """
    click.echo(control.ask(socket, "tls.reload", [], 30.0), err=True)
