"""`kamtool init`: a folder with a kamailio.cfg and a database to begin with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from kamtool.cli.share import cfg_folder
from kamtool.errors import UsageError
from kamtool.store.migrate import migrate


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--force", is_flag=True, help="Overwrite a kamailio.cfg that is there. A database is never overwritten."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
def command(folder: Path, force: bool, dry_run: bool) -> None:
    """Write a kamailio.cfg to start from, and its database, into FOLDER.

    The cfg is the one that `kamtool serve` runs by itself, with the database beside it.

    Example: kamtool init ~/pbx
    """
    cfg, database = folder / "kamailio.cfg", folder / "kamtool.db"
    if cfg.exists() and not force:
        raise UsageError(f"{cfg} exists", exit_code=4, hint="--force overwrites it")
    if dry_run:
        click.echo(f"would write {cfg}", err=True)
        click.echo(f"would {'bring up to date' if database.exists() else 'create'} {database}", err=True)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cfg.write_text(starting_cfg(database.absolute()), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {cfg}: {error.strerror}", exit_code=1) from error
    migrate(database)
    click.echo(f"wrote {cfg} and {database}", err=True)
    click.echo("next:", err=True)
    click.echo(f"  kamtool serve -f {shlex.quote(str(cfg))}", err=True)
    click.echo(f"  KAMTOOL_DB={shlex.quote(str(database))} kamtool user add alice", err=True)


def starting_cfg(database: Path) -> str:
    """default.cfg with its database set; its opening comment says what became of it."""
    text = (cfg_folder() / "default.cfg").read_text(encoding="utf-8")
    url = f'#!trydef DBURL "sqlite:///{database}"'
    text, found = re.subn(r"^#!trydef DBURL .*$", lambda _: url, text, count=1, flags=re.MULTILINE)
    if not found:
        raise UsageError("default.cfg of this installation has no DBURL to set", exit_code=1)
    opening = "# kamailio.cfg: the registrar and proxy of one domain; yours to change."
    return re.sub(r"^# default\.cfg: .*$", opening, text, count=1, flags=re.MULTILINE)
