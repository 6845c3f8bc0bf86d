"""Route processing (RFC 3261 §16.4 and §16.12): what a request's Route headers ask of this proxy.

`follow` looks and decides; it changes nothing. What it decides is a `Decision`, which the module applies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from kamtool.errors import ParseError
from kamtool.sip.message import Request
from kamtool.sip.nameaddr import parse_name_addr
from kamtool.sip.uri import SipUri, parse_uri

IsMyself = Callable[[SipUri], bool]


class Code(IntEnum):
    """What loose_route() returns, with Kamailio's numbers."""

    ROUTED = 1
    NO_ROUTE = -1
    PRELOADED = -3  # only our own Route, in a request that opens a dialog: nothing says where it should go


@dataclass(slots=True)
class Decision:
    """What to do about the Route set. `removed` are places among the Route entries, first is 0.

    `params` are those of the URI by which the request found us, from their semicolon on; `socket` is the
    other half of a double Record-Route, by which the request leaves.
    """

    code: Code
    removed: set[int] = field(default_factory=set)
    appended: str = ""
    uri: str | None = None
    dst_uri: str | None = None
    params: str = ""
    socket: SipUri | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """One Route entry."""

    text: str
    uri: SipUri

    @property
    def loose(self) -> bool:
        return "lr" in self.uri.params


def hops(request: Request) -> list[Hop]:
    """The Route set in order. Raises ParseError when an entry is malformed or no SIP URI."""
    found = []
    for item in request.items("Route"):
        text = parse_name_addr(item).uri
        uri = parse_uri(text)
        if not isinstance(uri, SipUri):
            raise ParseError(f"not a SIP URI: {text!r}", header="Route")
        found.append(Hop(text, uri))
    return found


def param_text(uri: str) -> str:
    """The parameters of a URI with their first semicolon, "" when it has none."""
    _, semicolon, params = uri.partition("@")[2].partition(";") if "@" in uri else uri.partition(";")
    return semicolon + params.partition("?")[0]


def follow(request: Request, uri: str, is_myself: IsMyself, *, double: bool = True) -> Decision:
    """Decide about a request whose R-URI is now `uri`. Raises ParseError when its Route set is malformed."""
    route_set = hops(request)
    if not route_set:
        return Decision(Code.NO_ROUTE)
    if request.to_tag and not is_myself(route_set[0].uri):
        target = _sip(uri)
        if target is not None and is_myself(target):
            return _after_strict(route_set, uri)
    return _after_loose(route_set, uri, bool(request.to_tag), is_myself, double)


def _sip(uri: str) -> SipUri | None:
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return None
    return parsed if isinstance(parsed, SipUri) else None


def _after_strict(route_set: list[Hop], uri: str) -> Decision:
    """§16.4: a strict router put our Record-Route URI into the R-URI, the target behind all Routes."""
    decision = Decision(Code.ROUTED, params=param_text(uri))
    first, last = route_set[0], len(route_set) - 1
    if not first.loose:
        # The next one is strict as well: it wants to be the R-URI, and the target stays where it is.
        decision.uri, decision.removed = first.text, {0}
        return decision
    decision.uri, decision.removed = route_set[last].text, {last}
    if last:
        decision.dst_uri = first.text
    return decision


def _after_loose(
    route_set: list[Hop], uri: str, in_dialog: bool, is_myself: IsMyself, double: bool
) -> Decision:
    decision = Decision(Code.ROUTED)
    place = 0
    if is_myself(route_set[0].uri):
        decision.params = param_text(route_set[0].text)
        decision.removed.add(0)
        place = 1
        # Both halves of a double Record-Route are ours; the second names the socket to leave by.
        if double and "r2" in route_set[0].uri.params and place < len(route_set):
            second = route_set[place].uri
            if "r2" in second.params and is_myself(second):
                decision.socket = second
                decision.removed.add(place)
                place += 1
        if place == len(route_set):
            decision.code = Code.ROUTED if in_dialog else Code.PRELOADED
            return decision
    following = route_set[place]
    if following.loose:
        decision.dst_uri = following.text
    else:
        # §16.6 step 6: a strict router gets its own URI as the R-URI and the target as the last Route.
        decision.uri, decision.appended = following.text, uri
        decision.removed.add(place)
    return decision


def cuts(request: Request, removed: set[int]) -> list[tuple[int, int]]:
    """The spans to delete so that these Route entries are gone: a line whose entries all go, goes whole."""
    entries = request.entries("Route")
    spans: list[tuple[int, int]] = []
    for number in request.find("Route"):
        row = request.row(number)
        start, end = row[1], row[5]
        here = [place for place, entry in enumerate(entries) if start <= entry[2] < end]
        gone = [place for place in here if place in removed]
        if gone and len(gone) == len(here):
            spans.append((start, end))
            continue
        # Deleting from an entry to the start of the next works for any run that does not end the line.
        for place in gone:
            following = place + 1
            if following in here:
                spans.append((entries[place][2], entries[following][2]))
            else:
                kept = max(other for other in here if other not in removed)
                spans.append((entries[kept][3], entries[place][3]))
    return spans
