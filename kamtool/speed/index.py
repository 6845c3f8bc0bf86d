"""One pass over a message's bytes: where everything is, and what every message is asked for. Pure twin."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kamtool.errors import ParseError
from kamtool.speed import grammar
from kamtool.speed.fields import Fields
from kamtool.speed.names import (
    CALL_ID,
    CONTENT_LENGTH,
    CSEQ,
    FROM,
    IDS,
    MAX_FORWARDS,
    METHODS,
    NAMES,
    OTHER,
    TO,
    VIA,
)
from kamtool.speed.octets import Row, decode
from kamtool.speed.scanners import split_uri, trim

_METHODS = frozenset(METHODS)
_IDS = {name.encode(): number for name, number in IDS.items()}


class Index(Fields):
    """A message's bytes and where its parts are. Raises ParseError, as the first of these steps fails:

    the first line, the header lines, then Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length. CRLFs
    before the message are cut off, and so is what stands behind Content-Length octets of body; with
    `stream` set Content-Length must be there. With `salvage` nothing is refused but what has no first line:
    what cannot be understood is left out, so that a refusal can still be addressed.
    """

    __slots__ = ()

    def __init__(self, data: bytes, stream: bool = False, salvage: bool = False) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"a message is bytes, not {type(data).__name__}")
        if len(data) > 2**31 - 65:
            raise ParseError("too long", status=513)
        if data[:1] in (b"\r", b"\n"):
            data = data.lstrip(b"\r\n")
        self.data = data
        self.method = self.uri = self.uri_scheme = self.uri_user = self.uri_host = ""
        self.call_id = self.branch = self.cseq_method = self.from_tag = self.to_tag = ""
        self.from_address = self.to_address = ""
        self.via_transport = self.via_host = self.via_received = ""
        self.status = self.cseq = self.uri_port = self.via_port = 0
        self.uri_start = self.uri_end = self.to_end = self.max_forwards_start = self.max_forwards_end = -1
        self.via_line = self.via_start = self.via_end = self.via_insert = self.via_rport = -1
        self.received_start = self.received_end = self.rport_start = self.rport_end = -1
        self.max_forwards = self.content_length = None
        self.from_memo = self.to_memo = self.via_memo = self.uri_memo = None
        self._reason = (0, 0)
        line_end = data.find(b"\n")
        if line_end < 0:
            raise ParseError("no complete first line")
        self.first_line_end = line_end + 1
        if line_end and data[line_end - 1] == 0x0D:
            line_end -= 1
        self.is_request = data[:4].upper() != b"SIP/"
        first_line = self._request_line if self.is_request else self._status_line
        if salvage:
            self._try(first_line, line_end)
        else:
            first_line(line_end)
        self._rows = self._index_headers(salvage)
        for step in (self._via, self._from, self._to, self._call_id, self._cseq, self._max_forwards):
            if salvage:
                self._try(step)
            else:
                step()
        if salvage:
            self._try(self._content_length, stream)
        else:
            self._content_length(stream)

    @staticmethod
    def _try(step: Any, *arguments: Any) -> None:
        with suppress(ParseError):
            step(*arguments)

    def _request_line(self, end: int) -> None:
        data = self.data
        found = grammar.REQUEST_LINE.match(data, 0, end)
        if not found:
            raise ParseError("malformed request line")
        self.method = found[1].decode()
        version = grammar.VERSION.match(found[3])
        if not version:
            raise ParseError("malformed request line")
        if version[1] != b"2.0":
            raise ParseError("SIP version not supported", status=505)
        self.uri_start, self.uri_end = found.span(2)
        scheme = grammar.URI.match(data, self.uri_start, self.uri_end)
        if not scheme:
            raise ParseError("malformed Request-URI", offset=self.uri_start)
        self.uri = decode(found[2])
        self.uri_scheme = scheme[1].decode().lower()
        if self.uri_scheme in ("sip", "sips"):
            parts = grammar.SIP_URI.match(data, self.uri_start, self.uri_end)
            # §19.1.1: a Request-URI carries no headers; passing them on would be worse than refusing them.
            if not parts or (parts[5] and int(parts[5]) > 65535) or parts[7] is not None:
                raise ParseError("malformed Request-URI", offset=self.uri_start)
            self.uri_user = decode(parts[2] or b"")
            self.uri_host = parts[4].decode()
            self.uri_port = int(parts[5] or 0)

    def _status_line(self, end: int) -> None:
        found = grammar.STATUS_LINE.match(self.data, 0, end)
        if not found:
            raise ParseError("malformed status line")
        if found[1] != b"2.0":
            raise ParseError("SIP version not supported", status=505)
        self.status = int(found[2])
        self._reason = found.span(3) if found[3] is not None else (0, 0)

    def _index_headers(self, salvage: bool) -> list[Row]:
        data, at = self.data, self.first_line_end
        rows: list[Row] = []
        firsts: dict[int, int] = {}
        seconds: dict[int, int] = {}
        self._firsts, self._seconds = firsts, seconds
        header, ids, make = grammar.HEADER.match, _IDS.get, Row._make
        while True:
            if found := header(data, at):
                name_end, (start, end) = found.end(1), found.span(2)
                name = found[1]
                name_id = ids(name) or ids(name.lower(), OTHER)
                if end - start > 2:  # nearly all values stand between one space and CR
                    start += data[start] == 0x20
                    end -= data[end - 1] == 0x0D and data[end - 2] > 0x20
                if start < end and (data[start] <= 0x20 or data[end - 1] <= 0x20):
                    start, end = trim(data, start, end)
                if name_id:
                    (seconds if name_id in firsts else firsts).setdefault(name_id, len(rows))
                stop = found.end()
                rows.append(make((name_id, at, name_end, start, end, stop)))
                at = stop
                continue
            if empty := grammar.EMPTY_LINE.match(data, at):
                self.head_end, self.body_start = at, empty.end()
                return rows
            line = grammar.HEADER_LINE.match(data, at)
            assert line is not None
            cut_short = line.end() == at or data[line.end() - 1] != 0x0A
            if not salvage:
                raise ParseError(
                    "the headers do not end" if cut_short else "malformed header line", offset=at
                )
            at = line.end()
            if cut_short:
                self.head_end = self.body_start = at
                return rows

    def _one(self, name_id: int) -> Row | None:
        """The only header field of this id; None when there is none."""
        if name_id in self._seconds:
            start = self._rows[self._seconds[name_id]].start
            raise ParseError("more than one", header=NAMES[name_id], offset=start)
        place = self._firsts.get(name_id)
        return None if place is None else self._rows[place]

    def _required(self, name_id: int) -> Row:
        row = self._one(name_id)
        if row is None:
            raise ParseError("missing", header=NAMES[name_id])
        return row

    def _via(self) -> None:
        place = self._firsts.get(VIA)
        if place is None:
            raise ParseError("missing", header="Via")
        row, data = self._rows[place], self.data
        found = grammar.VIA.match(data, row.value_start, row.value_end)
        stop = found and grammar.TRAILING.match(data, found.end(), row.value_end)
        if not found or not stop or (found[5] and int(found[5]) > 65535):
            raise ParseError("malformed", header="Via", offset=row.value_start)
        self.via_transport = found[3].decode().upper()
        self.via_host, self.via_port = found[4].decode(), int(found[5] or 0)
        self.via_line, self.via_insert = row.start, found.end()
        if stop[1]:
            self.via_start, self.via_end = row.value_start, trim(data, stop.end(), row.value_end)[0]
        else:
            self.via_start, self.via_end = row.start, row.end
        at, stop_at = found.span(6)
        seen = set()
        while at < stop_at and (param := grammar.PARAM.match(data, at, stop_at)):
            name, value, span = param[1].lower(), param[2], param.span()
            at = span[1]
            if name in seen:
                continue
            seen.add(name)
            if name == b"branch":
                self.branch = decode(value or b"")
            elif name == b"received":
                self.via_received = decode(value or b"")
                self.received_start, self.received_end = span
            elif name == b"rport":
                digits = value is not None and grammar.DIGITS.match(value) and len(value) <= 5
                self.via_rport = int(value) if value and digits else 0
                self.rport_start, self.rport_end = span

    def _address(self, name_id: int) -> tuple[str, str, int]:
        """The URI and the tag of From or To, and where a parameter may be added."""
        row = self._required(name_id)
        found = grammar.NAME_ADDR.match(self.data, row.value_start, row.value_end)
        if not found or not grammar.END.match(self.data, found.end(), row.value_end):
            raise ParseError("malformed", header=NAMES[name_id], offset=row.value_start)
        uri = decode(found[2] or found[3])
        at, stop = found.span(4)
        while at < stop and (param := grammar.PARAM.match(self.data, at, stop)):
            if param[1].lower() == b"tag":
                return uri, decode(param[2] or b""), found.end()
            at = param.end()
        return uri, "", found.end()

    def _from(self) -> None:
        self.from_address, self.from_tag, _ = self._address(FROM)

    def _to(self) -> None:
        self.to_address, self.to_tag, self.to_end = self._address(TO)

    @property
    def from_user(self) -> str:
        """The user of From's SIP URI, as written; "" where there is none."""
        return self._part_of_from(1)

    @property
    def from_host(self) -> str:
        """The host of From's SIP URI, as written; "" where it is no SIP URI."""
        return self._part_of_from(3)

    def _part_of_from(self, place: int) -> str:
        try:
            return str(split_uri(self.from_address)[place] or "")
        except ParseError:
            return ""

    def _call_id(self) -> None:
        row = self._required(CALL_ID)
        found = grammar.WORD.match(self.data, row.value_start, row.value_end)
        if not found:
            raise ParseError("malformed", header="Call-ID", offset=row.value_start)
        self.call_id = decode(found[0])

    def _cseq(self) -> None:
        row = self._required(CSEQ)
        found = grammar.CSEQ.match(self.data, row.value_start, row.value_end)
        digits = found[1].lstrip(b"0") if found else b""
        if not found or len(digits) > 10 or int(digits or b"0") > 0xFFFFFFFF:
            raise ParseError("malformed", header="CSeq", offset=row.value_start)
        self.cseq, self.cseq_method = int(digits or b"0"), found[2].decode()
        if not self.is_request:
            self.method = self.cseq_method
        elif self.method != self.cseq_method:
            # RFC 4475 §3.1.2.18: of a method nobody knows, the more useful answer is that nobody knows it.
            status = 400 if self.method in _METHODS else 501
            raise ParseError(
                "not the method of the request", header="CSeq", offset=row.value_start, status=status
            )

    def _number(self, name_id: int) -> tuple[int, int, int] | None:
        row = self._one(name_id)
        if row is None:
            return None
        found = grammar.DIGITS.match(self.data, row.value_start, row.value_end)
        if not found:
            raise ParseError("malformed", header=NAMES[name_id], offset=row.value_start)
        digits = found[0].lstrip(b"0")
        return (int(digits or b"0") if len(digits) < 10 else 999_999_999), row.value_start, row.value_end

    def _max_forwards(self) -> None:
        if number := self._number(MAX_FORWARDS):
            # §20.22 ends at 255. A larger one is read as that, so that it still becomes less at every hop.
            self.max_forwards = min(number[0], 255)
            self.max_forwards_start, self.max_forwards_end = number[1:]

    def _content_length(self, stream: bool) -> None:
        there = len(self.data) - self.body_start
        number = self._number(CONTENT_LENGTH)
        if number is None:
            if stream:
                raise ParseError("missing", header="Content-Length")
            return
        if number[0] > there:
            raise ParseError(
                f"says {number[0]} octets where {there} are", header="Content-Length", offset=number[1]
            )
        self.content_length = number[0]
        if number[0] < there:
            self.data = self.data[: self.body_start + number[0]]
