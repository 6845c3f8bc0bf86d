"""What the commands of `kamtool tls` share: the folder of the authority, and how they speak."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kamtool.tools.tls_authority import Authority

ATTENTION = 10
PATH = click.Path(path_type=Path)

FILE = click.Path(path_type=Path, dir_okay=False)


def default_folder() -> Path:
    """Where certificates are kept: `$KAMTOOL_TLS`, root's /etc/kamtool/tls, or the user's own (XDG)."""
    if os.environ.get("KAMTOOL_TLS"):
        return Path(os.environ["KAMTOOL_TLS"]).expanduser()
    if os.geteuid() == 0:
        return Path("/etc/kamtool/tls")
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "kamtool/tls"


def folder_option(function: Any) -> Any:
    """The option --dir of every command that needs the authority."""
    return click.option(
        "--dir", "folder", type=PATH, default=default_folder, metavar="DIR",
        help="Where the authority and its certificates are; $KAMTOOL_TLS, else /etc/kamtool/tls for root.",
    )(function)  # fmt: skip


def authority(folder: Path) -> Authority:
    """The authority there. Raises UsageError."""
    from kamtool.tools.tls_authority import Authority

    return Authority(folder.absolute())


class Days(click.ParamType[int]):
    """`30d`, `12w` or a number of days."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,5})([dwy]?)", str(value).strip())
        if not found:
            self.fail(f"{value!r} is no time: 30d, 12w, 1y", param, ctx)
        return int(found[1]) * {"": 1, "d": 1, "w": 7, "y": 365}[found[2]]


DAYS = Days()


def say_rows(rows: Sequence[tuple[str, str, str]]) -> None:
    """What was made and where, for people."""
    width = max(len(row[1]) for row in rows)
    for name, value, note in rows:
        click.echo(f"  {name:<12} {value.ljust(width) if note else value}  {note}".rstrip(), err=True)


def own_name() -> str:
    return os.environ.get("KAMTOOL_COMMAND", "kamtool")
