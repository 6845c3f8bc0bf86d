"""nathelper: the one Contact that its functions look at and change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamtool.modules.registrar.wanted import CHANGED
from kamtool.script import edits, uri_text
from kamtool.script.address_text import address
from kamtool.script.values import from_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.uri_text import UriText

PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}
TRANSPORTS = {1: "udp", 2: "tcp", 3: "tls", 4: "sctp", 5: "ws", 6: "ws"}
"""What the numbers are in a URI: to a secure WebSocket belongs `transport=ws` too (RFC 7118 §5.5)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of Contact: where its URI stands, and where the entry ends. `bare` ones have no `<>`."""

    uri: str
    start: int
    end: int
    stop: int
    bare: bool

    @property
    def parts(self) -> UriText | None:
        """The URI's parts; None when it is no SIP URI."""
        found = uri_text.parts(self.uri)
        return found if found is not None and found.host else None


def places(ctx: Context, *, first_header: bool = False) -> list[Place]:
    """Every entry of Contact, or of its first header, in order; none for `*`."""
    found = []
    for field in ctx.msg.fields("Contact")[: 1 if first_header else None]:
        at = ctx.msg.data.index(b":", field.start) + 1
        text = ctx.msg.data[at : field.end].decode("latin-1")
        while (item := address(text)) is not None:
            if item.uri == "*":
                return []
            start, end = at + item.uri_start, at + item.uri_end
            stop = at + len(text[: item.end].rstrip())
            bare = ctx.msg.data[end : end + 1] != b">"
            found.append(Place(from_octets(ctx.msg.data[start:end]), start, end, stop, bare))
            at, text = at + item.end + 1, text[item.end + 1 :]
    return found


def contact(ctx: Context) -> Place | None:
    """The Contact that is meant: the last of the first header, as in Kamailio; None without one."""
    found = places(ctx, first_header=True)
    return found[-1] if found else None


def is_changed(ctx: Context, place: Place) -> bool:
    """Whether another URI is queued for it already."""
    return any(start == place.start and end == place.end for start, end, _ in ctx.edits)


def change(ctx: Context, place: Place, uri: str) -> None:
    """Queue another URI for it, in `<>` when it has parameters and stood without."""
    text = f"<{uri}>" if place.bare and ";" in uri else uri
    edits.put(ctx, place.start, place.end, text.encode("utf-8", "surrogateescape"))


def change_for_save(ctx: Context, place: Place, uri: str) -> None:
    """The same, and save() in this route keeps the new URI."""
    change(ctx, place, uri)
    ctx.scratch.setdefault(CHANGED, {})[place.uri] = uri


def source_uri(ctx: Context) -> str:
    """Where the message came from, e.g. `sip:192.0.2.1:5060;transport=tcp`; UDP goes unsaid."""
    transport = ctx.flow.transport
    return f"sip:{ctx.flow.remote}" + ("" if transport == "udp" else f";transport={transport}")
