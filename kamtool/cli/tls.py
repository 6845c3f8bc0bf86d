"""`kamtool tls`: certificates for this server and its phones, and what a running server does with them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli.output import coloured, emit, emit_value, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError
from kamtool.server import control

if TYPE_CHECKING:
    from kamtool.tools.tls_authority import Authority, Issued
    from kamtool.tools.tls_check import Finding

ATTENTION = 10
PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
TRUST_FOLDER = Path("/usr/local/share/ca-certificates")


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make certificates, check them, and see who is connected over TLS.

    Example: kamtool tls init
    """


# Making --------------------------------------------------------------------------------------------------


@command.command()
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


def say_rows(rows: Sequence[tuple[str, str, str]]) -> None:
    """What was made and where, for people."""
    width = max(len(row[1]) for row in rows)
    for name, value, note in rows:
        click.echo(f"  {name:<12} {value.ljust(width) if note else value}  {note}".rstrip(), err=True)


def own_name() -> str:
    return os.environ.get("KAMTOOL_COMMAND", "kamtool")


@command.command()
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
    """Make a certificate for each NAME at once: host names, addresses.

    Example: kamtool tls issue --user alice example.com
    """
    owner = authority(folder)
    if dry_run:
        click.echo(f"would make a certificate for {', '.join(names)} in {owner.folder}")
        return
    made = owner.issue(names, client=client or bool(user), user=user, days=days, only_sip=only_sip)
    rows = [("certificate", made.certificate, f"{made.days} days"), ("its key", made.key, "keep it secret")]
    say_rows(rows)


@command.command()
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


@command.command("needs-renewal")
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


@command.command("list")
@folder_option
@click.option("--revoked", is_flag=True, help="Also those that were revoked or replaced.")
@output_option
def list_(folder: Path, revoked: bool, output: str) -> None:
    """Show the certificates that were issued here.

    Example: kamtool tls list
    """
    owner = authority(folder)
    emit([shown(row) for row in (owner.issued() if revoked else owner.current())], output)


@command.command()
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


@command.command()
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


@command.command()
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


# Looking -------------------------------------------------------------------------------------------------


@command.command()
@click.argument("target", metavar="HOST:PORT|FILE")
@click.option("--name", default=None, metavar="NAME", help="What it should be for; the HOST by default.")
@click.option("--ca", "authorities", type=FILE, metavar="FILE", help="Trust these roots; else the system's.")
@click.option("--key", type=FILE, metavar="FILE", help="The key that should belong to the certificate FILE.")
@click.option("--timeout", type=float, default=5.0, show_default=True, help="Seconds to wait for the server.")
@folder_option
@output_option
def check(
    target: str, name: str | None, authorities: Path | None, key: Path | None, timeout: float, folder: Path,
    output: str,
) -> None:  # fmt: skip
    """Check a server, a certificate file or a tls.cfg; leaves with 1 if it is no good, 10 if it soon will be.

    Chain, name by the rules of SIP (RFC 5922: no wildcards), dates, key, protocol and cipher. Our own
    authority in --dir is trusted too.

    Example: kamtool tls check sip.example.com
    """
    from kamtool.tools.tls_check import check_file, check_server, worst

    if Path(target).exists() or "/" in target:
        findings = check_file(Path(target), key, name or "")
    else:
        host, port = host_and_port(target)
        own = folder / "ca.pem"
        roots = authorities or (own if own.is_file() else None)
        findings = check_server(host, port, name or host, roots, timeout)
        if roots == own and any(each.what == "chain" and each.verdict != "ok" for each in findings):
            findings = check_server(host, port, name or host, None, timeout)
    show_findings(findings, output)
    verdict = worst(findings)
    if verdict != "ok":
        sys.exit(1 if verdict == "failed" else ATTENTION)


def host_and_port(target: str) -> tuple[str, int]:
    """`host`, `host:port` or `[v6]:port`."""
    host, colon, port = target.rpartition(":")
    if not colon or target.endswith("]"):
        return target.strip("[]"), 5061
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{target!r} is neither HOST:PORT nor a file that exists")
    return host.strip("[]"), int(port)


MARKS = {"ok": ("ok", "green"), "attention": ("look", "yellow"), "failed": ("FAILED", "red")}


def show_findings(findings: Sequence[Finding], output: str) -> None:
    """A line for each, its verdict first."""
    if output != "table" or not sys.stdout.isatty():
        emit([{"what": f.what, "verdict": f.verdict, "found": f.found} for f in findings], output)
        return
    width = max(len(each.what) for each in findings)
    for each in findings:
        mark, colour = MARKS[each.verdict]
        text = f"{mark:<6}"
        text = click.style(text, fg=colour, bold=True) if coloured(sys.stdout) else text
        click.echo(f"{text}  {each.what:<{width}}  {each.found}")


@command.command()
@click.argument("file", type=FILE)
@output_option
def inspect(file: Path, output: str) -> None:
    """Show what the certificates in a file say of themselves.

    Example: kamtool tls inspect /etc/kamtool/tls/server.pem
    """
    from kamtool.transport.x509 import BadCertificate, one_line, read_pem, shown_date

    try:
        found = read_pem(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: {(error.strerror or str(error)).lower()}", exit_code=3) from error
    except BadCertificate as error:
        raise UsageError(f"{file}: {error}", exit_code=1) from error
    if not found:
        raise UsageError(f"{file} holds no certificate", exit_code=1, hint="PEM is wanted")
    rows = [
        {
            "subject": one_line(each.subject), "issuer": one_line(each.issuer), "serial": f"{each.serial:x}",
            "from": shown_date(each.not_before_epoch), "until": shown_date(each.not_after_epoch),
            "authority": each.is_ca,
            "names": [f"{kind}:{name}" for kind, names in each.alt_names.items() for name in names],
        }
        for each in found
    ]  # fmt: skip
    emit_value(rows, output)


# The running server --------------------------------------------------------------------------------------


@command.command()
@socket_option
@output_option
def connections(socket: Path, output: str) -> None:
    """Show the TLS connections of the running server.

    Example: kamtool tls connections
    """
    rows = control.ask(socket, "tls.list", [])
    columns = ["id", "state", "transport", "src_ip", "src_port", "dst_port", "cipher", "server_name", "peer",
               "timeout", "ct_wq_size"]  # fmt: skip
    emit(rows, output, columns if output == "table" else ())


@command.command()
@click.argument("number", type=int, metavar="ID")
@socket_option
def kick(number: int, socket: Path) -> None:
    """Close a TLS connection of the running server.

    Example: kamtool tls kick 17
    """
    control.ask(socket, "tls.kill", [number])
    click.echo(f"closed {number}", err=True)


@command.command()
@socket_option
def reload(socket: Path) -> None:
    """Let the running server read tls.cfg and its certificates again; connections stay.

    When anything is wrong with them, it says what and goes on with the old ones.

    Example: kamtool tls reload
    """
    click.echo(control.ask(socket, "tls.reload", [], 30.0), err=True)


@command.command()
@folder_option
def trust(folder: Path) -> None:
    """Let the programs of this machine trust our authority (Debian and its kin, as root).

    Example: kamtool tls trust
    """
    owner = authority(folder)
    _change_trust(lambda place: place.write_bytes(owner.certificate_file.read_bytes()), owner)


@command.command()
@folder_option
def untrust(folder: Path) -> None:
    """Undo `trust`.

    Example: kamtool tls untrust
    """
    _change_trust(lambda place: place.unlink(missing_ok=True), authority(folder))


def _change_trust(change: Any, owner: Authority) -> None:
    by_hand = f"add {owner.certificate_file} to the trust store by hand"
    if not TRUST_FOLDER.is_dir():
        raise UsageError(f"there is no {TRUST_FOLDER} here", exit_code=1, hint=by_hand)
    serial = f"{owner.certificate.serial_number:x}"[:12]
    place = TRUST_FOLDER / f"kamtool-{serial}.crt"
    try:
        change(place)
        subprocess.run(
            ["update-ca-certificates"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except PermissionError as error:
        raise UsageError(f"{place}: permission denied", exit_code=6, hint="run it as root") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"update-ca-certificates: {error}", exit_code=1, hint=by_hand) from error
    click.echo(f"{'trusted' if place.exists() else 'no longer trusted'}: {place}", err=True)
