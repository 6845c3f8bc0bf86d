"""HTTP/1.1 as a client: one request and its response, bounded in time and size."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import h11

from kamtool.errors import TransportError

Headers = Sequence[tuple[str, str]]

PIECE: Final = 65536
MOST_REDIRECTS: Final = 5
MOST_BODY: Final = 16 << 20
REDIRECTS: Final = (301, 302, 303, 307, 308)


class TimedOut(TransportError):
    """No whole response in time."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How an https server is checked, and what is shown to it."""

    verify_peer: bool = True
    verify_host: bool = True
    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    ciphers: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `seconds` bounds all of it, redirects included; `most` bounds the answer's body."""

    url: str
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    seconds: float = 4.0
    redirect: bool = True
    most: int = 0
    username: str = ""
    password: str = ""
    proxy: tuple[str, int] | None = None
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `location` is where a redirect pointed last."""

    status: int
    reason: str = ""
    headers: Headers = ()
    body: bytes = b""
    location: str = ""

    def header(self, name: str) -> str | None:
        """The first header of a name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@lru_cache(64)
def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    if not tls.verify_host or not tls.verify_peer:
        context.check_hostname = False
    if not tls.verify_peer:
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None)
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    return context


async def fetch(ask: Ask) -> Answer:
    """The response to a request. Raises TransportError, TimedOut when it takes too long."""
    work = asyncio.ensure_future(_follow(ask))
    try:
        done, _ = await asyncio.wait([work], timeout=ask.seconds)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if not done:
        work.cancel()
        raise TimedOut(f"{ask.url}: nothing within {ask.seconds:g} s")
    try:
        return work.result()
    except (OSError, ValueError, EOFError, h11.ProtocolError) as error:
        raise TransportError(f"{ask.url}: {error or type(error).__name__}") from error


async def _follow(ask: Ask) -> Answer:
    location = ""
    for _ in range(MOST_REDIRECTS + 1):
        answer = await _once(ask)
        target = answer.header("Location")
        if answer.status not in REDIRECTS or not target:
            break
        location = urljoin(ask.url, target)
        if not ask.redirect:
            break
        here, there = urlsplit(ask.url), urlsplit(location)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            ask = replace(ask, username="", password="")  # another server's business is not ours to tell
        if answer.status == 303 or (answer.status in (301, 302) and ask.method == "POST"):
            ask = replace(ask, method="GET", body=b"")
        ask = replace(ask, url=location)
    return replace(answer, location=location)


async def _once(ask: Ask) -> Answer:
    parts = urlsplit(ask.url if "://" in ask.url else f"http://{ask.url}")
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http URL")
    host, port = parts.hostname, parts.port or (443 if secure else 80)
    if secure and ask.proxy:
        raise ValueError("https through a proxy is not supported")
    place = ask.proxy or (host, port)
    options: dict[str, Any] = {"ssl": _context(ask.tls), "server_hostname": host} if secure else {}
    reader, writer = await asyncio.open_connection(*place, **options)
    try:
        target = parts.path or "/"
        if parts.query:
            target += f"?{parts.query}"
        if ask.proxy:
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
        shown = f"[{host}]" if ":" in host else host
        default = 443 if secure else 80
        authority = shown if port == default else f"{shown}:{port}"
        username = ask.username or parts.username or ""
        password = ask.password or parts.password or ""
        return await _converse(reader, writer, ask, target, authority, (username, password))
    finally:
        writer.close()


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, target: str, authority: str,
    account: tuple[str, str],
) -> Answer:  # fmt: skip
    headers = [("Host", authority), *ask.headers, ("Connection", "close")]
    if account[0]:
        token = base64.b64encode(":".join(account).encode()).decode()
        headers.append(("Authorization", f"Basic {token}"))
    if ask.body or ask.method in ("POST", "PUT"):
        headers.append(("Content-Length", str(len(ask.body))))
    machine = h11.Connection(h11.CLIENT)
    sent = [machine.send(h11.Request(method=ask.method, target=target, headers=headers))]
    if ask.body:
        sent.append(machine.send(h11.Data(data=ask.body)))
    sent.append(machine.send(h11.EndOfMessage()))
    writer.writelines([piece for piece in sent if piece])
    await writer.drain()
    most = ask.most or MOST_BODY
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = machine.next_event()
        if event is h11.NEED_DATA:
            machine.receive_data(await reader.read(PIECE))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise ValueError(f"more than {most} octets")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    if head is None:
        raise EOFError("closed without a response")
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]
    return Answer(head.status_code, head.reason.decode("latin-1"), pairs, bytes(body))


def header_pairs(text: str) -> list[tuple[str, str]]:
    """`A: 1\\r\\nB: 2` as pairs; what is no header line is left out."""
    pairs = []
    for line in text.replace("\\r", "\r").replace("\\n", "\n").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            pairs.append((name.strip(), value.strip()))
    return pairs
