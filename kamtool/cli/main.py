"""The command `kamtool`: its subcommands are the files of this folder; errors become lines and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Sequence

import click

import kamtool.cli
from kamtool.cli.version import version
from kamtool.errors import ConfigError, ConfigErrors, KamtoolError, RpcError, UsageError, veiled


class Commands(click.Group):
    """A group whose commands are the files beside this one that have a `command`, imported when wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = sorted(entry.name for entry in pkgutil.iter_modules(kamtool.cli.__path__))
        return [name for name in names if name != "main" and self.get_command(ctx, name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = f"kamtool.cli.{cmd_name}"
        if not cmd_name.isidentifier() or cmd_name == "main":
            return None
        try:
            found = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name != place:
                raise
            return None
        command = getattr(found, "command", None)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            hint = f"did you mean `{near[0]}`?" if near else "`kamtool --help` lists them"
            raise UsageError(f"no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(version())
        ctx.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 exists, 5 no server, 6 not allowed, "
    "7 bad cfg, 8 too late.",
)
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version and which kernel runs, then exit.",
)  # fmt: skip
def cli() -> None:
    """Run and tend a SIP server that understands kamailio.cfg.

    Example: kamtool serve
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `kamtool … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    as_json = _wants_json(arguments)
    try:
        code = cli.main(arguments, prog_name="kamtool", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx:
            hint = f"`{error.ctx.command_path} --help` shows how"
        return _report(error.format_message(), hint, error.exit_code, as_json)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except KamtoolError as error:
        return report(error, as_json)


def report(error: KamtoolError, as_json: bool = False) -> int:
    """Show an error of ours on stderr; its exit code."""
    if isinstance(error, ConfigError):
        return _report_config(error, as_json)
    if isinstance(error, UsageError):
        return _report(str(error), error.hint, error.exit_code, as_json)
    if isinstance(error, RpcError):
        return _report(error.message, "", 3 if error.code == 404 else 1, as_json)
    return _report(str(error), "", 1, as_json)


def _wants_json(arguments: list[str]) -> bool:
    """Whether the caller asked for JSON: known before parsing, so that errors of usage are JSON too."""
    asked = os.environ.get("KAMTOOL_OUTPUT", "")
    for place, word in enumerate(arguments):
        if word in ("-o", "--output") and place + 1 < len(arguments):
            asked = arguments[place + 1]
        elif word.startswith("--output="):
            asked = word.partition("=")[2]
    return asked.startswith("json")


def _report(message: str, hint: str, code: int, as_json: bool) -> int:
    message = veiled(message)
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message, "hint": hint}}), err=True)
        return code
    click.echo(f"{_red('kamtool:')} {message}", err=True)
    if hint:
        click.echo(f"   hint: {hint}", err=True)
    return code


def _red(text: str) -> str:
    from kamtool.cli.output import coloured

    return click.style(text, fg="red", bold=True) if coloured(sys.stderr) else text


def _report_config(error: ConfigError, as_json: bool) -> int:
    if not as_json:
        from kamtool.script.render import render

        click.echo(render(error), err=True)
        return 7
    for one in error.errors if isinstance(error, ConfigErrors) else (error,):
        where = {"file": one.span.file, "line": one.span.line, "column": one.span.column}
        facts = {"code": one.code, "message": one.message, "hint": one.hint, "where": where}
        click.echo(json.dumps({"error": facts}), err=True)
    return 7


if __name__ == "__main__":
    main()
