"""Route processing (RFC 3261 §16.4 and §16.12): what a request's Route headers ask of this proxy.

`follow` looks and decides; it changes nothing. What it decides is a `Decision`, which the module applies.
`Following` is the short way of what is asked of most proxies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.sip.message import Request
from kamtool.speed import lone_route, own_route, split_name_addr, split_uri

_own: Final = own_route

# What loose_route() returns, with Kamailio's numbers.
ROUTED: Final = 1
NO_ROUTE: Final = -1
PRELOADED: Final = -3  # only our own Route, in a request that opens a dialog: nothing says where it should go


@dataclass(slots=True)
class Decision:
    """What to do about the Route set. `removed` are places among the Route entries, first is 0.

    `params` are those of the URI by which the request found us, from their semicolon on; `socket` is the
    other half of a double Record-Route, by which the request leaves, `ours` the first half.
    """

    code: int
    removed: set[int] = field(default_factory=set)
    appended: str = ""
    uri: str | None = None
    dst_uri: str | None = None
    params: str = ""
    socket: Hop | None = None
    ours: Hop | None = None


@dataclass(slots=True)
class Hop:
    """One URI of a Route set. `params` begin with their semicolon and are as written; `transport` of them
    is in lower case, "" when there is none.
    """

    text: str
    scheme: str
    user: str
    host: str
    port: int | None
    params: str
    transport: str

    def has(self, name: str) -> bool:
        """Whether there is a parameter of this name (lower case), with a value or without."""
        params = self.params.lower()
        at = params.find(f";{name}")
        while at >= 0:
            if params[at + len(name) + 1 : at + len(name) + 2] in ("", ";", "=", " "):
                return True
            at = params.find(f";{name}", at + 1)
        return False


IsMyself = Callable[[Hop], bool]


def hops(request: Request) -> list[Hop]:
    """The Route set in order. Raises ParseError when an entry is malformed or no SIP URI."""
    return [hop_of(split_name_addr(item)[1]) for item in request.items("Route")]


@lru_cache(maxsize=1024)
def hop_of(uri: str) -> Hop:
    """A URI as a hop. Raises ParseError when it is no SIP URI."""
    scheme, user, _, host, port, params, _ = split_uri(uri)
    transport = params.lower().partition(";transport=")[2].partition(";")[0] if params else ""
    return Hop(uri, scheme, user or "", host, port, params, transport)


MOST_OURS: Final = 1024


class Following:
    """loose_route() for most requests in a dialog: one Route, ours, so that nothing is left to decide.

    `rr` is the module, which does what all others ask; `ours` are the URIs that have been found to be ours,
    without their parameters, kept while somebody empties them when our names change.
    """

    def __init__(self, rr: Any) -> None:
        self.rr = rr
        # To ask a dict costs a third of asking an object that is not compiled.
        self.settings: dict[str, Any] = rr.__dict__
        self.ours: dict[bytes, bool] = {}
        self.is_kept = False

    def loose_route(self, ctx: Context) -> int:
        """See Rr.loose_route."""
        rr, settings = self.rr, self.settings
        if not self.is_kept or settings["ignore_user"] or settings["sockname_mode"]:
            return _loose_route(rr, ctx, self.ours, None)
        found = _own(ctx.msg, self.ours)
        if not isinstance(found, tuple):
            return _loose_route(rr, ctx, self.ours, found)
        start, end, params = found
        ctx.edit(start, end, b"")
        ctx.dst_uri, ctx.route_params = None, params
        code = ROUTED if ctx.msg.to_tag else PRELOADED
        return rr.told(ctx, code) if settings["routed"] else code


def _loose_route(rr: Any, ctx: Context, ours: dict[bytes, bool], place: bytes | None) -> int:
    """The same where more has to be looked at; `place` is by what `ours` may know the Route."""
    request = ctx.msg
    found = lone_route(request)
    if found:
        start, end, user, host, port, params = found
        transport = ""
        if "=" in params:
            transport = params.lower().partition(";transport=")[2].partition(";")[0]
        ignored = rr.ignore_user
        if not (ignored and user == ignored) and rr.is_myself(host, port, transport):
            ctx.edit(start, end, b"")
            ctx.dst_uri, ctx.route_params = None, params
            if place is not None:
                if len(ours) >= MOST_OURS:
                    ours.clear()
                ours[place] = True
            if rr.sockname_mode:
                rr.leave_by_name(ctx, params)
            code = ROUTED if request.to_tag else PRELOADED
            return rr.told(ctx, code) if rr.routed else code
    elif found is not None:
        return NO_ROUTE
    return rr.follow(ctx, True)  # type: ignore[no-any-return]


def follow(
    request: Request, uri: str, is_myself: IsMyself, *, double: bool = True, strict: bool = True
) -> Decision:
    """Decide about a request whose R-URI is now `uri`. Raises ParseError when its Route set is malformed.

    Without `strict` nobody is taken for a strict router (§16.4).
    """
    route_set = hops(request)
    if not route_set:
        return Decision(NO_ROUTE)
    if strict and request.to_tag and not is_myself(route_set[0]):
        target = _sip(uri)
        if target is not None and is_myself(target):
            return _after_strict(route_set, target)
    return _after_loose(route_set, uri, bool(request.to_tag), is_myself, double)


def _sip(uri: str) -> Hop | None:
    try:
        return hop_of(uri)
    except ParseError:
        return None


def _after_strict(route_set: list[Hop], target: Hop) -> Decision:
    """§16.4: a strict router put our Record-Route URI into the R-URI, the target behind all Routes."""
    decision = Decision(ROUTED, params=target.params)
    first, last = route_set[0], len(route_set) - 1
    if not first.has("lr"):
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
    decision = Decision(ROUTED)
    place, first = 0, route_set[0]
    if is_myself(first):
        decision.params, decision.ours = first.params, first
        decision.removed.add(0)
        place = 1
        # Both halves of a double Record-Route are ours; the second names the socket to leave by.
        if double and place < len(route_set) and first.has("r2"):
            second = route_set[place]
            if second.has("r2") and is_myself(second):
                decision.socket = second
                decision.removed.add(place)
                place += 1
        if place == len(route_set):
            decision.code = ROUTED if in_dialog else PRELOADED
            return decision
    following = route_set[place]
    if following.has("lr"):
        decision.dst_uri = following.text
    else:
        # §16.6 step 6: a strict router gets its own URI as the R-URI and the target as the last Route.
        decision.uri, decision.appended = following.text, uri
        decision.removed.add(place)
    return decision


def cuts(request: Request, removed: set[int]) -> list[tuple[int, int]]:
    """The spans to delete so that these Route entries are gone: a line whose entries all go, goes whole."""
    rows = [request.row(number) for number in request.find("Route")]
    entries = request.entries("Route")
    if len(removed) == len(entries):
        return [(row[1], row[5]) for row in rows]
    spans: list[tuple[int, int]] = []
    for row in rows:
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
