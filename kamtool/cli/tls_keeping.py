"""`kamtool tls`: what was issued, who may go on using it, and who trusts it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.cli.tls_folder import (
    ATTENTION,
    DAYS,
    FILE,
    authority,
    folder_option,
)
from kamtool.errors import UsageError
from kamtool.server import control

if TYPE_CHECKING:
    from kamtool.tools.tls_authority import Authority, Issued


TRUST_FOLDER = Path("/usr/local/share/ca-certificates")


@click.command("needs-renewal")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@click.option("--before", type=DAYS, default="30d", show_default=True, help="When less than this is left.")
@output_option
def needs_renewal(names: tuple[str, ...], folder: Path, before: int, output: str) -> None:
    """Show certificates that end soon, and leave with 10 if there is one.

    Example: kamtool tls needs-renewal --before 14d || kamtool tls renew --all --before 14d
    """
    owner = authority(folder)
    chosen = [owner.find(name) for name in names] if names else list(owner.current())
    due = [row for row in chosen if row.left() < timedelta(days=before)]
    emit([shown(row) for row in due], output)
    if due:
        sys.exit(ATTENTION)


def shown(row: Issued) -> dict[str, Any]:
    """One certificate as a row."""
    state = "revoked" if row.revoked_epoch else "expired" if row.left() < timedelta(0) else "good"
    return {
        "name": Path(row.certificate).stem, "for": ", ".join([row.user] * bool(row.user) + row.names),
        "kind": row.kind, "days_left": row.left().days, "state": state, "file": row.certificate,
        "serial": row.serial,
    }  # fmt: skip


@click.command("list")
@folder_option
@click.option("--revoked", is_flag=True, help="Also those that were revoked or replaced.")
@output_option
def list_(folder: Path, revoked: bool, output: str) -> None:
    """Show the certificates that were issued here.

    Example: kamtool tls list
    """
    owner = authority(folder)
    emit([shown(row) for row in (owner.issued() if revoked else owner.current())], output)


@click.command()
@click.argument("name")
@folder_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@socket_option
@click.option("--reload", "then_reload", is_flag=True, help="Let the running server take the new list.")
def revoke(name: str, folder: Path, yes: bool, socket: Path, then_reload: bool) -> None:
    """Take a certificate back and write it into crl.pem.

    A server refuses it when its tls.cfg has `crl = …/crl.pem` in a section that verifies.

    Example: kamtool tls revoke alice@example.com --reload
    """
    owner = authority(folder)
    row = owner.find(name)
    if not yes:
        click.confirm(f"Revoke {Path(row.certificate).stem}?", abort=True, err=True)
    owner.revoke(row)
    click.echo(f"revoked {row.certificate}; {owner.folder / 'crl.pem'} is new", err=True)
    if then_reload:
        click.echo(control.ask(socket, "tls.reload", []), err=True)


@click.command()
@click.argument("name", required=False)
@folder_option
@click.option("--to", "target", type=FILE, required=True, metavar="FILE", help="Where to write it, 0600.")
@click.option("--p12", is_flag=True, help="PKCS#12, for phones; asks for a password, or $KAMTOOL_PASSWORD.")
@click.option("--ca", is_flag=True, help="The authority's certificate alone: what phones must trust.")
def export(name: str | None, folder: Path, target: Path, p12: bool, ca: bool) -> None:
    """Write certificate, key and authority into one file for a phone.

    Example: kamtool tls export alice@example.com --p12 --to alice.p12
    """
    from kamtool.tools.tls_authority import write

    owner = authority(folder)
    if ca == bool(name):
        raise UsageError("name a certificate, or give --ca")
    if target.exists():
        raise UsageError(f"{target} exists", exit_code=4)
    if name is None:
        write(target, owner.certificate_file.read_bytes())
    else:
        password = ""
        if p12:
            password = os.environ.get("KAMTOOL_PASSWORD") or click.prompt(
                "Password", hide_input=True, confirmation_prompt="Again", err=True
            )
        write(target, owner.bundle(owner.find(name), password), secret=True)
    click.echo(f"written {target}", err=True)


@click.command()
@folder_option
def trust(folder: Path) -> None:
    """Let the programs of this machine trust our authority (Debian and its kin, as root).

    Example: kamtool tls trust
    """
    owner = authority(folder)
    place = _trusted_file(owner)
    was_trusted = place.exists()
    try:
        place.write_bytes(owner.certificate_file.read_bytes())
        place.chmod(0o644)  # whatever root's umask is: all programs are to read it
        _update_store()
    except (OSError, subprocess.CalledProcessError) as error:
        if not was_trusted:
            with suppress(OSError):
                place.unlink()
        raise _failed(error, owner) from error
    click.echo(f"trusted: {place}", err=True)


@click.command()
@folder_option
def untrust(folder: Path) -> None:
    """Undo `trust`.

    Example: kamtool tls untrust
    """
    owner = authority(folder)
    place = _trusted_file(owner)
    if not place.exists():
        raise UsageError(f"{place} is not there: the authority is not trusted", exit_code=3)
    try:
        place.unlink()
        _update_store("--fresh")  # without it the links to the file stay behind
    except (OSError, subprocess.CalledProcessError) as error:
        raise _failed(error, owner) from error
    click.echo(f"no longer trusted: {place}", err=True)


def _trusted_file(owner: Authority) -> Path:
    """Where this machine's programs look for our authority. Raises UsageError where they look elsewhere."""
    if not TRUST_FOLDER.is_dir():
        raise UsageError(f"there is no {TRUST_FOLDER} here", exit_code=1, hint=_by_hand(owner))
    serial = f"{owner.certificate.serial_number:x}"[:12]
    return TRUST_FOLDER / f"kamtool-{serial}.crt"


def _by_hand(owner: Authority) -> str:
    return f"the trust store changes by hand: {owner.certificate_file}"


def _update_store(*options: str) -> None:
    words = ["update-ca-certificates", *options]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _failed(error: OSError | subprocess.CalledProcessError, owner: Authority) -> UsageError:
    if isinstance(error, PermissionError):
        return UsageError(f"{error.filename}: permission denied", exit_code=6, hint="run it as root")
    return UsageError(f"update-ca-certificates: {error}", exit_code=1, hint=_by_hand(owner))
