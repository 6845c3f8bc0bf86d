"""Whom the load goes to, and whether it may."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.stress.schedule import Load

MAX_RATE: Final = 200_000.0
MAX_DURATION: Final = 14 * 86400.0
MAX_RATE_ELSEWHERE: Final = 20_000.0
"""Calls a second towards another machine, even one's own."""
PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
TRANSPORTS: Final = tuple(PORTS)


@dataclass(frozen=True, slots=True)
class Target:
    """A server: where it is, by which transport, and the name it was given by."""

    transport: str
    address: Address
    host: str

    def __str__(self) -> str:
        return f"{self.transport}:{self.address}"


def parse_target(text: str, transport: str = "", default: str = "udp") -> Target:
    """`host`, `host:port`, `tls:host:port` or `sip:host:port;transport=tcp`. Raises UsageError, also when
    `transport` is another one than the target's own.
    """
    rest, given = text.strip(), ""
    scheme, colon, after = rest.partition(":")
    if colon and scheme.lower() in (*TRANSPORTS, "sip", "sips"):
        rest = after.removeprefix("//")
        if scheme.lower() in TRANSPORTS:
            given = given or scheme.lower()
        elif scheme.lower() == "sips":
            given = given or "tls"
    rest, _, params = rest.partition(";")
    for param in params.split(";"):
        name, _, value = param.partition("=")
        if name.lower() == "transport":
            given = given or value.lower()
    if transport and given and transport != given:
        raise UsageError(f"{text} is not by {transport}", hint="either the target or --transport says how")
    given = given or transport or default
    if given not in TRANSPORTS:
        raise UsageError(f"no transport {given!r}", hint=", ".join(TRANSPORTS))
    host, port = host_and_port(rest.rpartition("@")[2]) or ("", None)
    if not host or port == 0:
        raise UsageError(f"no target: {text!r}", hint="host, host:port or tls:host:port")
    return Target(given, Address(_resolve(host), port or PORTS[given]), host)


def host_and_port(text: str) -> tuple[str, int | None] | None:
    """Of `HOST`, `HOST:PORT` or `[IPv6]:PORT`, the port None when it is not said; None for anything else."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if port and not (port.isdecimal() and len(port) < 6 and int(port) < 65536):
        return None
    return host, int(port) if port else None


def _resolve(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host}: {getattr(error, 'strerror', '') or error}", exit_code=5) from None


def permit(target: Target, owned: Collection[str], load: Load) -> None:
    """Refuse what may not be loaded: a host that is not this one unless it is `owned`, and loads without
    bounds.
    """
    address = ipaddress.ip_address(target.address.host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    here = address.is_loopback or bool(mapped and mapped.is_loopback)
    peak = max(load.rate, load.to_rate)
    if not here and not {target.host, target.address.host} & set(owned):
        raise UsageError(
            f"{target.host} is not this machine: its owner may not want this load",
            exit_code=6,
            hint=f"if it is yours, say so: --i-own-target {target.host}",
        )
    limit = MAX_RATE if here else MAX_RATE_ELSEWHERE
    if peak > limit:
        raise UsageError(f"{peak:.0f} calls/s is more than the {limit:.0f}/s that are allowed there")
    if load.duration > MAX_DURATION:
        raise UsageError(f"{load.duration:.0f} s is longer than the {MAX_DURATION:.0f} s of a run at most")
