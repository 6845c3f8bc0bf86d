"""What a message knows of itself: its octets, where its parts are, its header fields by name. Pure twin."""

from __future__ import annotations

from typing import Any

from kamtool.speed.names import IDS, OTHER
from kamtool.speed.octets import Row, decode, unfold
from kamtool.speed.scanners import list_stops, trim


class Fields:
    """A message's bytes and where its parts are, as `kamtool.speed.index.Index` has found them.

    Offsets are into `data`; a span that is not there is (-1, -1). Of the top Via: `via_start:via_end` is
    what to delete to take the entry away, `via_line` where its line begins (a new one goes before it),
    `via_insert` where a parameter may be added, `received_*` and `rport_*` the whole parameters with their
    semicolons. `via_rport` is -1 when absent, 0 when it has no value. `to_end` is where a tag may be added.
    `from_address` and `to_address` are the URIs of From and To, as written.
    """

    __slots__ = (
        "_firsts",
        "_reason",
        "_rows",
        "_seconds",
        "body_start",
        "branch",
        "call_id",
        "content_length",
        "cseq",
        "cseq_method",
        "data",
        "first_line_end",
        "from_address",
        "from_memo",
        "from_tag",
        "head_end",
        "is_request",
        "max_forwards",
        "max_forwards_end",
        "max_forwards_start",
        "method",
        "received_end",
        "received_start",
        "rport_end",
        "rport_start",
        "status",
        "to_address",
        "to_end",
        "to_memo",
        "to_tag",
        "uri",
        "uri_end",
        "uri_host",
        "uri_memo",
        "uri_port",
        "uri_scheme",
        "uri_start",
        "uri_user",
        "via_end",
        "via_host",
        "via_insert",
        "via_line",
        "via_memo",
        "via_port",
        "via_received",
        "via_rport",
        "via_start",
        "via_transport",
    )  # fmt: skip

    data: bytes
    is_request: bool
    method: str
    status: int
    uri: str
    uri_start: int
    uri_end: int
    uri_scheme: str
    uri_user: str
    uri_host: str
    uri_port: int
    first_line_end: int
    head_end: int
    body_start: int
    call_id: str
    branch: str
    cseq: int
    cseq_method: str
    from_address: str
    to_address: str
    from_tag: str
    to_tag: str
    to_end: int
    max_forwards: int | None
    max_forwards_start: int
    max_forwards_end: int
    content_length: int | None
    via_transport: str
    via_host: str
    via_port: int
    via_received: str
    via_rport: int
    via_line: int
    via_start: int
    via_end: int
    via_insert: int
    received_start: int
    received_end: int
    rport_start: int
    rport_end: int
    from_memo: Any
    to_memo: Any
    via_memo: Any
    uri_memo: Any
    _rows: list[Row]
    _firsts: dict[int, int]
    _seconds: dict[int, int]
    _reason: tuple[int, int]

    @property
    def body(self) -> bytes:
        """The octets behind the empty line."""
        return self.data[self.body_start :]

    @property
    def reason(self) -> str:
        """The reason phrase of a response as written, which may be empty."""
        return decode(self.data[slice(*self._reason)])

    @property
    def row_count(self) -> int:
        """How many header fields there are."""
        return len(self._rows)

    def row(self, number: int) -> Row:
        """The header field at this place, from 0. Raises IndexError."""
        if number < 0:
            raise IndexError(number)
        return self._rows[number]

    def find(self, name: str) -> list[int]:
        """The places of the header fields of this name: any case, compact or not."""
        name_id = IDS.get(name) or IDS.get(name.lower(), OTHER)
        if name_id:
            if name_id not in self._firsts:
                return []
            return [place for place, row in enumerate(self._rows) if row.id == name_id]
        wanted = name.lower().encode("utf-8", "surrogateescape")
        return [
            place
            for place, row in enumerate(self._rows)
            if row.id == OTHER and self.data[row.start : row.name_end].lower() == wanted
        ]

    def value(self, number: int) -> str:
        """The value of the header field at this place: trimmed, its folds made single spaces."""
        row = self.row(number)
        octets = self.data[row.value_start : row.value_end]
        return decode(unfold(octets) if b"\n" in octets else octets)

    def header(self, name: str) -> str | None:
        """The first value of this name, None when there is none."""
        name_id = IDS.get(name) or IDS.get(name.lower(), OTHER)
        if name_id:
            place = self._firsts.get(name_id)
            return None if place is None else self.value(place)
        places = self.find(name)
        return self.value(places[0]) if places else None

    def headers(self, name: str) -> list[str]:
        """Every value of this name, in order."""
        return [self.value(place) for place in self.find(name)]

    def entries(self, name: str) -> list[tuple[int, int, int, int]]:
        """Every member of this name's comma lists: what to delete to take it away, and where its text is.

        The first two offsets are the whole line where it stands alone on it; to take all members of a line
        away, delete the line.
        """
        result = []
        for place in self.find(name):
            row = self._rows[place]
            spans = [trim(self.data, *span) for span in list_stops(self.data, row.value_start, row.value_end)]
            spans = [span for span in spans if span[0] < span[1]]
            for number, (start, end) in enumerate(spans):
                if len(spans) == 1:
                    cut = (row.start, row.end)
                elif number + 1 < len(spans):
                    cut = (start, spans[number + 1][0])
                else:
                    cut = (spans[number - 1][1], end)
                result.append((*cut, start, end))
        return result
