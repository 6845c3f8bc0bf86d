"""`kamtool modules`: what can be loaded, and what each module offers."""

from __future__ import annotations

import shutil
from typing import Any

import click

from kamtool import module
from kamtool.cli import manual
from kamtool.cli.output import emit, emit_value, output_option
from kamtool.errors import ConfigError, UsageError


@click.group()
def command() -> None:
    """List the modules that a cfg can load, and show what each offers.

    Example: kamtool modules show registrar
    """


@command.command("list")
@output_option
def list_modules(output: str) -> None:
    """List all modules with a line about each.

    Example: kamtool modules list
    """
    rows = []
    for name in module.available():
        declared = module.declaration(module.find(name))
        rows.append(
            {"module": name, "functions": len(declared.functions), "about": manual.first_line(declared.doc)}
        )
    emit(rows, output, ("module", "functions", "about"))


@command.command()
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show the parameters, functions, variables and RPC of the module NAME.

    Example: kamtool modules show registrar
    """
    try:
        declared = module.declaration(module.find(name.removesuffix(".so")))
    except ConfigError as error:
        import difflib

        near = difflib.get_close_matches(name, module.available(), 1)
        hint = f"did you mean {near[0]!r}?" if near else "`kamtool modules list` lists them"
        raise UsageError(error.message, exit_code=3, hint=hint) from None
    if output == "table":
        width = min(shutil.get_terminal_size().columns, 100)
        click.echo(manual.as_text(manual.module_sections(declared), width))
    else:
        emit_value(_facts(declared), output)


def _facts(declared: module.Declaration) -> dict[str, Any]:
    return {
        "module": declared.name,
        "about": declared.doc,
        "params": [
            {"name": name, "type": param.kind.__name__, "default": param.default, "about": param.doc}
            for name, param in declared.params.items()
        ],
        "functions": [
            {
                "name": name,
                "usage": manual.usage(function),
                "routes": manual.routes(function),
                "about": function.doc,
            }
            for name, function in sorted(declared.functions.items())
        ],
        "pvs": [{"name": f"${name}", "about": pv.doc} for name, pv in sorted(declared.pvs.items())],
        "transformations": [
            {"name": name, "about": entry.doc} for name, entry in sorted(declared.transformations.items())
        ],
        "rpc": [{"name": name, "about": rpc.doc} for name, rpc in sorted(declared.rpcs.items())],
        "events": list(declared.events),
    }
