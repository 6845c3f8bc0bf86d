"""`kamtool lsp`: the language server that editors start."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click


@click.command()
@click.option(
    "-A", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define before reading a cfg."
)
@click.option("--stdio", is_flag=True, help="Taken, as editors give it: stdin and stdout are always used.")
def command(defines: Sequence[str], stdio: bool) -> None:
    """Serve an editor on stdin and stdout, by the Language Server Protocol.

    It shows what `kamtool check` finds while you type, explains variables, functions, parameters and
    defines under the pointer, completes them, finds and renames routes and defines, and formats as
    `kamtool fmt` does. An editor starts it for files of kamailio.cfg's kind; it may give defines as
    `initializationOptions`: {"defines": {"WITH_NAT": null}}.

    Example: kamtool lsp -A WITH_NAT
    """
    from kamtool.tools.lsp.serve import serve

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    given = {name: value if equals else None for name, equals, value in (d.partition("=") for d in defines)}
    code = serve(sys.stdin.buffer, sys.stdout.buffer, given)
    # Not by way of the interpreter's end: the thread that reads holds stdin, and Python would abort over it.
    os._exit(code)
