"""The text of a message taken apart: octets, what a socket fixes, and what is different in each call."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kamtool.errors import ConfigError
from kamtool.speed import stages
from kamtool.tools.sippxml.keywords import Keyword, split_text
from kamtool.tools.sippxml.users import Users
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint

VERSION = "3.6.1"
"""What `[sipp_version]` says: the one whose behaviour this follows."""


class Value(NamedTuple):
    """What a keyword becomes: a conversion, the expression that fills it, and the kernel's operation for it
    (-1: it has none).
    """

    conversion: str
    expression: str
    code: int = -1
    argument: object = None
    vanishes: bool = False


Piece = bytes | str | Value
"""Literal octets, the name of a constant of the endpoint, or what is different in each call."""


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


_VANISHING = ("last_", "routes", "authentication", "field", "$")


class Compiler:
    """Makes pieces of texts, for the step `index` of a scenario."""

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
                assert isinstance(piece, Value)
                pieces = [piece._replace(expression=f"line({piece.expression})", vanishes=True)]
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
            return [
                f"z9hG4bK-{self.setting.run}-".encode(),
                Value("%d", "c.number", stages.NUMBER, 0),
                f"-{number}".encode(),
            ]
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
            "call_number": Value("%d", "c.number", stages.NUMBER, 0),
            "call_id": Value("%b", "c.call_id", stages.CALL_ID),
            "len": Value("%d", f"n + {offset}", stages.LENGTH, offset),
            "cseq": Value("%d", f"c.cseq + {offset}", stages.CSEQ, offset),
            "peer_tag_param": Value("%b", "to_tag(c.last)", stages.TO_TAG),
            "routes": Value("%b", "routes(c)", stages.ROUTES),
            "next_url": Value("%b", "c.next_url", stages.NEXT_URL),
            "last_message": Value("%b", "c.last"),
            "last_Request_URI": Value("%b", "last_uri(c)"),
            "userid": Value("%d", "c.row"),
            "users": Value("%d", "0"),
            "last_cseq_number": Value("%d", f"cseq(c.last)[0] + {offset}"),
            "timestamp": Value("%b", "timestamp()"),
            "date": Value("%b", "date()"),
            "clock_tick": Value("%d", "clock_tick()"),
            "dynamic_id": Value("%d", f"c.number + {offset}", stages.NUMBER, offset),
        }
        if name in simple:
            return [simple[name]]
        return [self._made(keyword)]

    def _made(self, keyword: Keyword) -> Value:
        name = keyword.name
        if name == "$":
            variable = keyword.text.removeprefix("$")
            return Value("%b", f"var(c, {variable!r})")
        if name == "field":
            line = keyword.get("line")
            file = keyword.get("file")
            code = -1 if line or file else stages.FIELD
            return Value("%b", f"field(c, {keyword.offset}, {file!r}, {line!r})", code, keyword.offset)
        if name == "authentication":
            user, password = keyword.get("username"), keyword.get("password")
            return Value("%b", f"credentials(c, {user!r}, {password!r})", stages.PROOF, (user, password))
        if name == "file":
            return Value("%b", f"file({keyword.get('name')!r})")
        if name.startswith("last_"):
            header = name[5:].rstrip(":")
            return Value("%b", f"last(c.last, {header!r})", stages.LAST, header.encode())
        raise ConfigError(f"no keyword [{keyword.text}]")


def arguments_of(pieces: list[Piece], names: dict[str, Any]) -> Callable[[Call, int], tuple[Any, ...]] | None:
    """A function that gives the values of a format, None when there are none; the expressions use `names`."""
    expressions = [piece.expression for piece in pieces if isinstance(piece, Value)]
    if not expressions:
        return None
    # The expressions are this file's own; what a scenario says stands in them only as Python literals.
    made: Callable[[Call, int], tuple[Any, ...]] = eval(f"lambda c, n: ({', '.join(expressions)},)", names)
    return made


def format_of(pieces: list[Piece], endpoint: Endpoint) -> bytes:
    """The format of the pieces at this endpoint."""
    made = []
    for piece in pieces:
        if isinstance(piece, bytes):
            made.append(piece.replace(b"%", b"%%"))
        elif isinstance(piece, str):
            made.append(constant(piece, endpoint).replace(b"%", b"%%"))
        else:
            made.append(piece.conversion.encode())
    return b"".join(made)


def constant(name: str, endpoint: Endpoint) -> bytes:
    """What a keyword stands for that the socket fixes, as `local_port+2`."""
    found = re.fullmatch(r"(\w+?)([+-]\d+)?", name)
    assert found
    value = endpoint.constants[found[1]]
    return str(int(value) + int(found[2])).encode() if found[2] and value.isdigit() else value
