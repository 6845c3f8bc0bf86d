"""Where messages go: printed as they come, drawn at the end, written to files, sent on as HEP."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Protocol, TextIO

from kamtool.errors import UsageError
from kamtool.sip import hep
from kamtool.tools.captured import Captured
from kamtool.tools.ladder import html, markdown, mermaid, svg, text
from kamtool.tools.ladder.calls import Call, Calls
from kamtool.tools.ladder.facts import facts
from kamtool.tools.pcap.streams import Record
from kamtool.tools.pcap.writer import Ring, Writer

LARGEST_DATAGRAM = 65_000
SIPS_PORT, MOST_PORTS = 5061, 8
FORMATS = ("text", "jsonl", "ladder", "mermaid", "svg", "html", "markdown")


class Sink(Protocol):
    """Takes messages."""

    def take(self, seen: Captured) -> None:
        """One message."""

    def take_record(self, record: Record) -> None:
        """Something of a TLS connection that is recorded."""

    def flush(self) -> None:
        """For now there is no more."""

    def end(self) -> str:
        """There is no more; what there is to say about it, "" for nothing."""


class Printed:
    """Each message as it comes: as text, or as a JSON object a line."""

    def __init__(self, out: TextIO, format: str) -> None:  # noqa: A002
        self.out = out
        self.show: Callable[[Captured], str] = (
            text.message_text
            if format == "text"
            else lambda seen: json.dumps(facts(seen), ensure_ascii=False)
        )

    def take(self, seen: Captured) -> None:
        self.out.write(self.show(seen) + "\n")

    def take_record(self, record: Record) -> None:
        pass

    def flush(self) -> None:
        self.out.flush()

    def end(self) -> str:
        self.flush()
        return ""


class Drawn:
    """All calls once there is no more: a ladder in one of the ways to draw one."""

    def __init__(self, out: TextIO, format: str, width: int) -> None:  # noqa: A002
        self.out, self.format, self.width = out, format, width
        self.calls = Calls()

    def take(self, seen: Captured) -> None:
        self.calls.add(seen)

    def take_record(self, record: Record) -> None:
        pass

    def flush(self) -> None:
        pass

    def end(self) -> str:
        if self.format == "html":
            self.out.write(html.render(self.calls))
        elif self.format == "svg":
            return self._one()
        else:
            ways: dict[str, Callable[[Call], str]] = {
                "mermaid": mermaid.render, "markdown": markdown.render,
                "ladder": lambda call: text.render(call, self.width),
            }  # fmt: skip
            self.out.write("\n".join(ways[self.format](call) for call in self.calls))
        self.out.flush()
        lost = self.calls.forgotten
        return f"{lost} calls were too many to keep" if lost else ""

    def _one(self) -> str:
        """An SVG is one picture: of the longest call."""
        if not len(self.calls):
            return "there is nothing to draw"
        call = max(self.calls, key=lambda each: len(each.messages))
        self.out.write(svg.render(call))
        self.out.flush()
        rest = len(self.calls) - 1
        return f"drawn is {call.call_id}, not the other {rest} calls: --call-id chooses" if rest else ""


class Filed:
    """A capture file, a ring of them, or a stream."""

    def __init__(self, writer: Writer | Ring, name: str) -> None:
        self.writer, self.name = writer, name

    def take(self, seen: Captured) -> None:
        self.writer.write(seen)

    def take_record(self, record: Record) -> None:
        self.writer.write_record(record)

    def flush(self) -> None:
        self.writer.flush()

    def end(self) -> str:
        self.writer.flush()
        if isinstance(self.writer, Ring):  # a stream is another's
            self.writer.close()
        cut = f", {self.writer.cut} of them cut to fit a packet" if self.writer.cut else ""
        said = f"{self.writer.count} messages"
        if self.writer.records:
            said += f" and {self.writer.records} TLS records"
        return f"{said} written to {self.name}{cut}{self._how_to_read()}"

    def _how_to_read(self) -> str:
        """What Wireshark must be told of ports that it does not know to be SIP's."""
        ports = sorted(self.writer.ports - {SIPS_PORT})[:MOST_PORTS]
        return "; read it with " + " ".join(f"-d tls.port=={port},sip" for port in ports) if ports else ""


class Sent:
    """HEP to a capture server."""

    def __init__(self, place: str, *, version: int = 3, node: int = 1, key: str = "") -> None:
        """`place` is `udp:host:port` or `tcp:host:port`. Raises UsageError."""
        self.place, self.version, self.node, self.key = place, version, node, key
        transport, host, port = parse_place(place)
        if transport == "tcp" and version != 3:
            raise UsageError("only HEP version 3 can go over TCP", hint="--hep udp:host:port")
        self.is_stream = transport == "tcp"
        self.count = self.failed = 0
        try:
            kind = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
            family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
            self.socket = socket.socket(family, kind)
            self.socket.settimeout(10)
            self.socket.connect(address)
        except OSError as error:
            raise UsageError(f"--hep {place}: {error.strerror or error}", exit_code=5) from error

    def take(self, seen: Captured) -> None:
        packet = hep.encode(
            hep.Hep(
                seen.source,
                seen.target,
                seen.data[:LARGEST_DATAGRAM],
                hep.PROTOCOLS.get(seen.transport, 17),
                seen.at,
                self.node,
                self.key,
                seen.correlation or seen.header("X-CID") or seen.call_id,
                version=self.version,
            )
        )
        try:
            self.socket.sendall(packet)
            self.count += 1
        except OSError:  # an ICMP error of an earlier one, or a stream that has ended
            self.failed += 1

    def take_record(self, record: Record) -> None:
        pass

    def flush(self) -> None:
        pass

    def end(self) -> str:
        self.socket.close()
        failed = f", {self.failed} could not be" if self.failed else ""
        return f"{self.count} messages sent to {self.place}{failed}"


def parse_place(text: str, default: int = 9060) -> tuple[str, str, int]:
    """`udp:host:port`, `host:port`, `[::1]:9060`: transport, host, port. Raises UsageError."""
    transport, rest = "udp", text
    if text.startswith(("udp:", "tcp:")):
        transport, rest = text[:3], text[4:]
    host, colon, port = rest.rpartition(":")
    if not colon:
        host, port = rest, str(default)
    if (
        not host.strip("[]")
        or (":" in host and not host.startswith("["))
        or not port.isdecimal()
        or not 0 <= int(port) < 65_536
    ):
        raise UsageError(f"{text!r} is no place for HEP", hint="udp:127.0.0.1:9060")
    return transport, host.strip("[]"), int(port)
