"""The Route of a request, taken apart where it is. The pure twin."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.speed.index import Index
from kamtool.speed.octets import encode
from kamtool.speed.scanners import split_name_addr, split_uri

LoneRoute = tuple[int, int, str, str, int | None, str]


def lone_route(index: Index) -> LoneRoute | tuple[()] | None:
    """Of the only Route: start and end of its line, and of its URI user, host, port and parameters.

    () when there is none; None when there are more, when its value has a comma or is folded, and when it is
    malformed or no SIP URI.
    """
    places = index.find("Route")
    if not places:
        return ()
    row = index.row(places[0])
    value = index.value(places[0])
    if len(places) > 1 or "," in value or b"\n" in index.data[row.value_start : row.value_end]:
        return None
    try:
        _, user, _, host, port, params, _ = split_uri(split_name_addr(value)[1])
    except ParseError:
        return None
    return row.start, row.end, user or "", host, port, params


def own_route(index: Index, ours: dict[bytes, bool]) -> tuple[int, int, str] | bytes | None:
    """Of the only Route, whose URI up to its parameters is among `ours`: start and end of its line, and the
    parameters. Else those octets of the URI, for whoever finds out whether it is ours.

    None where `lone_route` finds none, and for a URI with a transport: that is for others to judge.
    """
    found = lone_route(index)
    if not found:
        return None
    start, end, *_, params = found
    if ";transport=" in params.lower():
        return None
    uri = split_name_addr(index.value(index.find("Route")[0]))[1]
    headers = uri.partition("?")[2]
    size = len(uri) - len(params) - (len(headers) + 1 if "?" in uri else 0)
    place = encode(uri[:size])
    return (start, end, params) if place in ours else place
