"""One traced message, and the ways in which a copy of it leaves: as a row, as HEP, as plain SIP."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kamtool.sip import hep
from kamtool.sip.flow import Address, Flow
from kamtool.store.times import to_julian

COLUMNS = (
    "time_stamp", "time_us", "callid", "traced_user", "msg", "method", "status", "fromip", "toip", "fromtag",
    "totag", "direction",
)  # fmt: skip
_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CSEQ = re.compile(rb"\ncseq[ \t]*:[ \t]*(\d{1,10})[ \t]+(\S+)", re.IGNORECASE)
_TAG = re.compile(rb";[ \t]*tag=([^;,>\s]+)", re.IGNORECASE)
_FROM = re.compile(rb"\n(?:from|f)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_TO = re.compile(rb"\n(?:to|t)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_XHEADER = re.compile(rb"\r\nX-Siptrace-(Fromip|Toip|Time|Method|Dir):[ \t]*([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Copy:
    """A message with where it came from and where it went, each as `udp:10.0.0.1:5060`."""

    at: float
    is_in: bool
    source: str
    target: str
    data: bytes
    method: str = ""
    """As the headers of another server tell it, else it is the message's own."""

    @property
    def call_id(self) -> str:
        return _first(_CALL_ID, self.data)

    @property
    def key(self) -> tuple[str, int]:
        """Call-ID and CSeq number: a request with its responses, its CANCEL and its ACK."""
        found = _CSEQ.search(self.data)
        return self.call_id, int(found[1]) if found else 0

    @property
    def is_reply(self) -> bool:
        return self.data.startswith(b"SIP/2.0 ")

    @property
    def status(self) -> str:
        return self.data[8:11].decode("latin-1") if self.is_reply else ""

    @property
    def cseq_method(self) -> str:
        found = _CSEQ.search(self.data)
        return found[2].decode("latin-1") if found else ""

    @property
    def own_method(self) -> str:
        """The method of a request, the CSeq's of a reply."""
        if self.is_reply:
            return self.cseq_method
        return self.data[:64].partition(b" ")[0].decode("latin-1")

    def row(self, user: str) -> tuple[object, ...]:
        """The values for COLUMNS."""
        from_, to = _FROM.search(self.data), _TO.search(self.data)
        return (
            to_julian(int(self.at)), round(self.at % 1 * 1_000_000) % 1_000_000, self.call_id, user,
            self.data.decode("utf-8", "replace"), self.method or self.own_method, self.status, self.source,
            self.target, _first(_TAG, from_[1]) if from_ else "", _first(_TAG, to[1]) if to else "",
            "in" if self.is_in else "out",
        )  # fmt: skip

    def hep(self, version: int, node: int, key: str, correlation: str) -> bytes:
        """The HEP packet."""
        transport, source = split(self.source)
        _, target = split(self.target)
        protocol = hep.PROTOCOLS.get(transport, 17)
        data = self.data[:65_000]
        return hep.encode(
            hep.Hep(source, target, data, protocol, self.at, node, key, correlation, version=version)
        )

    def with_xheaders(self) -> bytes:
        """The message with what is known of it in headers of its own, for the next server."""
        head, gap, body = self.data.partition(b"\r\n\r\n")
        seconds, micro = divmod(round(self.at * 1_000_000), 1_000_000)
        lines = (
            f"X-Siptrace-Fromip: {self.source}", f"X-Siptrace-Toip: {self.target}",
            f"X-Siptrace-Time: {seconds} {micro}", f"X-Siptrace-Method: {self.method or self.own_method}",
            f"X-Siptrace-Dir: {'in' if self.is_in else 'out'}",
        )  # fmt: skip
        return head + b"\r\n" + "\r\n".join(lines).encode("utf-8", "replace") + gap + body

    def without_xheaders(self) -> Copy | None:
        """What the headers of another server tell, and the message without them; None when there are none."""
        head, gap, body = self.data.partition(b"\r\n\r\n")
        told = {
            found[1].lower(): found[2].decode("utf-8", "replace").strip() for found in _XHEADER.finditer(head)
        }
        if len(told) < 5:
            return None
        seconds, _, micro = told[b"time"].partition(" ")
        at = int(seconds) + int(micro) / 1e6 if seconds.isdecimal() and micro.isdecimal() else self.at
        return replace(
            self, at=at, is_in=told[b"dir"] == "in", source=told[b"fromip"], target=told[b"toip"],
            data=_XHEADER.sub(b"", head) + gap + body, method=told[b"method"],
        )  # fmt: skip


def _first(pattern: re.Pattern[bytes], data: bytes) -> str:
    found = pattern.search(data)
    return found[1].strip().decode("utf-8", "replace") if found else ""


def place(transport: str, address: Address) -> str:
    """`udp:10.0.0.1:5060`."""
    return f"{transport}:{address}"


def split(text: str) -> tuple[str, Address]:
    """The transport and the address in `udp:10.0.0.1:5060`; what is missing is 0.0.0.0 and 0."""
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    try:
        from ipaddress import ip_address

        host = str(ip_address(host.strip("[]")))
    except ValueError:
        host = "0.0.0.0"
    return transport, Address(host, int(port) if port.isdecimal() and int(port) < 65_536 else 0)


def copy_of(at: float, inbound: bool, flow: Flow, data: bytes, local: str = "") -> Copy:
    """A message as the tap saw it; `local` stands for our address on what goes out."""
    here, there = place(flow.transport, flow.local), place(flow.transport, flow.remote)
    return Copy(at, True, there, here, data) if inbound else Copy(at, False, local or here, there, data)
