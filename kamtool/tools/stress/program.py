"""A scenario made ready to run: each step with its template, and for each waiting place what may come
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kamtool.errors import ConfigError, Span
from kamtool.tools.sippxml.model import (
    Action,
    Label,
    Nop,
    Pause,
    Recv,
    RecvCmd,
    Scenario,
    Send,
    SendCmd,
    Timewait,
)
from kamtool.tools.sippxml.model import Step as Written
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.template import Message, Template

SEND, RECV, PAUSE, NOP, TIMEWAIT, END, SEND_CMD, RECV_CMD = range(8)
UNANSWERED = ("ACK", "CANCEL")
"""Methods that begin no transaction of their own to be timed."""


class Step:
    """One step at run time. `plain` ones need nothing beyond sending, or going on."""

    __slots__ = (
        "actions",
        "command",
        "condition",
        "count",
        "final",
        "index",
        "is_ack",
        "kind",
        "lost",
        "measure",
        "message",
        "methods",
        "mismatched",
        "next",
        "next_index",
        "ontimeout",
        "pattern",
        "plain",
        "provisional",
        "repeated",
        "retrans",
        "silent",
        "starts",
        "status",
        "test",
        "timed_out",
        "timeout",
        "what",
        "written",
    )

    def __init__(self, index: int, kind: int, written: Written, what: str) -> None:
        self.index, self.kind, self.written, self.what = index, kind, written, what
        self.message: Message | None = None
        self.command: Template | None = None
        self.measure = ""
        self.methods: tuple[bytes, ...] = ()
        self.status = self.next_index = self.ontimeout = -1
        self.next, self.test, self.condition = written.next, written.test, written.condition
        self.final = self.provisional = self.is_ack = self.silent = self.starts = False
        self.retrans = self.timeout = self.lost = 0.0
        self.pattern: re.Pattern[str] | None = None
        self.actions: list[Action] = written.actions
        self.count = self.repeated = self.timed_out = self.mismatched = 0
        self.plain = not (
            written.next or written.actions or written.start_rtd or written.rtd or written.condition
            or (isinstance(written, Send | Recv) and written.lost)
        )  # fmt: skip


class Program:
    """A scenario for one run. `steps` ends with an END; `tables[i]` is what a call that waits at `i`
    expects.
    """

    def __init__(self, scenario: Scenario, setting: Setting, name: str = "") -> None:
        self.scenario, self.setting = scenario, setting
        self.name = name or scenario.name or "scenario"
        self.is_server = scenario.is_server or scenario.is_begun_by_command
        self.texts: dict[str, Template] = {}
        setting.global_names = setting.global_names | frozenset([*scenario.globals, *scenario.users])
        labels: dict[str, int] = {}
        self.steps: list[Step] = []
        for written in scenario.steps:
            if isinstance(written, Label):
                labels[written.id] = len(self.steps)
                if written.actions or written.next:
                    self._add(Nop(written.line, next=written.next, actions=written.actions))
            else:
                self._add(written)
        self.steps.append(Step(len(self.steps), END, Nop(0), "end"))
        self.labels = labels
        for step in self.steps:
            step.next_index = labels.get(step.next, -1)
            step.ontimeout = labels.get(getattr(step.written, "ontimeout", ""), -1)
        self._pending()
        self.tables = [dict(self._expected(step.index)) if step.kind == RECV else {} for step in self.steps]
        self.patterns = any(step.pattern for step in self.steps)
        waits = [step.retrans for step in self.steps if step.retrans] + [
            s.timeout for s in self.steps if s.timeout
        ]
        self.tick = min([0.5, *waits])
        pauses = [step.written.parameters for step in self.steps if isinstance(step.written, Pause)]
        self.longest_pause = sum(max(one.values(), default=0.0) for one in pauses)
        self.holds = any(step.kind == TIMEWAIT for step in self.steps) or self.is_server

    def _add(self, written: Written) -> None:
        index = len(self.steps)
        if isinstance(written, Send):
            self.steps.append(self._send(index, written))
        elif isinstance(written, Recv):
            self.steps.append(self._recv(index, written))
        elif isinstance(written, Pause):
            self.steps.append(Step(index, PAUSE, written, "pause"))
        elif isinstance(written, SendCmd):
            step = Step(index, SEND_CMD, written, "command")
            lines = [line.strip() for line in written.text.strip().splitlines()]
            step.command = Template("\r\n".join(lines), self.setting, index)
            self.steps.append(step)
        elif isinstance(written, RecvCmd):
            step = Step(index, RECV_CMD, written, "command")
            step.timeout = written.timeout
            self.steps.append(step)
        elif isinstance(written, Timewait):
            self.steps.append(Step(index, TIMEWAIT, written, "timewait"))
        else:
            self.steps.append(Step(index, NOP, written, "nop"))

    def _send(self, index: int, written: Send) -> Step:
        try:
            message = Message(written.text, self.setting, index)
        except ConfigError as error:
            raise ConfigError(
                error.message, Span(self.scenario.file, written.line, 1, written.line, 2)
            ) from None
        step = Step(index, SEND, written, message.method or " ".join(message.first.split()[1:3]))
        step.message = message
        step.retrans, step.lost = written.retrans, written.lost
        step.is_ack = message.method == "ACK"
        step.starts = bool(message.method) and message.method not in UNANSWERED
        step.measure = message.method.lower() if step.starts else ""
        return step

    def _recv(self, index: int, written: Recv) -> Step:
        step = Step(index, RECV, written, written.response or written.request)
        step.timeout, step.lost = written.timeout, written.lost
        step.plain = step.plain and not (written.auth or written.rrs or written.timeout)
        if written.response:
            step.status = int(written.response)
            step.final = step.status >= 200 and not written.auth
            step.provisional = 101 <= step.status < 200
        elif written.regexp_match:
            step.pattern = re.compile(written.request)
            step.plain = False
        return step

    def _pending(self) -> None:
        """Of each awaited response, the methods it may answer: those sent before it and not yet answered."""
        sent: list[str] = []
        pending: list[str] = []
        jumped = False
        for step in self.steps:
            if step.index in self.labels.values():
                pending, jumped = list(dict.fromkeys(sent)), True
            if step.kind == SEND and step.message and step.message.method and not step.is_ack:
                sent.append(step.message.method)
                if step.message.method not in pending:
                    pending.append(step.message.method)
            elif step.kind == RECV and step.status > 0:
                step.methods = tuple(method.encode() for method in pending or sent)
                if len(step.methods) == 1:
                    step.measure = step.methods[0].decode().lower()
                certain = not (step.written.optional if isinstance(step.written, Recv) else "")
                if step.status >= 200 and certain and len(pending) == 1:
                    pending = []
                if len(set(sent)) == 1 and not jumped:
                    step.methods = ()
                    step.measure = sent[0].lower()

    def _expected(self, index: int) -> Iterator[tuple[bytes, Step]]:
        """What may come while a call waits at `index`: optional ones up to the first that must come."""
        found: dict[bytes, Step] = {}
        for step in self.steps:
            if step.kind == RECV and isinstance(step.written, Recv) and step.written.optional == "global":
                found.setdefault(self._key(step), step)
        for step in self.steps[index:]:
            if step.kind != RECV:
                break
            found.setdefault(self._key(step), step)
            if isinstance(step.written, Recv) and not step.written.optional:
                break
        yield from found.items()

    @staticmethod
    def _key(step: Step) -> bytes:
        return b"%d" % step.status if step.status > 0 else step.what.encode()

    def awaited(self, index: int) -> Step:
        """The step that must come, for a call that waits at `index`."""
        for step in self.steps[index:]:
            if step.kind != RECV:
                break
            if isinstance(step.written, Recv) and not step.written.optional:
                return step
        return self.steps[index]
