"""`-l` and `--alias` as kamailio writes them: `udp:127.0.0.1:5060/sip.example.com`, `(eth0, eth1):5065`."""

from __future__ import annotations

import re

from kamtool.errors import NOWHERE, UsageError
from kamtool.script.nodes import Alias, Listen

PROTOCOLS = ("udp", "tcp", "tls", "sctp", "ws", "wss")
BUILT = ("udp", "tcp", "tls")

_HOST = r"\[[0-9a-fA-F:.]+\]|[^\s:/(),\[\]]+"
_ADDRESS = re.compile(
    rf"(?:(?P<protocol>[a-z]+):(?!\d+$))?"
    rf"(?:\((?P<list>[^()]*)\)|(?P<host>{_HOST}))"
    rf"(?::(?P<port>\d+))?(?:/(?P<shown>{_HOST})(?::(?P<shown_port>\d+))?)?"
)


def parse_listen(text: str) -> Listen:
    """An address to listen on. Raises UsageError."""
    match = _ADDRESS.fullmatch(text.strip().strip('"'))
    if not match or match["protocol"] not in (None, *PROTOCOLS):
        raise UsageError(f"cannot listen on {text!r}", hint="[proto:]address[:port][/name[:port]]")
    if match["protocol"] and match["protocol"] not in BUILT:
        hint = "WebSockets are spoken on tcp and tls sockets" if match["protocol"] != "sctp" else ""
        raise UsageError(f"cannot listen on {text!r}: there are udp, tcp and tls sockets", hint=hint)
    hosts = [host.strip() for host in match["list"].split(",")] if match["list"] else [match["host"]]
    ports = [_port(match["port"], text), _port(match["shown_port"], text)]
    return Listen(NOWHERE, match["protocol"] or "", tuple(hosts), ports[0], match["shown"] or "", ports[1])


def parse_alias(text: str) -> Alias:
    """A name of this server, `[proto:]host[:port]`. Raises UsageError."""
    match = _ADDRESS.fullmatch(text.strip().strip('"'))
    if not match or not match["host"] or match["shown"] or match["protocol"] not in (None, *PROTOCOLS):
        raise UsageError(f"{text!r} is no name of a server", hint="[proto:]host[:port]")
    return Alias(NOWHERE, match["protocol"] or "", match["host"], _port(match["port"], text))


def _port(text: str | None, whole: str) -> int:
    number = int(text or 0)
    if number > 65_535:
        raise UsageError(f"{whole!r}: there is no port {number}")
    return number
