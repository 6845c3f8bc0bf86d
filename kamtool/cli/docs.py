"""`kamtool docs`: write man pages and completions from the commands and the module declarations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from click import shell_completion

from kamtool import __version__, module
from kamtool.cli import manual
from kamtool.errors import UsageError


@click.command(hidden=True)
@click.option("--write", is_flag=True, help="Write the files; else only say which differ.")
@click.argument("root", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.pass_context
def command(ctx: click.Context, write: bool, root: Path) -> None:
    """Write man/ and completions/ of the checkout in ROOT anew.

    Without --write it changes nothing and fails when a file is out of date.

    Example: kamtool docs --write
    """
    if not (root / "pyproject.toml").exists():
        raise UsageError(f"{root.absolute()} is no checkout of kamtool", hint="give the folder as argument")
    cli = ctx.find_root().command
    assert isinstance(cli, click.Group)
    wanted = dict(pages(cli))
    present = {
        str(path.relative_to(root))
        for folder in ("man", "completions")
        for path in (root / folder).glob("*.*")
    }
    stale = [name for name, text in wanted.items() if _read(root / name) != text]
    gone = sorted(present - set(wanted))
    for name in [*stale, *gone]:
        click.echo(name)
    if not write and (stale or gone):
        raise UsageError("these files are out of date", exit_code=1, hint="run `kamtool docs --write`")
    for name in stale:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(wanted[name])
    for name in gone:
        (root / name).unlink()


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def pages(cli: click.Group) -> Iterator[tuple[str, str]]:
    """Every generated file: its place in the checkout and its text."""
    context = click.Context(cli, help_option_names=["-h", "--help"])
    yield _page(cli, "kamtool", "kamtool-serve(1), kamtool-modules(1)")
    for name in cli.list_commands(context):
        below = cli.get_command(context, name)
        if below is not None:
            yield _page(below, f"kamtool {name}", "kamtool(1)")
    for name in module.available():
        sections = manual.module_sections(module.declaration(module.find(name)))
        title = f"kamtool-{name}"
        yield (
            f"man/{title}.7",
            manual.as_man(sections, title, 7, __version__, "kamtool(1), kamtool-modules(1)"),
        )
    for shell, maker in _COMPLETIONS.items():
        complete = maker(cli, {}, "kamtool", "_KAMTOOL_COMPLETE")
        yield f"completions/kamtool.{shell}", complete.source_template % complete.source_vars()


_COMPLETIONS: dict[str, type[shell_completion.ShellComplete]] = {
    "bash": shell_completion.BashComplete,
    "zsh": shell_completion.ZshComplete,
    "fish": shell_completion.FishComplete,
}


def _page(command: click.Command, path: str, see_also: str) -> tuple[str, str]:
    title = path.replace(" ", "-")
    sections = [*manual.command_sections(command, path), EXIT_STATUS, ENVIRONMENT]
    return f"man/{title}.1", manual.as_man(sections, title, 1, __version__, see_also)


EXIT_STATUS = manual.Section(
    "EXIT STATUS",
    entries=[
        ("0", "done"),
        ("1", "failed"),
        ("2", "the command line is wrong"),
        ("3", "not found"),
        ("4", "exists already"),
        ("5", "no server answers"),
        ("6", "not allowed"),
        ("7", "the cfg is wrong"),
        ("8", "too late"),
        ("9", "done in part"),
        ("10", "attention needed"),
    ],
)
ENVIRONMENT = manual.Section(
    "ENVIRONMENT",
    entries=[
        (
            "KAMTOOL_DB",
            "The database file. Else: /var/lib/kamtool/kamtool.db for root, one in $XDG_DATA_HOME.",
        ),
        ("KAMTOOL_SOCKET", "The control socket. Else: in /run/kamtool for root, one in $XDG_RUNTIME_DIR."),
        ("KAMTOOL_OUTPUT", "The default of -o."),
        ("KAMTOOL_PURE", "When 1, the pure Python kernel runs though the native one is there."),
        ("NO_COLOR", "When set, nothing is coloured."),
    ],
)
