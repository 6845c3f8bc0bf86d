"""The commands that look back: a message as it was, what each statement did, and which one did it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kamtool.debug import looking
from kamtool.debug.effects import of_moment
from kamtool.debug.history import Moment, Visit
from kamtool.debug.parking import Parked
from kamtool.debug.session import Session
from kamtool.debug.words import Mistake
from kamtool.errors import ScriptError
from kamtool.module import Value
from kamtool.script import snippet
from kamtool.script.context import Context


class Past:
    """Half of a session's commands. `of` names a parked message; without it, the last one is meant."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.server = session.server

    def do_where(self, of: int | None = None) -> dict[str, Any]:
        """Where a message stands, and where the cursor is."""
        parked = self.session.find(of)
        facts = parked.facts()
        if parked.cursor is not None and parked.visit is not None:
            action = parked.visit.moments[parked.cursor].action
            if action is not None:
                facts |= {"file": action.span.file, "line": action.span.line, "name": action.name}
            facts["cursor"] = parked.visit.lost + parked.cursor
        return facts

    @contextmanager
    def _seen(self, parked: Parked) -> Iterator[Context]:
        if parked.cursor is None:
            yield parked.ctx
            return
        with self.session.recorder.revived(self.session.state(parked)) as ctx:
            yield ctx

    def _visit(self, visit: Visit) -> dict[str, Any]:
        path = looking.path_of(visit)
        return visit.facts() | {
            "line": path[-1]["line"] if path else 0, "file": path[-1]["file"] if path else "",
            "routes": list(dict.fromkeys(each["route"] for each in path if each["route"])),
        }  # fmt: skip

    def _moments(self, parked: Parked) -> tuple[Visit, int]:
        """The visit of a parked message and the place in it that is looked at. Raises Mistake."""
        visit = parked.visit
        if visit is None or not visit.moments:
            raise Mistake("nothing was recorded of this message", "`history 32` records from the next one on")
        return visit, len(visit.moments) - 1 if parked.cursor is None else parked.cursor

    def do_back(self, count: int = 1, of: int | None = None) -> dict[str, Any]:
        """Look at the message as it was so many statements earlier; negative: later."""
        visit, at = self._moments(self.session.find(of))
        return self.do_goto(visit.lost + at - count, of)

    def do_goto(self, number: int, of: int | None = None) -> dict[str, Any]:
        """Look at the message as it was before statement `number` of its route, from 0."""
        parked = self.session.find(of)
        visit, _ = self._moments(parked)
        at, last = number - visit.lost, len(visit.moments) - 1
        if not 0 <= at <= last:
            raise Mistake(
                f"there is no statement {number}", f"this route has {visit.lost} to {visit.lost + last}"
            )
        parked.cursor = None if at == last else at
        facts = self.do_where(parked.number)
        facts["number"], facts["last"] = number, visit.lost + last
        if at < last:
            facts["effects"] = of_moment(visit.moments[at], visit.moments[at + 1].state)
        return facts

    def do_now(self, of: int | None = None) -> dict[str, Any]:
        """Come back to the present."""
        visit, _ = self._moments(self.session.find(of))
        return self.do_goto(visit.lost + len(visit.moments) - 1, of)

    def do_history(
        self, of: int | None = None, visit: int | None = None, last: int = 0
    ) -> list[dict[str, Any]]:
        """Every statement of a route with what it did; `last` of them when it is not 0."""
        if visit is not None:
            found = self.session.recorder.find(visit)
            if found is None:
                raise Mistake(f"visit {visit} is not kept", "`visits` lists those that are")
        else:
            found, _ = self._moments(self.session.find(of))
        rows = []
        for row in looking.path_of(found):
            at = row["number"] - found.lost
            after = found.moments[at + 1].state if at + 1 < len(found.moments) else None
            row["effects"] = of_moment(found.moments[at], after) if after is not None else []
            rows.append(row)
        return rows[-last:] if last else rows

    def do_visits(self, call_id: str = "") -> list[dict[str, Any]]:
        """The routes that are kept, the oldest first; of one call when its Call-ID is given."""
        return [self._visit(each) for each in self.session.recorder.visits if call_id in ("", each.key[0])]

    def do_who(self, text: str, of: int | None = None) -> dict[str, Any]:
        """Which statement gave an expression the value that it has."""
        parked = self.session.find(of)
        _, at = self._moments(parked)
        asked = snippet.expression(text, self.server.script, self.server)
        if asked.waits:
            raise Mistake(f"`{text}` waits for something: that cannot be asked of the past")
        moments = self._earlier(parked, at)
        value = later = self._value(asked, moments[-1][1])
        for (visit, moment), (_, following) in zip(reversed(moments[:-1]), reversed(moments), strict=False):
            before = self._value(asked, moment)
            if before != later or type(before) is not type(later):
                action = moment.action
                assert action is not None or following
                span = action.span if action is not None else None
                return {
                    "value": value, "before": before, "file": span.file if span else "",
                    "line": span.line if span else 0, "name": action.name if action else "",
                    "route": visit.route, "number": visit.moments.index(moment) + visit.lost,
                }  # fmt: skip
            later = before
        return {"value": value, "before": value, "file": "", "line": 0, "name": "", "route": "", "number": -1}

    def _earlier(self, parked: Parked, at: int) -> list[tuple[Visit, Moment]]:
        """All moments of the call up to the one looked at; those of its earlier routes first."""
        found: list[tuple[Visit, Moment]] = []
        for visit in self.session.recorder.visits:
            if visit is parked.visit:
                return [*found, *((visit, moment) for moment in visit.moments[: at + 1])]
            if visit.key == parked.key:
                found += [(visit, moment) for moment in visit.moments]
        return found

    def _value(self, asked: snippet.Snippet, moment: Moment) -> Value:
        with self.session.recorder.revived(moment.state) as ctx:
            try:
                value: Value = asked.run(ctx)
            except ScriptError:
                value = None
        return value
