"""A message of a scenario, compiled: one bytes format, and one function that gives what is different in
each call.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kamtool.tools.stress import received
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.pieces import Compiler, Piece, Setting, arguments_of, format_of
from kamtool.tools.stress.proof import credentials


class Template:
    """Text with keywords. `render` gives the octets for a call."""

    def __init__(self, text: str, setting: Setting, index: int = 0, body: str | None = None) -> None:
        self.setting = setting
        self.needs_first_line = "[authentication" in text
        if setting.users and not self.needs_first_line:
            self.needs_first_line = "[field" in text and any(
                "[" in value for users in setting.users.values() for row in users.rows for value in row
            )
        compile_ = Compiler(setting, index)
        self.pieces = compile_.pieces(text)
        self.body = compile_.pieces(body) if body is not None else []
        self.body_arguments = arguments_of(self.body, _NAMES)
        self.arguments = arguments_of(self.pieces, _NAMES)
        self.formats: dict[Endpoint, tuple[bytes, bytes, int]] = {}

    def bind(self, endpoint: Endpoint) -> tuple[bytes, bytes, int]:
        """The formats with this endpoint's constants filled in, and the body's length if known."""
        body = format_of(self.body, endpoint)
        known = len(body % ()) if self.body_arguments is None else -1
        bound = (format_of(self.pieces, endpoint), body, known)
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
        arguments = arguments_of(pieces, _NAMES)
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
    for value in received.values(call.challenge, asked):
        line = credentials(value.decode("utf-8", "replace"), name, secret, call.first_line, call.number)
        if line:
            return answered + b": " + line
    return b""


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
