"""A name-addr's text in its raw parts, with the offsets that an edit needs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_NAME_ADDR = re.compile(rf'((?:{_QUOTED}|[^<",])*+)<([^>]*)>', re.DOTALL)
_ADDR_SPEC = re.compile(r"\s*([^\s;,<>\"]+)")
_ITEM = re.compile(rf'(?:{_QUOTED}|<[^>]*>|[^,"<])*+', re.DOTALL)


class AddressText(NamedTuple):
    """One address as written: `display` keeps its quotes and blanks, `params` follow the first `;`."""

    display: str
    uri: str
    params: str
    uri_start: int
    uri_end: int
    end: int

    @property
    def name(self) -> str:
        """The display name with its quotes, without blanks around it."""
        return self.display.strip()


@lru_cache(maxsize=4096)
def address(value: str) -> AddressText | None:
    """The first address of a From, To, Contact or Route value; None when there is none."""
    item = _ITEM.match(value)
    end = item.end() if item else 0
    if found := _NAME_ADDR.match(value):
        end = max(end, found.end())
        rest = value[found.end() : end].strip()
        uri_start, uri_end = found.span(2)
        return AddressText(found[1], found[2], rest.removeprefix(";").strip(), uri_start, uri_end, end)
    if found := _ADDR_SPEC.match(value):
        rest = value[found.end() : end].strip()
        uri_start, uri_end = found.span(1)
        return AddressText("", found[1], rest.removeprefix(";").strip(), uri_start, uri_end, end)
    return None


def uri_of(value: str | None) -> str | None:
    """The URI of the first address in a header's value."""
    found = address(value) if value else None
    return None if found is None else found.uri
