"""Extensions that a REGISTER brings along: Path (RFC 3327), outbound (RFC 5626), GRUU (RFC 5627)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kamtool.errors import ParseError
from kamtool.modules.registrar.refusal import Refused
from kamtool.sip.message import Message
from kamtool.sip.nameaddr import parse_name_addr
from kamtool.sip.uri import SipUri, unescape


class Switches(Protocol):
    """The parameters of registrar that this file obeys."""

    use_path: int
    path_mode: int
    path_use_received: int
    gruu_enabled: int
    outbound_mode: int
    flow_timer: int


@dataclass(frozen=True, slots=True)
class Extensions:
    """What was asked for and is granted."""

    path: str = ""
    path_received: str = ""
    """The `received` parameter of the first Path, where `path_use_received` wants it."""
    path_headers: tuple[str, ...] = ()
    gruu: bool = False
    reply_headers: tuple[str, ...] = ()


NONE = Extensions()


def read(msg: Message, switches: Switches) -> Extensions:
    """Raises Refused: 400, 420, 421, 439."""
    supported = msg.headers("Supported")
    required = msg.headers("Require")
    if not supported and not required and not switches.use_path and not switches.outbound_mode:
        return NONE
    options = {option.strip().lower() for value in supported + required for option in value.split(",")}
    path = _path(msg, options, switches) if switches.use_path else NONE
    headers: list[str] = []
    if "outbound" in options or switches.outbound_mode == 2:
        required_here = any("outbound" in value.lower() for value in required)
        headers = _outbound(msg, path, "outbound" in options, required_here, switches)
    return Extensions(
        path.path,
        path.path_received,
        path.path_headers,
        bool(switches.gruu_enabled) and "gruu" in options,
        tuple(headers),
    )


def _path(msg: Message, options: set[str], switches: Switches) -> Extensions:
    values = msg.items("Path")
    if not values:
        return NONE
    path = ", ".join(values)
    if switches.path_mode == 2 and "path" not in options:
        raise Refused(420, "Path without Supported: path", "Unsupported: path", f"Path: {path}")
    try:
        first = SipUri.parse(parse_name_addr(values[0]).uri)
    except ParseError as error:
        raise Refused(400, f"Path cannot be read: {error.reason}") from error
    if not first.loose:
        raise Refused(400, "the first Path has no lr: strict routers are not supported")
    received = unescape(first.params.get("received") or "") if switches.path_use_received else ""
    echoed = switches.path_mode >= 1 and "path" in options
    return Extensions(path, received, (f"Path: {path}",) if echoed else ())


def _outbound(
    msg: Message, path: Extensions, supported: bool, required: bool, switches: Switches
) -> list[str]:
    if not switches.outbound_mode:
        if required:
            raise Refused(420, "outbound is switched off here", "Unsupported: outbound")
        return []
    if not supported:
        raise Refused(421, "outbound is required here", "Require: outbound")
    if len(msg.items("Via")) > 1 and not _edge_does_outbound(path.path):
        raise Refused(439, "the first hop does not support outbound")
    headers = ["Require: outbound"]
    if switches.flow_timer > 0:
        headers.append(f"Flow-Timer: {switches.flow_timer}")
    return headers


def _edge_does_outbound(path: str) -> bool:
    """RFC 5626 §6: the last Path entry, which is the edge proxy's, has the parameter `ob`."""
    if not path:
        return False
    try:
        return "ob" in SipUri.parse(parse_name_addr(path.rpartition(", ")[2]).uri).params
    except ParseError:
        return False
