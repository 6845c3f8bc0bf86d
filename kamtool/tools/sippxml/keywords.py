"""The keywords of a message: `[call_id]`, `[last_Via:]`, `[field1 file="users.csv"]`, `[$name]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

KEYWORD = re.compile(r"\[([A-Za-z$_](?:[^\[\]\r\n]|\[[^\[\]\r\n]*\])*)\]")
"""One keyword; in the parameters of `[authentication …]` others may stand."""

PLAIN = frozenset(
    {
        "service",
        "remote_ip",
        "remote_host",
        "remote_port",
        "local_ip",
        "local_port",
        "local_ip_type",
        "server_ip",
        "transport",
        "media_ip",
        "media_ip_type",
        "media_port",
        "auto_media_port",
        "rtpstream_audio_port",
        "rtpstream_video_port",
        "len",
        "call_number",
        "cseq",
        "call_id",
        "branch",
        "msg_index",
        "pid",
        "users",
        "userid",
        "timestamp",
        "date",
        "clock_tick",
        "dynamic_id",
        "sipp_version",
        "authentication",
        "peer_tag_param",
        "routes",
        "next_url",
        "hostname",
        "last_message",
        "last_Request_URI",
        "last_cseq_number",
        "file",
        "rtcp_port",
        "tdmmap",
        "fill",
    }
)

UNSUPPORTED = frozenset({"fill", "tdmmap"})

_WITH_OFFSET = re.compile(r"^([a-z_A-Z]+?)([+-]\d+)$")
_PARAMETER = re.compile(r"(\w+)=(\"[^\"]*\"|'[^']*'|(?:\[[^\]]*\]|\S)+)")


@dataclass(frozen=True, slots=True)
class Keyword:
    """What stands between brackets: name, offset (`+1`), parameters by name, and the whole text."""

    name: str
    text: str
    offset: int = 0
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """A parameter without its quotes, "" when absent."""
        return next((value for key, value in self.parameters if key == name), "")


def read_keyword(text: str) -> Keyword | None:
    """The keyword of this text, None when it is none (`[2001:db8::1]`, an array in a body)."""
    if text.startswith("$"):
        return Keyword("$", text[1:].strip()) if re.fullmatch(r"[\w.-]+", text[1:].strip()) else None
    word, _, rest = text.partition(" ")
    if found := _WITH_OFFSET.match(word):
        word, offset = found[1], int(found[2])
    else:
        offset = 0
    parameters = tuple((key, value.strip("\"'")) for key, value in _PARAMETER.findall(rest))
    if word.startswith("last_"):
        return Keyword(word, text, offset, parameters)
    if re.fullmatch(r"field\d+", word):
        return Keyword("field", text, int(word[5:]), parameters)
    return Keyword(word, text, offset, parameters) if word in PLAIN else None


def split_text(text: str) -> Iterator[str | Keyword]:
    """The literal pieces and the keywords of a message, in order; what is no keyword stays literal."""
    at = 0
    for found in KEYWORD.finditer(text):
        keyword = read_keyword(found[1])
        if keyword is None:
            continue
        if found.start() > at:
            yield text[at : found.start()]
        yield keyword
        at = found.end()
    if at < len(text):
        yield text[at:]


def unknown_keywords(text: str, line: int, keys: Collection[str]) -> Iterator[tuple[str, int]]:
    """Words in brackets that look like keywords and are none, each with its line; `keys` are the caller's
    own.
    """
    for found in KEYWORD.finditer(text):
        keyword = read_keyword(found[1])
        unknown = keyword is None and found[1] not in keys and ":" not in found[1]
        if unknown or (keyword is not None and keyword.name in UNSUPPORTED):
            yield found[1], line + text.count("\n", 0, found.start())
