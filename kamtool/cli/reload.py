"""`kamtool reload`: a running server reads its cfg again."""

from __future__ import annotations

from pathlib import Path

import click

from kamtool.cli.output import emit_value, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import RpcError
from kamtool.server import control

BAD_CFG = 7


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; only tell whether the cfg would be taken over.")
@click.option(
    "--timeout", type=float, default=60.0, show_default=True, help="Seconds to wait for the answer."
)
@socket_option
@output_option
def command(check: bool, timeout: float, socket: Path, output: str) -> None:
    """Make the running server read its cfg again, without a stop.

    The cfg is taken over as a whole or not at all. One with mistakes is refused, and so is one with a
    change that needs a restart (sockets, the list of modules, what a module reads only at its start): all
    of it is shown here, the server goes on with the old cfg, and the exit code is 7. Messages and
    transactions under way end on the cfg that they began with.

    Example: kamtool reload --check && kamtool reload
    """
    from kamtool.server.reload import REFUSED

    try:
        done = control.ask(socket, "core.reload", ["check"] if check else [], timeout)
    except RpcError as error:
        if error.code != REFUSED:
            raise
        click.echo(error.message, err=True)
        click.echo("not reloaded: the server goes on with the cfg it has", err=True)
        raise SystemExit(BAD_CFG) from None
    for warning in done["warnings"]:
        click.echo(warning, err=True)
    if output != "table":
        emit_value(done, output)
        return
    click.echo(f"{'the cfg would do' if check else 'reloaded'} ({done['milliseconds']} ms)")
    for change in done["changes"]:
        click.echo(f"  {change}")
