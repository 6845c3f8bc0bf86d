"""SIP messages (RFC 3261 §7): immutable, indexed in one pass, everything else parsed when it is asked for.

A message keeps the bytes it came as, and all its parts are spans of them; what goes out is made by splicing
those bytes (`kamtool.speed.forward`, `relay`, `splice`), so that untouched headers leave octet for octet.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, NamedTuple

from kamtool.errors import ParseError
from kamtool.sip.headers import NOT_LISTS, canonical
from kamtool.sip.nameaddr import NameAddr, parse_name_addr, unquote
from kamtool.sip.uri import Uri, parse_uri
from kamtool.sip.via import Via, parse_via
from kamtool.speed import METHODS as _METHOD_NAMES
from kamtool.speed import Index, direct, split_list

METHODS: Final[dict[str, int]] = {
    name: 1 << bit
    for bit, name in enumerate((
        "INVITE", "CANCEL", "ACK", "BYE", "INFO", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "OPTIONS",
        "PRACK", "UPDATE", "REFER", "PUBLISH", "KDMQ", "GET", "POST", "PUT", "DELETE",
    ))
}  # fmt: skip
"""The number of a method as Kamailio's `$rmid` has it; of any other it is OTHER_METHOD."""

OTHER_METHOD: Final = 1 << 19

_MAY_BEGIN_A_RESPONSE: Final = frozenset({b"S", b"s", b"\r", b"\n"})

KNOWN_METHODS: Final = frozenset(_METHOD_NAMES)


class Star(Enum):
    """`Contact: *`, all contacts at once (§10.2.2)."""

    STAR = "*"


STAR: Final = Star.STAR


class Field(NamedTuple):
    """One header field: name as written, unfolded value, and in `data[start:end]` its lines."""

    name: str
    value: str
    start: int
    end: int


class Message(Index):
    """A request or response; `kamtool.speed.index.Index` tells the offsets and the values known at once."""

    __slots__ = ()

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        if self.from_memo is None:
            self.from_memo = parse_name_addr(self.header("From") or "")
        memo: NameAddr = self.from_memo
        return memo

    @property
    def to(self) -> NameAddr:
        """The To header."""
        if self.to_memo is None:
            self.to_memo = parse_name_addr(self.header("To") or "")
        memo: NameAddr = self.to_memo
        return memo

    @property
    def from_uri(self) -> Uri:
        """The URI of From, taken apart. Raises ParseError."""
        return parse_uri(self.from_.uri)

    @property
    def to_uri(self) -> Uri:
        """The URI of To, taken apart. Raises ParseError."""
        return parse_uri(self.to.uri)

    @property
    def top_via(self) -> Via:
        """The first Via entry, which is the previous hop's in a request and our own in a response.

        Raises ParseError in what was salvaged from a malformed message.
        """
        if self.via_memo is None:
            entries = self.items("Via")
            if not entries:
                raise ParseError("missing", header="Via")
            self.via_memo = parse_via(entries[0])
        memo: Via = self.via_memo
        return memo

    @property
    def vias(self) -> list[Via]:
        """Every Via entry, top first. Raises ParseError."""
        return [parse_via(item) for item in self.items("Via")]

    def items(self, name: str) -> list[str]:
        """Every value of this name, comma lists split, unless its commas mean something else (NOT_LISTS)."""
        values = self.headers(name)
        if canonical(name) in NOT_LISTS:
            return values
        return [item for value in values for item in split_list(value)]

    def fields(self, name: str | None = None) -> list[Field]:
        """The header fields of this name, or all, in order."""
        places = range(self.row_count) if name is None else self.find(name)
        result = []
        for place in places:
            _, start, name_end, _, _, end = self.row(place)
            written = self.data[start:name_end].decode()
            result.append(Field(written, self.value(place), start, end))
        return result

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters, "" when there is none."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def expires(self) -> int | None:
        """The Expires header in seconds, None when absent. Raises ParseError when it is no number."""
        value = self.header("Expires")
        return None if value is None else parse_expires(value)

    @property
    def contacts(self) -> list[NameAddr] | Literal[Star.STAR]:
        """Every Contact in order, or STAR for `*`. Raises ParseError."""
        items = self.headers("Contact")
        if len(items) != 1 or "," in items[0] or not items[0]:
            items = [item for value in items for item in split_list(value)]
        if items == ["*"]:
            return STAR
        try:
            return [parse_name_addr(item) for item in items]
        except ParseError as error:
            raise ParseError(error.reason, header="Contact") from error

    @property
    def routes(self) -> list[NameAddr]:
        """Every Route in order. Raises ParseError."""
        return [parse_name_addr(item) for item in self.items("Route")]

    @property
    def record_routes(self) -> list[NameAddr]:
        """Every Record-Route in order. Raises ParseError."""
        return [parse_name_addr(item) for item in self.items("Record-Route")]

    def param(self, name: str, param: str) -> str | None:
        """A parameter of the first header of this name, e.g. ("Event", "id"), unquoted; None when absent."""
        value = self.header(name)
        if value is None:
            return None
        for piece in value.split(";")[1:]:
            key, _, text = piece.partition("=")
            if key.strip().lower() == param:
                return unquote(text.strip())
        return None

    def __repr__(self) -> str:
        first_line = self.data[: self.first_line_end].decode("utf-8", "replace").strip()
        return f"<{type(self).__name__} {first_line!r} {self.call_id}>"


@direct
class Request(Message):
    """A request. `uri` is the Request-URI as text, `uri_start:uri_end` its place."""

    __slots__ = ()

    @property
    def ruri(self) -> Uri:
        """The Request-URI, taken apart. Raises ParseError."""
        if self.uri_memo is None:
            self.uri_memo = parse_uri(self.uri)
        memo: Uri = self.uri_memo
        return memo

    @property
    def method_id(self) -> int:
        """The method's number in Kamailio."""
        return METHODS.get(self.method, OTHER_METHOD)

    @property
    def is_initial(self) -> bool:
        """Whether it is outside a dialog: To has no tag (§12.2)."""
        return not self.to_tag


@direct
class Response(Message):
    """A response. `method` is its CSeq's."""

    __slots__ = ()


def parse(data: bytes, *, stream: bool = False) -> Request | Response:
    """The message in a datagram, or in what `kamtool.sip.framing` cut from a stream (`stream`).

    Octets behind Content-Length are ignored (§18.3). Raises ParseError with the status to answer, when what
    a proxy must have is missing or malformed: the first line, Via, From, To, Call-ID, CSeq, Content-Length,
    Max-Forwards. All else is an error only for those who read it.
    """
    if data[:1] in _MAY_BEGIN_A_RESPONSE and (
        data.startswith(b"SIP/") or data.lstrip(b"\r\n")[:4].upper() == b"SIP/"
    ):
        return Response(data, stream)
    return Request(data, stream)


def salvage(data: bytes) -> Request | None:
    """What can be read of a request that `parse` refused, so that `build.response` can answer it.

    None when there is nothing to answer: no request line, a response, an ACK, or no Via that could be
    returned.
    """
    try:
        request = Request(data, False, True)
    except ParseError:
        return None
    if not request.is_request or not request.method or request.method == "ACK" or not request.find("Via"):
        return None
    return request


def parse_expires(value: str) -> int:
    """delta-seconds; one too large is read as 2**32 - 1 (§20.19). Raises ParseError."""
    # Phones in the wild send `Expires: 3600;` and mean 3600. RFC 3261 does not allow it.
    digits = value.partition(";")[0].strip()
    if not digits.isascii() or not digits.isdigit():
        raise ParseError(f"not a number of seconds: {value!r}", header="Expires")
    return min(int(digits), 2**32 - 1) if len(digits) < 20 else 2**32 - 1


def validate(message: Message) -> None:
    """The deeper checks: every Via, Contact, Route, Record-Route and Expires. Raises ParseError."""
    if len(message.vias) < len(message.find("Via")):
        raise ParseError("malformed", header="Via")
    _ = message.contacts, message.routes, message.record_routes, message.expires
