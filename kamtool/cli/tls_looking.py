"""`kamtool tls`: check servers and files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.output import coloured, emit, emit_value, output_option
from kamtool.cli.tls_folder import (
    ATTENTION,
    FILE,
    folder_option,
)
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.tools.tls_check import Finding


@click.command()
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


@click.command()
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
