"""Running a case on an offline server, and what it found wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import lru_cache
from typing import Any

from kamtool.debug.offline.rows import MemoryDatabases
from kamtool.debug.offline.server import SOCKETS, Offline
from kamtool.debug.offline.wire import Sent
from kamtool.debug.trial import message as messages
from kamtool.debug.trial.case import Case, Suite, Table
from kamtool.errors import ConfigError, KamtoolError, ParseError, ScriptError, UsageError
from kamtool.module import Value
from kamtool.script import snippet
from kamtool.script.context import Context
from kamtool.script.program import RouteFunction, Script
from kamtool.sip.flow import Socket
from kamtool.sip.message import Message, parse


@dataclass(slots=True)
class Result:
    """How a case went: nothing `wrong` is good. Times are seconds."""

    name: str
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Ends:
    """Keeps the message as the last request_route left it."""

    def __init__(self) -> None:
        self.last: Context | None = None

    def after(self, route: RouteFunction) -> RouteFunction:
        """The same route, seen to its end."""

        async def run(ctx: Context) -> int:
            try:
                return await route(ctx)
            finally:
                self.last = ctx

        return run


class Bench:
    """A server of a suite's, started and ready for one case: a second one would find what the first left."""

    def __init__(self, suite: Suite, script: Script) -> None:
        self.suite = suite
        listens = [Socket(*messages.place_of(text)) for text in suite.listens]
        if not listens and not script.settings.listens:
            listens = list(SOCKETS)
        self.offline = Offline(
            script, listens=listens, dns=suite.dns, rows=suite.rows, epoch=suite.epoch, seed=suite.seed
        )
        self.offline.start()
        self.ends = Ends()
        if suite.wants_variables:
            self._watch()
        self.asked: list[Sent] = []
        """Requests that the server sent, the last one last."""
        self.answers: list[Sent] = []
        self.number = 0

    def _watch(self) -> None:
        server = self.offline.server
        program = server.program
        if program.request_route is not None:
            server.program = replace(program, request_route=self.ends.after(program.request_route))

    def stop(self) -> None:
        """End the server."""
        self.offline.stop()

    def run(self, case: Case) -> Result:
        """Do the steps of a case, until one goes wrong."""
        result = Result(case.name)
        self.offline.wire.refused = {messages.place_of(text)[1] for text in case.unreachable}
        for number, step in enumerate(case.steps, 1):
            where = f"step {number}: " if len(case.steps) > 1 else ""
            try:
                wrong = self._step(step)
            except (KamtoolError, ConfigError) as error:
                wrong = [str(error)]
            result.wrong += [where + each for each in wrong]
            if wrong:
                break
        return result

    def _step(self, step: Table) -> list[str]:
        sent: list[Sent] = []
        wrong: list[str] = []
        if "rows" in step:
            databases = self.offline.server.databases
            assert isinstance(databases, MemoryDatabases)
            databases.insert(step["rows"])
        if "rpc" in step:
            wrong += self._rpc(step)
            sent += self.offline.wait(0)
        if "send" in step:
            sent += self._send(step)
        if "answer" in step:
            sent += self._answer(step)
        if "wait" in step:
            sent += self.offline.wait(float(step["wait"]))
        for each in sent:
            (self.answers if each.data.startswith(b"SIP/2.0 ") else self.asked).append(each)
        if "expect" in step:
            expected = step["expect"]
            wrong += self._compared(expected if isinstance(expected, list) else [expected], sent)
        return wrong + self._variables(step.get("variables", {}))

    def _send(self, step: Table) -> list[Sent]:
        transport, source = messages.place_of(step.get("source", f"udp:{messages.PEER}"))
        flow = self.offline.flow(source, transport)
        self.number += 1
        data = messages.request(step, flow, self.number)
        if "credentials" in step:
            user, _, password = step["credentials"].partition(":")
            sent = self.offline.receive(data, flow)
            if not sent:
                return sent
            name, value = messages.credentials(parse(sent[-1].data), user, password, *_method_and_uri(data))
            self.number += 1
            again = dict(step, headers={**step.get("headers", {}), name: value})
            data = messages.request(again, flow, self.number)
        return self.offline.receive(data, flow)

    def _answer(self, step: Table) -> list[Sent]:
        wanted = [each for each in self.asked if not each.data.startswith((b"ACK ", b"CANCEL "))]
        if not wanted:
            raise UsageError("`answer`: the server has sent no request")
        last = wanted[-1]
        data = messages.response(parse(last.data), step["answer"], step.get("headers", {}))
        flow = last.flow
        return self.offline.receive(data, flow)

    def _rpc(self, step: Table) -> list[str]:
        method, *params = step["rpc"]
        answer = self.offline.rpc(method, params)
        if "result" in step and answer != step["result"]:
            return [f"rpc {method}: {answer!r} instead of {step['result']!r}"]
        return []

    # What must have come of it

    def _compared(self, expected: Sequence[Any], sent: Sequence[Sent]) -> list[str]:
        wishes = [_wish(each) for each in expected]
        named = any(wish.get("status") == "100" for wish in wishes)
        seen = [each for each in sent if named or not each.data.startswith(b"SIP/2.0 100")]
        wrong = []
        for wish, each in zip(wishes, seen, strict=False):
            wrong += _differs(wish, each)
        for wish in wishes[len(seen) :]:
            wrong.append(f"{_shown(wish)} was not sent")
        for each in seen[len(wishes) :]:
            wrong.append(f"{each.first_line} was sent to {each.flow.transport}:{each.flow.remote} as well")
        return wrong

    def _variables(self, wishes: Mapping[str, Any]) -> list[str]:
        if not wishes:
            return []
        ctx = self.ends.last
        if ctx is None:
            return ["no request_route has ended: there are no variables"]
        server, wrong = self.offline.server, []
        for name, wanted in wishes.items():
            try:
                value: Value = self.offline.work(snippet.expression(name, server.script, server).value(ctx))
            except ScriptError as error:
                wrong.append(f"{name}: {error}")
                continue
            if wanted is False and value is None:
                continue
            if value != wanted and not (
                isinstance(wanted, str) and isinstance(value, str) and _fits(wanted, value)
            ):
                wrong.append(f"{name} is {value!r} instead of {wanted!r}")
        return wrong


def _method_and_uri(data: bytes) -> tuple[str, str]:
    method, uri, _ = data.partition(b"\r\n")[0].decode().split(" ", 2)
    return method, uri


_ARROW = re.compile(r"\s*(?:->|→)\s*")


def _wish(each: Any) -> dict[str, Any]:
    """`404`, `"404 Not Found"`, `"INVITE sip:bob@192.0.2.20 -> udp:192.0.2.20:5060"`, or a table."""
    if isinstance(each, dict):
        return {**each, **({"status": str(each["status"])} if "status" in each else {})}
    text, *hop = _ARROW.split(str(each).strip(), maxsplit=1)
    first, _, rest = text.partition(" ")
    wish: dict[str, Any] = {"next_hop": hop[0]} if hop else {}
    if re.fullmatch(r"\d(?:\d\d|xx)", first, re.IGNORECASE):
        return wish | {"status": first.lower(), **({"reason": rest} if rest else {})}
    return wish | {"request": first, **({"uri": rest} if rest else {})}


def _shown(wish: Mapping[str, Any]) -> str:
    return " ".join(str(wish[key]) for key in ("status", "reason", "request", "uri") if key in wish) or str(
        dict(wish)
    )


def _differs(wish: Mapping[str, Any], sent: Sent) -> list[str]:
    try:
        msg = parse(sent.data)
    except ParseError as error:
        return [f"what was sent is no SIP message: {error}"]
    line = sent.first_line
    status = "" if msg.is_request else line.split(" ")[1]
    if "status" in wish and not (
        len(status) == 3 and all(m in ("x", h) for m, h in zip(wish["status"].lower(), status, strict=True))
    ):
        return [f"{line} was sent instead of {_shown(wish)}"]
    if "request" in wish and (not msg.is_request or msg.method != wish["request"]):
        return [f"{line} was sent instead of {_shown(wish)}"]
    wrong = []
    if "reason" in wish and not _fits(wish["reason"], line.split(" ", 2)[2]):
        wrong.append(f"{line} was sent instead of {_shown(wish)}")
    if "uri" in wish and not _fits(wish["uri"], msg.uri):
        wrong.append(f"the URI is {msg.uri} instead of {wish['uri']}")
    if "next_hop" in wish:
        where = f"{sent.flow.transport}:{sent.flow.remote}"
        transport, address = messages.place_of(wish["next_hop"])
        if (transport, address) != (sent.flow.transport, sent.flow.remote):
            wrong.append(f"{line} went to {where} instead of {wish['next_hop']}")
    for name, wanted in wish.get("headers", {}).items():
        wrong += _header(msg, name, wanted)
    if "body" in wish and not _fits(
        wish["body"].replace("\r\n", "\n"), msg.body.decode("utf-8", "replace").replace("\r\n", "\n")
    ):
        wrong.append(f"the body is {msg.body!r}")
    return wrong


def _header(msg: Message, name: str, wanted: Any) -> list[str]:
    """True: it is there; False: it is not; a text: one of them is, `*` standing for anything."""
    values = msg.items(name)
    if wanted is False:
        return [f"{name}: {values[0]} should not be there"] if values else []
    if not values:
        return [f"there is no {name}"]
    if wanted is True or any(_fits(str(wanted), value) for value in values):
        return []
    return [f"{name} is {' | '.join(values)} instead of {wanted}"]


@lru_cache(1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(translate(text.replace("[", "[[]")))


def _fits(wanted: str, value: str) -> bool:
    return wanted == value or ("*" in wanted and _pattern(wanted).match(value) is not None)
