"""A message of a scenario, compiled: one bytes format, and one function that gives what is different in
each call.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kamtool.errors import ConfigError, ParseError
from kamtool.sip import digest
from kamtool.tools.sippxml.keywords import Keyword, split_text
from kamtool.tools.sippxml.users import Users
from kamtool.tools.stress import received
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint

VERSION = "3.6.1"
"""What `[sipp_version]` says: the one whose behaviour this follows."""

Piece = bytes | str | tuple[str, str]
"""Literal octets, the name of a constant of the endpoint, or a conversion with the expression that fills
it.
"""


@dataclass(slots=True)
class Setting:
    """What all messages of a run share: the run's name, service, keys, users and variables of all calls."""

    run: str = field(default_factory=lambda: f"{os.getpid():x}{int(time.time() * 1000) & 0xFFFFFF:06x}")
    service: str = "service"
    user: str = ""
    password: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Users] = field(default_factory=dict)
    globals: dict[str, Any] = field(default_factory=dict)
    global_names: frozenset[str] = frozenset()
    media_port: int = 6000
    started: float = field(default_factory=time.monotonic)

    def rows(self, name: str = "") -> Users | None:
        """The users of a file, or of the first."""
        return self.users.get(name) or next(iter(self.users.values()), None)


class Template:
    """Text with keywords. `render` gives the octets for a call."""

    def __init__(self, text: str, setting: Setting, index: int = 0, body: str | None = None) -> None:
        self.setting = setting
        self.needs_first_line = "[authentication" in text
        if setting.users and not self.needs_first_line:
            self.needs_first_line = "[field" in text and any(
                "[" in value for users in setting.users.values() for row in users.rows for value in row
            )
        compile_ = _Compiler(setting, index)
        self.pieces = compile_.pieces(text)
        self.body = compile_.pieces(body) if body is not None else []
        self.body_arguments = _arguments(self.body)
        self.arguments = _arguments(self.pieces)
        self.formats: dict[Endpoint, tuple[bytes, bytes, int]] = {}

    def bind(self, endpoint: Endpoint) -> tuple[bytes, bytes, int]:
        """The formats with this endpoint's constants filled in, and the body's length if known."""
        body = _format(self.body, endpoint)
        known = len(body % ()) if self.body_arguments is None else -1
        bound = (_format(self.pieces, endpoint), body, known)
        self.formats[endpoint] = bound
        return bound

    def render(self, call: Call) -> bytes:
        """The octets for this call."""
        head, body, length = self.formats.get(call.endpoint) or self.bind(call.endpoint)
        if self.needs_first_line:
            call.first_line = b""
            call.first_line = self._fill(head.partition(b"\r\n")[0], call)
        content = b""
        if length < 0:
            content = body % self.body_arguments(call, 0)  # type: ignore[misc]
            length = len(content)
        elif length:
            content = body % ()
        if self.arguments is None:
            return head % () + content
        return head % self.arguments(call, length) + content

    def _fill(self, line: bytes, call: Call) -> bytes:
        """The first line alone."""
        pieces: list[Piece] = []
        for piece in self.pieces:
            if isinstance(piece, bytes) and b"\r\n" in piece:
                pieces.append(piece.partition(b"\r\n")[0])
                break
            pieces.append(piece)
        arguments = _arguments(pieces)
        return line % (arguments(call, 0) if arguments else ())


class Message(Template):
    """The message of a `<send>`: lines without their indentation, CRLF, a length."""

    def __init__(self, text: str, setting: Setting, index: int) -> None:
        head, body = split_message(text)
        self.first = head.partition("\r\n")[0]
        self.is_response = self.first.upper().startswith("SIP/2.0")
        self.method = "" if self.is_response else self.first.partition(" ")[0]
        super().__init__(head, setting, index, body or None)


def split_message(text: str) -> tuple[str, str]:
    """Headers with the empty line, and body, as they are sent: nothing before or behind a line, CRLF."""
    lines = [line.strip() for line in text.strip().splitlines()]
    place = lines.index("") if "" in lines else len(lines)
    body = lines[place + 1 :]
    while body and not body[0]:
        del body[0]
    while body and not body[-1]:
        body.pop()
    head = "\r\n".join(lines[:place]) + "\r\n\r\n"
    return head, "\r\n".join(body) + "\r\n" if body else ""


_VANISHING = ("last_", "routes", "authentication", "field", "$")


class _Compiler:
    def __init__(self, setting: Setting, index: int) -> None:
        self.setting, self.index = setting, index

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text; a keyword alone on its line takes the line with it when it is empty."""
        made: list[Piece] = []
        parts = list(split_text(self._keys(text)))
        skip = 0
        for place, part in enumerate(parts):
            if isinstance(part, str):
                made.append(part[skip:].encode("utf-8", "surrogateescape"))
                skip = 0
                continue
            skip = 0
            before = parts[place - 1] if place else ""
            after = parts[place + 1] if place + 1 < len(parts) else ""
            follows = after if isinstance(after, str) else ""
            alone = isinstance(before, str) and before.endswith("\n")
            pieces = self.keyword(part)
            if alone and follows[:2] == "\r\n" and part.name.startswith(_VANISHING):
                (piece,) = pieces
                assert isinstance(piece, tuple)
                pieces = [("%b", f"line({piece[1]})")]
                skip = 2
            made += pieces
        return made

    def _keys(self, text: str) -> str:
        for name, value in self.setting.keys.items():
            text = text.replace(f"[{name}]", value)
        return text

    def keyword(self, keyword: Keyword) -> list[Piece]:
        """What a keyword becomes."""
        name, offset = keyword.name, keyword.offset
        if name in Endpoint.CONSTANTS:
            return [f"{name}{offset:+d}" if offset else name]
        if name == "branch":
            number = self.index + offset
            return [f"z9hG4bK-{self.setting.run}-".encode(), ("%d", "c.number"), f"-{number}".encode()]
        if name in ("service", "sipp_version", "pid", "hostname"):
            texts = {"service": self.setting.service, "sipp_version": VERSION, "pid": str(os.getpid()),
                     "hostname": socket.gethostname()}  # fmt: skip
            return [texts[name].encode()]
        if name in (
            "media_port",
            "auto_media_port",
            "rtpstream_audio_port",
            "rtpstream_video_port",
            "rtcp_port",
        ):
            return [str(self.setting.media_port + offset).encode()]
        if name == "msg_index":
            return [str(self.index + offset).encode()]
        simple = {
            "call_number": ("%d", "c.number"),
            "call_id": ("%b", "c.call_id"),
            "len": ("%d", f"n + {offset}"),
            "cseq": ("%d", f"c.cseq + {offset}"),
            "peer_tag_param": ("%b", "to_tag(c.last)"),
            "routes": ("%b", "routes(c)"),
            "next_url": ("%b", "c.next_url"),
            "last_message": ("%b", "c.last"),
            "last_Request_URI": ("%b", "last_uri(c)"),
            "userid": ("%d", "c.row"),
            "users": ("%d", "0"),
            "last_cseq_number": ("%d", f"cseq(c.last)[0] + {offset}"),
            "timestamp": ("%b", "timestamp()"),
            "date": ("%b", "date()"),
            "clock_tick": ("%d", "clock_tick()"),
            "dynamic_id": ("%d", f"c.number + {offset}"),
        }
        if name in simple:
            return [simple[name]]
        return [("%b", self._made(keyword))]

    def _made(self, keyword: Keyword) -> str:
        name = keyword.name
        if name == "$":
            return f"var(c, {keyword.text[1:] if keyword.text.startswith('$') else keyword.text!r})"
        if name == "field":
            line = keyword.get("line")
            return f"field(c, {keyword.offset}, {keyword.get('file')!r}, {line!r})"
        if name == "authentication":
            facts = {key: keyword.get(key) for key in ("username", "password")}
            return f"credentials(c, {facts['username']!r}, {facts['password']!r})"
        if name == "file":
            return f"file({keyword.get('name')!r})"
        if name.startswith("last_"):
            header = name[5:].rstrip(":")
            return f"last(c.last, {header!r})"
        raise ConfigError(f"no keyword [{keyword.text}]")


def _arguments(pieces: list[Piece]) -> Callable[[Call, int], tuple[Any, ...]] | None:
    """A function that gives the values of a format, None when there are none."""
    expressions = [piece[1] for piece in pieces if isinstance(piece, tuple)]
    if not expressions:
        return None
    # The expressions are this file's own; what a scenario says stands in them only as Python literals.
    made: Callable[[Call, int], tuple[Any, ...]] = eval(f"lambda c, n: ({', '.join(expressions)},)", _NAMES)
    return made


def _format(pieces: list[Piece], endpoint: Endpoint) -> bytes:
    made = []
    for piece in pieces:
        if isinstance(piece, bytes):
            made.append(piece.replace(b"%", b"%%"))
        elif isinstance(piece, str):
            made.append(_constant(piece, endpoint).replace(b"%", b"%%"))
        else:
            made.append(piece[0].encode())
    return b"".join(made)


def _constant(name: str, endpoint: Endpoint) -> bytes:
    found = re.fullmatch(r"(\w+?)([+-]\d+)?", name)
    assert found
    value = endpoint.constants[found[1]]
    return str(int(value) + int(found[2])).encode() if found[2] and value.isdigit() else value


def text_of(value: Any) -> bytes:
    """The value of a variable in a message."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, float):
        return b"%d" % value if value == int(value) else f"{value:f}".encode()
    return str(value).encode("utf-8", "surrogateescape")


def _line(value: bytes) -> bytes:
    return value + b"\r\n" if value else b""


def _variable(call: Call, name: str) -> bytes:
    return text_of(variable(call, name))


def variable(call: Call, name: str) -> Any:
    """The value of a variable, None when it was never set."""
    setting = call.program.setting
    if name in setting.global_names:
        return setting.globals.get(name)
    return call.vars.get(name) if call.vars else None


def _field(call: Call, column: int, file: str, line: str) -> bytes:
    setting = call.program.setting
    users = setting.rows(file)
    if users is None:
        return b""
    row = call.row
    if line:
        number = render_text(setting, line, call)
        row = int(number) if number.isdigit() else row
    fields = users.rows[row % len(users.rows)]
    text = fields[column] if column < len(fields) else ""
    return render_text(setting, text, call) if "[" in text else text.encode("utf-8", "surrogateescape")


def render_text(setting: Setting, text: str, call: Call) -> bytes:
    """A short text with keywords: a field, a parameter, what an action logs."""
    if "[" not in text:
        return text.encode("utf-8", "surrogateescape")
    templates: dict[str, Template] = call.program.texts
    template = templates.get(text)
    if template is None:
        template = templates[text] = Template(text, setting, call.at)
        template.needs_first_line = False
    return template.render(call)


def _credentials(call: Call, user: str, password: str) -> bytes:
    """The whole header line that meets the challenge received last (RFC 3261 §22); b"" without one."""
    setting: Setting = call.program.setting
    if not call.challenge or not call.first_line:
        return b""
    status = call.challenge[8:11]
    asked, answered = (
        ("Proxy-Authenticate", b"Proxy-Authorization")
        if status == b"407"
        else ("WWW-Authenticate", b"Authorization")
    )
    name = render_text(setting, user, call).decode() if user else setting.user or setting.service
    secret = render_text(setting, password, call).decode() if password else setting.password
    secret = secret.replace("{user}", name)
    method, _, rest = call.first_line.decode("utf-8", "surrogateescape").partition(" ")
    uri = rest.rpartition(" ")[0]
    for value in received.values(call.challenge, asked):
        line = _digest(value.decode("utf-8", "replace"), name, secret, method, uri, call.number)
        if line:
            return answered + b": " + line
    return b""


def _digest(value: str, name: str, secret: str, method: str, uri: str, number: int) -> bytes:
    try:
        challenge = digest.parse_challenge(value)
        if challenge is None:
            return b""
        made = digest.answer(challenge, name, secret, method=method, uri=uri, cnonce=f"{number:08x}")
    except ParseError:
        return b""
    return str(made).encode("utf-8", "surrogateescape")


def _routes(call: Call) -> bytes:
    return b"Route: " + call.routes if call.routes else b""


def _last_uri(call: Call) -> bytes:
    to = b"".join(received.values(call.last, "To")[:1])
    return to[to.find(b"<") + 1 : to.find(b">")] if b"<" in to else to.partition(b";")[0]


def _timestamp() -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d\t%H:%M:%S", time.localtime(now))
    micro = int(now % 1 * 1e6)
    return f"{stamp}.{micro:06d}\t{int(now)}.{micro:06d}".encode()


def _date() -> bytes:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()).encode()


_START = time.monotonic()

_NAMES: dict[str, Any] = {
    "line": _line, "var": _variable, "field": _field, "credentials": _credentials, "last": received.line,
    "to_tag": received.to_tag, "cseq": received.cseq, "routes": _routes, "last_uri": _last_uri,
    "timestamp": _timestamp, "date": _date, "clock_tick": lambda: int((time.monotonic() - _START) * 1000),
    "file": lambda name: Path(name).read_bytes().rstrip(b"\r\n"), "__builtins__": {},
}  # fmt: skip
