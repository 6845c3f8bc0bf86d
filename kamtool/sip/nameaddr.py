"""`"Alice" <sip:alice@example.com>;tag=1`: the name-addr of From, Contact, Route … (RFC 3261 §20.10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from kamtool.sip.uri import Uri, parse_uri
from kamtool.speed import split_list, split_name_addr

_TOKENS = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ ]*")


class NameAddr(NamedTuple):
    """A display name (without quotes and escapes), a URI as text, and the parameters behind it.

    Parameter names are lower case; values are as written, a quoted one with its quotes: see `unquote`.
    """

    display: str
    uri: str
    params: Mapping[str, str | None] = MappingProxyType({})

    @property
    def tag(self) -> str:
        """The tag, "" when there is none."""
        return self.params.get("tag") or ""

    def parsed(self) -> Uri:
        """The URI taken apart. Raises ParseError."""
        return parse_uri(self.uri)

    def __str__(self) -> str:
        return f"{show_display(self.display)}<{self.uri}>{show_params(self.params)}"


def parse_name_addr(value: str) -> NameAddr:
    """One name-addr or addr-spec with its parameters. Raises ParseError."""
    display, uri, params = split_name_addr(value)
    return NameAddr(unquote(display) if display[:1] == '"' else display, uri, params)


def parse_name_addrs(value: str) -> list[NameAddr]:
    """A comma list of them. Raises ParseError."""
    return [parse_name_addr(item) for item in split_list(value)]


def unquote(value: str) -> str:
    """A quoted string's content without its escapes; what is not quoted comes back as it is."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) if "\\" in value else value


def quote(value: str) -> str:
    """A quoted string (RFC 3261 §25.1)."""
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def show_display(display: str) -> str:
    """A display name as it stands before `<`: quoted where it is more than tokens, "" where it is empty."""
    if not display:
        return ""
    plain = _TOKENS.fullmatch(display) and display == display.strip(" ")
    return f"{display} " if plain else f"{quote(display)} "


def show_params(params: Mapping[str, str | None]) -> str:
    """`;name=value` for each, `;name` where the value is None."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params.items()])
