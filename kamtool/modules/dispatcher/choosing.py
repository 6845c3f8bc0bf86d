"""The algorithms: which destination of a set is the first to try."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.modules.dispatcher.destination import Destination, Set
from kamtool.modules.dispatcher.hashing import hash_of, hash_of_uri
from kamtool.sip.digest import parse_credentials
from kamtool.sip.uri import parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context
logger = logging.getLogger("kamtool.modules.dispatcher")

(
    CALL_ID, FROM, TO, RURI, ROUND_ROBIN, AUTH_USER, RANDOM, VARIABLE, FIRST, WEIGHT, LOAD, RELATIVE,
    PARALLEL, LATENCY,
) = range(14)  # fmt: skip


class Chooser:
    """Chooses among the destinations of a set as `flags` and `use_default` say."""

    def __init__(self, user_only: bool, use_default: bool, variable: Callable[[Context], str] | None) -> None:
        self.user_only, self.use_default, self.variable = user_only, use_default, variable
        self._said: set[int] = set()

    def order(self, ctx: Context, group: Set, algorithm: int) -> list[Destination]:
        """The open destinations of a set in the order they should be tried; empty when all are closed."""
        if algorithm == LATENCY:
            return self._by_latency(group)
        if algorithm == LOAD:
            least = [each for each in group.destinations if each.is_open and not _is_full(each)]
            return sorted(least, key=lambda each: each.load)
        found = list(group.from_place(self._place(ctx, group, algorithm), self.use_default))
        if algorithm in (ROUND_ROBIN, AUTH_USER) and found:
            # The next call begins behind the one that this call got, not behind those that were passed over.
            group.next = (group.destinations.index(found[0]) + 1) % len(group.destinations)
        return found

    def _place(self, ctx: Context, group: Set, algorithm: int) -> int:
        count = len(group.destinations)
        try:
            if algorithm == CALL_ID:
                return hash_of(ctx.msg.call_id) % count
            if algorithm == FROM:
                return hash_of_uri(ctx.msg.from_uri, user_only=self.user_only) % count
            if algorithm == TO:
                return hash_of_uri(ctx.msg.to_uri, user_only=self.user_only) % count
            if algorithm == RURI:
                return hash_of_uri(parse_uri(ctx.ruri), user_only=self.user_only) % count
        except ParseError:
            return 0
        if algorithm == AUTH_USER:
            user = _auth_user(ctx)
            return hash_of(user) % count if user else group.next % count
        if algorithm == ROUND_ROBIN:
            return group.next % count
        if algorithm == RANDOM:
            return random.randrange(count)
        if algorithm == VARIABLE and self.variable is not None:
            return hash_of(self.variable(ctx)) % count
        if algorithm == WEIGHT and group.weights:
            group.next_weight = (group.next_weight + 1) % len(group.weights)
            return group.weights[group.next_weight]
        if algorithm == RELATIVE and group.relative:
            group.next_relative = (group.next_relative + 1) % len(group.relative)
            return group.relative[group.next_relative]
        if not 0 <= algorithm <= LATENCY and algorithm not in self._said:
            self._said.add(algorithm)
            logger.warning("there is no algorithm %d here: the first destination is taken", algorithm)
        return 0

    def _by_latency(self, group: Set) -> list[Destination]:
        """By priority less the milliseconds that an answer takes, those alike by turns.

        With the attribute `cc=1` only what is above the usual counts: the congestion.
        """

        def rank(each: Destination) -> int:
            late = each.estimate - (each.average if each.attributes.get("cc") == "1" else 0)
            return each.priority - max(0, round(late))

        found = sorted(group.from_place(0, use_default=False), key=rank, reverse=True)
        if not found:
            return []
        alike = sum(rank(each) == rank(found[0]) for each in found)
        turn = group.next % alike
        group.next += 1
        return [*found[turn:alike], *found[:turn], *found[alike:]]


def _is_full(each: Destination) -> bool:
    most = each.number("maxload")
    return bool(most) and each.load >= most


def _auth_user(ctx: Context) -> str:
    for name in ("Authorization", "Proxy-Authorization"):
        credentials = parse_credentials(ctx.msg.header(name) or "")
        if credentials is not None:
            return credentials.user
    return ""
