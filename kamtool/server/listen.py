"""The sockets and names that the cfg asks for, and what they mean on this machine."""

from __future__ import annotations

import fcntl
import logging
import socket as sockets
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import TransportError
from kamtool.script.context import Context
from kamtool.script.settings import UNBUILT
from kamtool.sip.flow import Address, Flow, Socket, Transport
from kamtool.sip.message import Request
from kamtool.transport.target import Target, is_loopback, is_numeric

if TYPE_CHECKING:
    from kamtool.transport.transports import Transports

log = logging.getLogger("kamtool.server")

DEFAULT_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")
DEFAULT_TLS_PORT = 5061
_SIOCGIFADDR = 0x8915

# Kamailio runs an event_route that has no message on a request of this kind, too.
FAKE_REQUEST = (
    b"OPTIONS sip:you@kamtool.invalid SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK-event\r\n"
    b"From: <sip:you@kamtool.invalid>;tag=event\r\nTo: <sip:you@kamtool.invalid>\r\n"
    b"Call-ID: event@127.0.0.1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n"
)


def sockets_of(settings: Any, given: list[Socket]) -> list[Socket]:
    """Every socket to open: `given`, else the `listen` lines, else UDP and TCP on all interfaces.

    Raises TransportError for a host or an interface that is not here.
    """
    if given:
        return [each for socket in given for each in _everywhere(socket)]
    default_port = settings.number("port")
    advertised = settings.text("advertised_address")
    tls_port = settings.number("tls_port_no") or DEFAULT_TLS_PORT
    transports = (*DEFAULT_TRANSPORTS, "tls") if settings["enable_tls"] else DEFAULT_TRANSPORTS
    wanted: list[Socket] = []
    for entry in settings.listens:
        protocols = (entry.protocol.lower(),) if entry.protocol else transports
        if protocols[0] in UNBUILT:
            log.warning("listen=%s:%s is left out: %s is not built", *protocols, entry.hosts[0], *protocols)
            continue
        for protocol in protocols:
            port = entry.port or default_port
            if protocol == "tls":
                # As Kamailio: the port of a line for all transports is TLS's neighbour.
                port = entry.port + (not entry.protocol) if entry.port else tls_port
            for host in entry.hosts:
                for address in addresses_of(host):
                    wanted.append(_socket(protocol, Address(address, port), entry))
    if not settings.listens:
        wanted = [Socket(t, Address("0.0.0.0", tls_port if t == "tls" else default_port)) for t in transports]
        if settings["auto_bind_ipv6"]:
            wanted += [replace(socket, address=Address("::", socket.address.port)) for socket in wanted]
    if settings["disable_tcp"]:
        wanted = [socket for socket in wanted if socket.transport not in ("tcp", "tls")]
    if not settings["enable_tls"]:
        wanted = without_tls(wanted, "enable_tls is not set")
    spread = [each for socket in wanted for each in _everywhere(socket)]
    if advertised:
        port = settings.number("advertised_port")
        spread = [_advertise(socket, advertised, port) for socket in spread]
    return list(dict.fromkeys(spread))


def wanted_by(script: Any, given: list[Socket]) -> list[Socket]:
    """The sockets that a server of this script opens. Raises TransportError."""
    wanted = sockets_of(script.settings, given)
    if any(load.name == "tls" for load in script.loads):
        return wanted
    return without_tls(wanted, 'loadmodule "tls.so" is missing')


def without_tls(wanted: list[Socket], why: str) -> list[Socket]:
    """The sockets but those for TLS, with a warning for each of these: so does Kamailio."""
    for socket in wanted:
        if socket.transport == "tls":
            log.warning("listen=tls:%s is left out: %s", socket.address, why)
    return [socket for socket in wanted if socket.transport != "tls"]


def _socket(protocol: Any, address: Address, entry: Any) -> Socket:
    shown = None
    if entry.advertised_host:
        shown = Address(entry.advertised_host.strip("[]"), entry.advertised_port or address.port)
    return Socket(protocol, address, shown, entry.name)


def _advertise(socket: Socket, host: str, port: int) -> Socket:
    if socket.advertised is not None:
        return socket
    return Socket(socket.transport, socket.address, Address(host, port or socket.address.port), socket.name)


def _everywhere(socket: Socket) -> list[Socket]:
    """A wildcard socket as one for each address: Via must show an address that a peer can answer to."""
    host, port = socket.address
    if host == "0.0.0.0":
        hosts = list(ipv4_addresses())
    elif host == "::":
        hosts = list(ipv6_addresses())
    else:
        return [socket]
    return [Socket(socket.transport, Address(each, port), socket.advertised, socket.name) for each in hosts]


def addresses_of(host: str) -> list[str]:
    """The addresses of an IP, `*`, an interface or a host name. Raises TransportError."""
    if host == "*":
        return ["0.0.0.0"]
    if is_numeric(host):
        return [host.strip("[]")]
    found = [address for name, address in interfaces() if name == host]
    if found:
        return found
    try:
        infos = sockets.getaddrinfo(host, None, type=sockets.SOCK_DGRAM)
    except OSError as error:
        raise TransportError(
            f"cannot listen on {host}: neither an interface nor a name that resolves"
        ) from error
    return [str(infos[0][4][0])]


def interfaces() -> Iterator[tuple[str, str]]:
    """The name and address of every IPv4 interface that has one."""
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as probe:
        for _, name in sockets.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            yield name, sockets.inet_ntoa(answer[20:24])


def ipv4_addresses() -> Iterator[str]:
    for _, address in interfaces():
        yield address


def ipv6_addresses() -> Iterator[str]:
    """Every IPv6 address but the link-local ones, which need a zone that SIP cannot write."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        address = sockets.inet_ntop(sockets.AF_INET6, bytes.fromhex(line.split()[0]))
        if not address.startswith("fe80"):
            yield address


def aliases_of(settings: Any) -> list[tuple[str, str, int]]:
    """(transport, host, port) of every `alias`; "" and 0 stand for any."""
    return [(entry.protocol or "", entry.host, entry.port or 0) for entry in settings.aliases]


@lru_cache(4096)
def source_address(host: str) -> str:
    """The local address from which the kernel would reach `host`, "" when it would not."""
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    with sockets.socket(family, sockets.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def route_socket(transports: Transports, target: Target) -> Socket | None:
    """`mhomed`: the socket bound to the address that the kernel would send from."""
    local = source_address(target.address.host)
    for socket in transports.sockets:
        if socket.transport == target.transport and socket.address.host == local:
            return socket
    return None


def event_context(host: Any) -> Context:
    """A context for an event_route that no message set off."""
    local = Address("127.0.0.1", 5060)
    for socket in host.sockets:
        local = socket.address
        if is_loopback(local.host):
            break
    return Context(host, Request(FAKE_REQUEST), Flow("udp", local, local))
