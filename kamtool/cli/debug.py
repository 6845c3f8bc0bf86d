"""`kamtool debug`: attach to a running server, stop one message and look into it; replay a recording."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kamtool.cli.output import coloured
from kamtool.cli.replaying import replay
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError

FORMATS = ("text", "json")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-x", "--execute", type=click.Path(path_type=Path), metavar="FILE",
    help="Do what the lines of FILE say instead of asking; a piped stdin does the same.",
)  # fmt: skip
@click.option(
    "--dap", default=None, is_flag=False, flag_value="stdio", metavar="[HOST:PORT]",
    help="Serve an editor by the Debug Adapter Protocol, over stdio or on a TCP address.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="text", show_default=True,
    help="Text for people, or a JSON object a line.",
)  # fmt: skip
@click.option("--tui", is_flag=True, help="Use the whole terminal: source, stack, watches, message, prompt.")
@click.option(
    "--worker", type=click.IntRange(0), metavar="N",
    help="Watch only this one of several workers, from 0; else all are watched.",
)  # fmt: skip
@socket_option
@click.pass_context
def command(
    ctx: click.Context, execute: Path | None, dap: str | None, output: str, tui: bool, worker: int | None,
    socket: Path,
) -> int:  # fmt: skip
    """Attach a debugger to the running server.

    A message that meets a breakpoint stops; all others flow on. It can be looked into and changed, stepped
    through routes, across t_relay into reply, branch and failure routes, and backwards. The server needs no
    restart and no other cfg, and leaving the debugger leaves nothing behind: what was stopped goes on.

    At the prompt, `help` shows what can be typed. Only the server's owner may attach.

    Example: kamtool debug
    """
    if ctx.invoked_subcommand is not None:
        return 0
    if dap is not None:
        from kamtool.debug.dap import serve

        return serve(socket, dap, worker)
    if execute is not None and not execute.is_file():
        raise UsageError(f"no file {execute}", exit_code=3)
    from kamtool.debug.crowd import Crowd
    from kamtool.repl.shell import run

    return run(
        Crowd(worker),
        socket,
        script=execute,
        as_json=output == "json",
        coloured=coloured(sys.stdout),
        full=tui,
    )


command.add_command(replay)
