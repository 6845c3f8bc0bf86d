"""`kamtool tls`: make certificates and renew them, here or by a public authority."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.rpc import socket_option
from kamtool.cli.tls_folder import (
    DAYS,
    FILE,
    PATH,
    authority,
    folder_option,
    own_name,
    say_rows,
)
from kamtool.errors import UsageError
from kamtool.server import control

if TYPE_CHECKING:
    from kamtool.tools.tls_authority import Issued


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@click.option("--only-for", multiple=True, metavar="DOMAIN", help="Let the authority issue for nothing else.")
@click.option("--days", type=DAYS, default="90d", show_default=True, help="How long the certificate is good.")
@click.option("--dry-run", is_flag=True, help="Tell what would be made, and make nothing.")
def init(names: tuple[str, ...], folder: Path, only_for: tuple[str, ...], days: int, dry_run: bool) -> None:
    """Make an authority, a certificate for this server, and a tls.cfg that uses them.

    Without a NAME (host name or address) it takes the names and addresses that this machine has. An
    authority that is there already is kept.

    Example: kamtool tls init sip.example.com example.com
    """
    from kamtool.tools.tls_authority import Authority
    from kamtool.tools.tls_setup import detected_names, write_cfg

    folder = folder.absolute()
    chosen = list(names) or detected_names()
    is_new = not (folder / "ca.pem").exists()
    cfg = folder / "tls.cfg"
    if dry_run:
        made = "a new authority" if is_new else "the authority that is there"
        click.echo(
            f"would make in {folder}: a certificate from {made} for {', '.join(chosen)}, and {cfg.name}"
        )
        return
    if cfg.exists():
        raise UsageError(
            f"{cfg} exists",
            exit_code=4,
            hint="`kamtool tls issue` makes further certificates, `renew` newer ones",
        )
    owner = (
        Authority.create(folder, f"kamtool CA {chosen[0]}", only_for=only_for)
        if is_new
        else authority(folder)
    )
    server = owner.issue(chosen, days=days, stem="server", replace=False)
    write_cfg(cfg, owner, server)
    rows = [
        ("authority", str(owner.certificate_file), "new: give it to phones" if is_new else "as it was"),
        ("its key", str(owner.key_file), "keep it secret"),
        ("certificate", server.certificate, f"for {', '.join(chosen)}"),
        ("its key", server.key, f"{days} days; `kamtool tls renew --all` in cron"),
        ("tls.cfg", str(cfg), ""),
    ]
    say_rows(rows)
    click.echo("in kamailio.cfg:", err=True)
    for line in ("enable_tls=yes", 'loadmodule "tls.so"', f'modparam("tls", "config", "{cfg}")'):
        click.echo(f"  {line}", err=True)
    click.echo(f"next: {own_name()} tls trust, and {own_name()} tls check {chosen[0]}:5061", err=True)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@folder_option
@click.option("--client", is_flag=True, help="For a client, which shows it to servers.")
@click.option("--user", default="", metavar="USER", help="For sip:USER@NAME; a client certificate.")
@click.option("--days", type=DAYS, default="90d", show_default=True, help="How long it is good.")
@click.option("--only-sip", is_flag=True, help="Mark it as good for SIP (RFC 5924).")
@click.option("--dry-run", is_flag=True, help="Tell what would be made, and make nothing.")
def issue(
    names: tuple[str, ...], folder: Path, client: bool, user: str, days: int, only_sip: bool, dry_run: bool
) -> None:
    """Make one certificate for all the NAMEs: host names, addresses.

    Example: kamtool tls issue --user alice example.com
    """
    owner = authority(folder)
    if dry_run:
        click.echo(f"would make a certificate for {', '.join(names)} in {owner.folder}")
        return
    made = owner.issue(names, client=client or bool(user), user=user, days=days, only_sip=only_sip)
    rows = [("certificate", made.certificate, f"{made.days} days"), ("its key", made.key, "keep it secret")]
    say_rows(rows)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@click.option("--all", "every", is_flag=True, help="All that were issued.")
@click.option("--before", type=DAYS, default=None, help="Only those with less time left than this, e.g. 30d.")
@click.option("--days", type=DAYS, default=0, help="How long the new one is good; as long as the old one.")
@click.option("--new-key", is_flag=True, help="With a new key too.")
@click.option("--hook", metavar="COMMAND", help="Run it once when something was renewed; $KAMTOOL_RENEWED.")
@click.option("--reload", "then_reload", is_flag=True, help="Let the running server take the new ones.")
@click.option("--dry-run", is_flag=True, help="Tell what would be renewed.")
@socket_option
def renew(
    names: tuple[str, ...], folder: Path, every: bool, before: int | None, days: int, new_key: bool,
    hook: str | None, then_reload: bool, dry_run: bool, socket: Path,
) -> None:  # fmt: skip
    """Make certificates again with new dates.

    The files change at once; a running server takes them with --reload, and connections stay.

    Example: kamtool tls renew --all --before 30d --reload
    """
    owner = authority(folder)
    if bool(names) == every:
        raise UsageError("name certificates, or give --all", hint="`kamtool tls list` shows them")
    chosen = list(owner.current()) if every else [owner.find(name) for name in names]
    if before is not None:
        chosen = [row for row in chosen if row.left() < timedelta(days=before)]
    for row in chosen:
        if not dry_run:
            owner.renew(row, days=days, new_key=new_key)
        click.echo(f"{'would renew' if dry_run else 'renewed'} {row.certificate}", err=True)
    if dry_run:
        return
    owner.write_crl()
    if not chosen:
        click.echo("nothing to renew", err=True)
        return
    if then_reload:
        click.echo(control.ask(socket, "tls.reload", []), err=True)
    if hook:
        run_hook(hook, chosen)


def run_hook(hook: str, renewed: Sequence[Issued]) -> None:
    """Run the user's own command; its failure is ours."""
    environment = {**os.environ, "KAMTOOL_RENEWED": "\n".join(row.certificate for row in renewed)}
    code = subprocess.run(hook, shell=True, env=environment, check=False).returncode
    if code:
        raise UsageError(f"the hook {hook!r} ended with {code}", exit_code=1)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@folder_option
@click.option(
    "--directory", required=True, metavar="URL", help="The authority's directory, e.g. Let's Encrypt's."
)
@click.option("--agree", is_flag=True, help="You agree to the authority's terms of service.")
@click.option("--mail", multiple=True, metavar="ADDRESS", help="Where the authority may write to.")
@click.option(
    "--port", type=int, default=80, show_default=True, help="Answer http-01 on this port meanwhile."
)
@click.option("--webroot", type=PATH, metavar="DIR", help="Answer by files below DIR, for a web server.")
@click.option("--before", type=DAYS, default="30d", show_default=True, help="Nothing when more is left.")
@click.option("--ca", "roots", type=FILE, metavar="FILE", help="Roots to trust for the directory itself.")
@click.option("--reload", "then_reload", is_flag=True, help="Let the running server take the new one.")
@socket_option
def acme(
    names: tuple[str, ...], folder: Path, directory: str, agree: bool, mail: tuple[str, ...], port: int,
    webroot: Path | None, before: int, roots: Path | None, then_reload: bool, socket: Path,
) -> None:  # fmt: skip
    """Get a certificate for NAMEs from a public authority (ACME, http-01), or renew it.

    Run it from cron: it does nothing while the certificate has more than --before left.

    Example: kamtool tls acme sip.example.com --agree --directory https://acme-v02.api.letsencrypt.org/directory
    """
    from kamtool.tools import acme as protocol
    from kamtool.tools.tls_authority import write

    if not agree:
        raise UsageError("the authority wants you to agree to its terms", hint="--agree")
    certificate, key_file = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    if days_left(certificate) > before:
        click.echo(f"{certificate} has {days_left(certificate)} days left: nothing to do", err=True)
        return
    client = protocol.Client(directory, protocol.account_key(folder / "acme-account.key"), roots)
    client.register(mail)
    key = protocol.account_key(key_file)
    answers: dict[str, str] = protocol.Webroot(webroot) if webroot else {}
    try:
        if webroot:
            chain = client.order(names, key, answers, lambda line: click.echo(line, err=True))
        else:
            with protocol.answering(port, answers):
                chain = client.order(names, key, answers, lambda line: click.echo(line, err=True))
    finally:
        if isinstance(answers, protocol.Webroot):
            answers.remove()
    write(certificate, chain)
    say_rows(
        [("certificate", str(certificate), f"{days_left(certificate)} days"), ("its key", str(key_file), "")]
    )
    if then_reload:
        click.echo(control.ask(socket, "tls.reload", [], 30.0), err=True)


def days_left(certificate: Path) -> int:
    """The days that a certificate file is still good; -1 when there is none."""
    import time

    from kamtool.transport.x509 import BadCertificate, read_pem

    try:
        found = read_pem(certificate.read_bytes())
    except (OSError, BadCertificate):
        return -1
    return int(found[0].not_after_epoch - time.time()) // 86_400 if found else -1
