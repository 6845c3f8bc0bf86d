"""`kamtool tls`: certificates for this server and its phones, and what a running server does with them."""

from __future__ import annotations

import click

from kamtool.cli.tls_keeping import export, list_, needs_renewal, revoke, trust, untrust
from kamtool.cli.tls_looking import check, inspect
from kamtool.cli.tls_making import acme, init, issue, renew
from kamtool.cli.tls_running import connections, kick, reload


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make certificates, check them, and see who is connected over TLS.

    Example: kamtool tls init
    """


for one in (
    acme, check, connections, export, init, inspect, issue, kick, list_, needs_renewal, reload, renew, revoke,
    trust, untrust,
):  # fmt: skip
    command.add_command(one)
