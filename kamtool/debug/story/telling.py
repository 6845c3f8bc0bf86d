"""From what was kept to a story: what made the answer, which condition led there, and by which value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kamtool.debug.breakpoints import block_of
from kamtool.debug.history import Key, Moment, Visit
from kamtool.debug.story.chronicle import Chronicle, Response
from kamtool.debug.story.sites import Site, Sites, Turn
from kamtool.debug.story.values import Asking
from kamtool.errors import Span
from kamtool.script.nodes import Switch
from kamtool.sip.build import REASONS

if TYPE_CHECKING:
    from kamtool.server.server import Server

SENDS = frozenset(
    ("t_relay", "t_relay_to", "t_relay_to_udp", "t_relay_to_tcp", "t_relay_to_tls", "t_forward_nonack",
     "forward", "t_replicate", "send", "send_tcp", "t_load_contacts", "t_next_contacts")
)  # fmt: skip
"""Functions that send the request on."""
ANSWERS = frozenset(
    ("sl_send_reply", "send_reply", "t_reply", "sl_reply_error", "sl_reply", "send_reply_mode",
     "t_reply_callid", "send_reply_error", "auth_challenge", "www_challenge", "proxy_challenge", "exit",
     "drop", "return", "break", "sl_forward_reply", "t_release", "xlog", "assign", "append_to_reply",
     "route", "block")
)  # fmt: skip
"""Statements that carry out a decision; any other that answers has decided by itself."""
Facts = dict[str, Any]


@dataclass(slots=True)
class Decision:
    """A line of the cfg and what made it decide."""

    span: Span
    text: str
    route: str
    way: str
    values: list[Facts]

    def facts(self) -> Facts:
        """For a client."""
        return {
            "file": self.span.file, "line": self.span.line, "text": self.text, "route": self.route,
            "way": self.way, "values": self.values,
        }  # fmt: skip


class Teller:
    """Tells the stories of one server."""

    def __init__(self, server: Server, chronicle: Chronicle) -> None:
        self.server, self.chronicle = server, chronicle
        self._sites: tuple[Any, Sites] | None = None

    @property
    def sites(self) -> Sites:
        """Those of the script that runs."""
        script = self.server.script
        if self._sites is None or self._sites[0] is not script:
            self._sites = script, Sites.of(script)
        return self._sites[1]

    def story(self, key: Key) -> Facts:
        """What became of one request."""
        visits = self.chronicle.visits_of(key)
        final = self.chronicle.final(key)
        first = visits[0]
        facts: Facts = {
            "call_id": key[0], "cseq": f"{key[1]} {key[2]}", "request": first.first_line,
            "source": first.source,            "began": first.began, "status": final.status if final else 0,
            "reason": (final.reason or REASONS.get(final.status, "")) if final else "",
            "routes": [self._route(visit) for visit in visits],
            "errors": [each for visit in visits for each in self._mishaps(visit)],
        }  # fmt: skip
        return facts | self._cause(visits, final)

    def _route(self, visit: Visit) -> Facts:
        blocks = dict.fromkeys(block_of(m.action) for m in visit.moments if m.action is not None)
        return {
            "route": visit.route,
            "through": list(blocks),
            "message": visit.first_line,
            "source": visit.source,
        }

    def _mishaps(self, visit: Visit) -> list[Facts]:
        found = []
        for place, text in visit.mishaps:
            action = visit.moments[place].action if 0 <= place < len(visit.moments) else None
            if action is not None:
                found.append({"file": action.span.file, "line": action.span.line, "error": text})
        return found

    # Why

    def _cause(self, visits: list[Visit], final: Response | None) -> Facts:
        status = final.status if final else 0
        if made := self._made(visits, status):
            return self._by_statement(*made, how="made")
        sent = self._sent(visits)
        if final is not None and status and (came := self._came(visits, status)) is not None:
            return self._by_peer(came, sent, status)
        if final is not None and status and sent is not None:
            return self._by_us(sent, final)
        if sent is not None and not status:
            return self._by_statement(*sent, how="sent, and no final answer has come")
        return self._by_statement(*self._last(visits), how="silence")

    def _made(self, visits: list[Visit], status: int) -> tuple[Visit, int] | None:
        """The statement that made this response."""
        for visit in reversed(visits):
            for place in reversed(range(len(visit.moments))):
                if status and visit.moments[place].replied == status:
                    return visit, place
        return None

    def _sent(self, visits: list[Visit]) -> tuple[Visit, int] | None:
        """The last statement that sent the request on, or tried to."""
        for visit in reversed(visits):
            for place in reversed(range(len(visit.moments))):
                action = visit.moments[place].action
                if action is not None and action.name in SENDS:
                    return visit, place
        return None

    @staticmethod
    def _came(visits: list[Visit], status: int) -> Visit | None:
        """The response that came with this status."""
        start = f"SIP/2.0 {status} "
        return next((visit for visit in reversed(visits) if visit.first_line.startswith(start)), None)

    @staticmethod
    def _last(visits: list[Visit]) -> tuple[Visit, int]:
        """The last statement of the request's own route."""
        visit = next((each for each in visits if each.route == "request_route"), visits[0])
        places = [place for place, moment in enumerate(visit.moments) if moment.action is not None]
        return visit, places[-1] if places else -1

    def _by_statement(self, visit: Visit, place: int, how: str) -> Facts:
        """A statement of ours: what led to it."""
        moment = visit.moments[place] if place >= 0 else None
        action = moment.action if moment is not None else None
        if action is None:
            return {"how": how, "by": None, "decision": None, "way": []}
        asking = Asking(self.server, self.chronicle.recorder, visit)
        by = {
            "file": action.span.file, "line": action.span.line, "name": action.name,
            "route": block_of(action),            "text": asking.line(action.span),
        }  # fmt: skip
        way = self._way(visit, place, asking)
        if action.name in ANSWERS or (action.name in SENDS and way):
            decision = way[0] if way else None
        else:
            code = visit.moments[place + 1].state.held["rc"] if place + 1 < len(visit.moments) else None
            from kamtool.debug.story.codes import meaning

            values = [{"text": action.name, "value": code, "means": meaning(action.name, code or 0)}]
            decision = Decision(action.span, asking.line(action.span), block_of(action), "itself", values)
        if decision is None:
            values = [{"text": "$ru", "value": asking.value("$ru", place), "means": ""}]
            decision = Decision(action.span, asking.line(action.span), block_of(action), "always", values)
        for each in (decision, *way):
            for value in each.values:
                if value["text"].startswith(tuple(SENDS)):
                    where = asking.value("$du", place) or asking.value("$ru", place)
                    value["means"] = f"{value['means'] or 'sent'}: the next hop was {where}"
        before = self._before(visit) if visit.route.startswith("failure_route") else ""
        return {
            "how": how, "by": by, "decision": decision.facts(), "way": [each.facts() for each in way],
            "before": before,
        }  # fmt: skip

    def _before(self, visit: Visit) -> str:
        """Why a failure_route ran."""
        kept = [each for each in self.chronicle.recorder.visits if each.key == visit.key]
        lines = [each.first_line for each in kept if each.began <= visit.began]
        came = [line.removeprefix("SIP/2.0 ") for line in lines if line.startswith("SIP/2.0 ")]
        why = next((each for each in reversed(came) if each[0] in "3456"), "408: no final answer has come")
        return f"{visit.route} ran because of {why}"

    def _by_peer(self, came: Visit, sent: tuple[Visit, int] | None, status: int) -> Facts:
        """A peer answered so: the line that sent the request there, and its answer."""
        facts = self._by_statement(*sent, how="peer") if sent else {"how": "peer", "by": None, "way": []}
        values = [
            {"text": came.source, "value": came.first_line.removeprefix("SIP/2.0 "), "means": "its answer"}
        ]
        return facts | {"decision": self._sender(sent, values)}

    def _by_us(self, sent: tuple[Visit, int], final: Response) -> Facts:
        """Nobody answered, or it could not be sent: made here, without a line of the cfg."""
        visit, place = sent
        asking = Asking(self.server, self.chronicle.recorder, visit)
        facts = self._by_statement(*sent, how="here")
        values = [
            {"text": each.uri, "value": each.status, "means": f"{_fate(each.status, final)}, at {each.to}"}
            for each in final.branches if each.is_local or each.status == final.status
        ]  # fmt: skip
        if not values:
            where = asking.value("$du", place) or asking.value("$ru", place)
            code = abs(final.error) or final.status
            values = [{"text": where, "value": code, "means": _fate(code, final)}]
        return facts | {"decision": self._sender(sent, values)}

    def _sender(self, sent: tuple[Visit, int] | None, values: list[Facts]) -> Facts | None:
        if sent is None:
            return None
        visit, place = sent
        action = visit.moments[place].action
        assert action is not None
        asking = Asking(self.server, self.chronicle.recorder, visit)
        return Decision(action.span, asking.line(action.span), block_of(action), "itself", values).facts()

    # The way to a statement

    def _way(self, visit: Visit, place: int, asking: Asking) -> list[Decision]:
        """The conditions that led to a statement, the one nearest to it first, out through its callers."""
        found: list[Decision] = []
        at = place
        while True:
            action = visit.moments[at].action
            assert action is not None
            site = self.sites.by_span.get(action.span, Site())
            # Being inside a condition says more than having passed another one.
            for turn in (*reversed(site.inside), *reversed(site.past)):
                decided = self._decision(visit, at, turn, asking)
                if decided is not None:
                    found.append(decided)
            caller = self._caller(visit, at)
            if caller is None:
                return found
            at = caller

    def _caller(self, visit: Visit, at: int) -> int | None:
        """The `route(…)` by which the block of a statement was entered; None for the first block."""
        action = visit.moments[at].action
        assert action is not None
        here = (action.kind, action.route)
        inner = 0
        for place in range(at - 1, -1, -1):
            each = visit.moments[place].action
            if each is None:
                continue
            if each.name == "route" and (each.kind, each.route) != here:
                following = _action(visit, place + 1)
                if following is not None and (following.kind, following.route) == here and not inner:
                    return place
        return None

    def _decision(self, visit: Visit, at: int, turn: Turn, asking: Asking) -> Decision | None:
        place = next(
            (place for place in range(at, -1, -1) if visit.moments[place].action_span == turn.node.span), None
        )
        if place is None:
            return None
        node = turn.node
        subject = node.subject if isinstance(node, Switch) else node.condition
        action = visit.moments[place].action
        assert action is not None
        return Decision(
            node.span, asking.text(subject.span) or asking.line(node.span), block_of(action), turn.way,
            asking.parts(subject, place),
        )  # fmt: skip


def _action(visit: Visit, place: int) -> Any:
    moment: Moment | None = visit.moments[place] if place < len(visit.moments) else None
    return moment.action if moment is not None else None


def _fate(status: int, final: Response) -> str:
    """What happened to a branch that nobody answered."""
    if status == 408:
        return "no answer came in time"
    if status == 478:
        return "its name leads nowhere"
    if status in (477, 503):
        return "it could not be sent"
    return "given up" if final.status == 487 else "no answer"
