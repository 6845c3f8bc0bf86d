"""The streams of an SDP as RTPproxy wants to hear of them, and as it wants them to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kamtool.script import edits, sdp_body
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.sdp_body import Body, Host, Line, Section

NULL = ("0.0.0.0", "::")


class Stream(NamedTuple):
    """One m= section: its address, port and payload types ("" when it is no RTP)."""

    section: Section
    host: Host
    port: int
    payloads: str


def streams_of(body: Body) -> list[Stream] | None:
    """The streams in order; None when one has no address or a port that is none."""
    found = []
    for section in body.streams:
        words, host = section.words, section.connection or body.session.connection
        port = words[1].partition("/")[0] if len(words) > 3 else ""
        if host is None or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            return None
        payloads = words[3:] if "RTP/" in words[2] else []
        wanted = ",".join(word for word in payloads if word.isascii() and word.isdigit())
        found.append(Stream(section, host, int(port), wanted))
    return found


class Given(NamedTuple):
    """Where RTPproxy wants a stream: its port, and its address when it said one."""

    port: int
    address: str


def read_answer(text: str) -> Given | None:
    """`40000 192.0.2.1`; None for an error (`E…`) or port 0."""
    words = text.split()
    if not words or not words[0].isascii() or not words[0].isdigit() or not 0 < int(words[0]) < 65536:
        return None
    return Given(int(words[0]), words[1] if len(words) > 1 else "")


def rewrite(
    ctx: Context, body: Body, streams: list[Stream], given: list[Given], address: str, mark: str
) -> None:
    """Queue the relay's addresses and ports; `address`, if not empty, in place of what the relay said."""
    first = address or given[0].address or ctx.flow.local.host
    for line in body.session.lines:
        if line.kind in "oc" and (host := sdp_body.host_of(line)) is not None and host.address not in NULL:
            sdp_body.set_host(ctx, host, first)
    for stream, to in zip(streams, given, strict=True):
        own = stream.section.connection
        if own is not None and own.address not in NULL:
            sdp_body.set_host(ctx, own, address or to.address or ctx.flow.local.host)
        if stream.port:  # 0 refuses a stream; it stays refused
            _set_port(ctx, stream.section.lines[0], to.port)
            for line in stream.section.lines:
                if line.text.startswith("a=rtcp:"):
                    edits.put(ctx, line.start, line.end, f"a=rtcp:{to.port + 1}".encode())
    if mark and not any(line.text == mark for line in body.lines()):
        sdp_body.insert(ctx, body.end, f"{mark}\r\n")


def _set_port(ctx: Context, line: Line, port: int) -> None:
    media, _, rest = line.text.partition(" ")
    start = line.start + len(to_octets(media)) + 1 + (len(rest) - len(rest.lstrip(" ")))
    old = rest.lstrip(" ").partition(" ")[0].partition("/")[0]
    edits.put(ctx, start, start + len(old), str(port).encode())
