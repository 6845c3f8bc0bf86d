"""Values inside headers, taken apart: comma lists, parameters, name-addrs, Vias, URIs. The pure twin."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.speed import grammar
from kamtool.speed.octets import decode, encode

Params = dict[str, str | None]


def list_stops(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """The spans between the top-level commas of data[start:end], untrimmed, the empty ones too.

    Where a quoted string or `<…>` does not end, its first character and all like it from there on are
    ordinary.
    """
    spans, begin, at = [], start, start
    closing = (
        True  # whether there is a `>` ahead: asked once, or a thousand `<` would be searched a thousand times
    )
    quotes = True
    while stop := grammar.LIST_STOP.search(data, at, end):
        at = stop.end()
        if stop[0] == b",":
            spans.append((begin, stop.start()))
            begin = at
        elif stop[0] == b"<":
            close = data.find(b">", at, end) if closing else -1
            closing = close >= 0
            at = close + 1 if closing else at
        elif quotes:
            quoted = grammar.QUOTED.match(data, stop.start(), end)
            quotes = quoted is not None
            at = quoted.end() if quoted else at
    spans.append((begin, end))
    return spans


def trim(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The span without the white space at its ends."""
    while start < end and data[start] in b" \t\r\n":
        start += 1
    while end > start and data[end - 1] in b" \t\r\n":
        end -= 1
    return start, end


def split_list(text: str) -> list[str]:
    """The members of a comma list, trimmed, the empty ones left out; quotes and `<>` protect commas."""
    if "," not in text:
        text = text.strip(" \t\r\n")
        return [text] if text else []
    data = encode(text)
    spans = [trim(data, *span) for span in list_stops(data, 0, len(data))]
    return [decode(data[start:end]) for start, end in spans if start < end]


def params_of(data: bytes, start: int, end: int) -> Params:
    """The parameters in a span that the grammar has already matched; of a name given twice, the first."""
    params: Params = {}
    match = grammar.PARAM.match
    while start < end and (found := match(data, start, end)):
        value = found[2]
        params.setdefault(found[1].decode().lower(), None if value is None else decode(value))
        start = found.end()
    return params


def split_params(text: str) -> Params:
    """`;a=1;b` as `{"a": "1", "b": None}`: names in lower case, quoted values with their quotes.

    Raises ParseError.
    """
    data = encode(text)
    at, end, match = 0, len(data), grammar.PARAM.match
    while found := match(data, at, end):
        at = found.end()
    if not grammar.END.match(data, at):
        raise ParseError("malformed parameters", offset=at)
    return params_of(data, 0, end)


def split_name_addr(text: str) -> tuple[str, str, Params]:
    """One name-addr or addr-spec: display name as written, URI, header parameters.

    A `?` or `,` in an addr-spec is refused: such a URI must stand in `<>` (RFC 3261 §20.10). Raises
    ParseError.
    """
    data = encode(text)
    found = grammar.NAME_ADDR.match(data)
    if not found or not grammar.END.match(data, found.end()):
        raise ParseError(f"malformed address {text!r}")
    display = (found[1] or b"").rstrip(b" \t\r\n")
    return decode(display), decode(found[2] or found[3]), params_of(data, *found.span(4))


def split_via(text: str) -> tuple[str, str, str, int | None, Params]:
    """One Via entry: `SIP/2.0`, transport as written, host, port, parameters. Raises ParseError."""
    data = encode(text)
    found = grammar.VIA.match(data)
    if not found or not grammar.END.match(data, found.end()) or (found[5] and int(found[5]) > 65535):
        raise ParseError(f"malformed Via {text!r}")
    port = int(found[5]) if found[5] else None
    name, version, transport, host = (part.decode() for part in found.group(1, 2, 3, 4))
    return f"{name}/{version}", transport, host, port, params_of(data, *found.span(6))


def split_uri(text: str) -> tuple[str, str | None, str | None, str, int | None, str, str]:
    """A sip or sips URI: scheme (lower case), user, password, host, port, `;params`, `?headers`, as written.

    Raises ParseError, also for other schemes.
    """
    data = encode(text)
    found = grammar.SIP_URI.match(data) if grammar.URI.match(data) else None
    if not found or (found[5] and int(found[5]) > 65535):
        raise ParseError(f"malformed URI {text!r}")
    user, password = (None if part is None else decode(part) for part in found.group(2, 3))
    port = int(found[5]) if found[5] else None
    return (
        found[1].decode().lower(), user, password, found[4].decode(), port,
        decode(found[6]), decode(found[7] or b""),
    )  # fmt: skip


def split_credentials(text: str) -> dict[str, str] | None:
    """The parameters of a digest header as phones write them, names in lower case, quotes removed.

    None when it is anything but ASCII names and values without escapes, or says a name twice: then it takes
    a closer look.
    """
    data = encode(text)
    params: dict[str, str] = {}
    at, count = 0, 0
    while found := grammar.CREDENTIAL.match(data, at):
        params[found[1].decode().lower()] = decode(found[3] if found[2] is None else found[2])
        at, count = found.end(), count + 1
        if at == len(data):
            return params if len(params) == count else None
        if data[at] != 0x2C:
            return None
        at += 1
    return None
