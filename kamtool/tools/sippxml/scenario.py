"""From a scenario file to its steps; everything that cannot be run is named with file and line."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from kamtool.errors import ConfigError, ConfigErrors
from kamtool.tools.sippxml.actions import read_action
from kamtool.tools.sippxml.keywords import unknown_keywords
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
    Step,
    Timewait,
)
from kamtool.tools.sippxml.tree import Element, mistake, read_xml

SILENT = (
    "ResponseTimeRepartition",
    "CallLengthRepartition",
    "Reference",
    "DefaultMessage",
    "DefaultBehaviors",
)
"""Elements that say something to SIPp's own statistics, or nothing."""

# Attributes of every step; those that only shape SIPp's own screen and counters do nothing here.
COMMON = ("next", "test", "chance", "condexec", "condexec_inverse", "start_rtd", "rtd", "repeat_rtd", "crlf",
          "counter", "display", "hide", "ignoresdp", "start_txn", "ack_txn", "response_txn", "timeout",
          "ontimeout", "lost")  # fmt: skip
OF_STEP = {
    "send": ("retrans", "log"),
    "recv": ("response", "request", "optional", "rrs", "auth", "regexp_match", "ignoresdp", "rtcpcheck",
             "rtpcheck", "advance_state"),
    "pause": ("milliseconds", "variable", "distribution", "min", "max", "mean", "stdev", "value", "lambda",
              "k", "x_m", "n", "p", "theta", "sanity_check"),
    "nop": ("milliseconds",),
    "sendCmd": ("dest",),
    "recvCmd": ("src",),
    "label": ("id",),
    "timewait": ("milliseconds", "variable", "distribution", "min", "max", "value", "mean", "stdev"),
}  # fmt: skip


def read_scenario(path: Path, keys: Collection[str] = ()) -> Scenario:
    """A scenario file; `keys` are keywords of the caller's own. Raises ConfigErrors with every mistake in
    it, each at its line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse_scenario(data, str(path), keys)


def parse_scenario(data: bytes, file: str, keys: Collection[str] = ()) -> Scenario:
    """The same from memory."""
    try:
        return _Reader(file, keys).read(data)
    except ConfigErrors:
        raise
    except ConfigError as error:
        raise ConfigErrors([error]) from None


class _Reader:
    def __init__(self, file: str, keys: Collection[str]) -> None:
        self.file, self.keys = file, keys
        self.errors: list[ConfigError] = []
        self.scenario = Scenario("", file, [])

    def complain(self, message: str, line: int, hint: str = "") -> None:
        self.errors.append(mistake(message, self.file, line, hint))

    def warn(self, message: str) -> None:
        self.scenario.warnings.append(f"{self.file}: {message}")

    def read(self, data: bytes) -> Scenario:
        root, forgiven = read_xml(data, self.file)
        for what in forgiven:
            self.warn(what)
        if root.name != "scenario":
            raise mistake(f"the root element is <{root.name}>, not <scenario>", self.file, root.line)
        self.scenario.name = root.attributes.get("name", "")
        for element in root.children:
            self._element(element)
        if not any(isinstance(step, Send | Recv) for step in self.scenario.steps) and not self.errors:
            self.complain("the scenario neither sends nor receives", root.line)
        self._check_labels()
        if self.errors:
            raise ConfigErrors(self.errors)
        return self.scenario

    def _element(self, element: Element) -> None:
        name = element.name
        if name in ("Global", "User"):
            names = [
                word.strip() for word in element.attributes.get("variables", "").split(",") if word.strip()
            ]
            (self.scenario.globals if name == "Global" else self.scenario.users).extend(names)
        elif name == "init":
            for below in element.children:
                if below.name == "nop":
                    self._actions(below, self.scenario.start)
        elif name in READERS:
            step = READERS[name](self, element)
            if step is not None:
                self._common(element, step)
                self.scenario.steps.append(step)
        elif name not in SILENT:
            self.complain(f"the element <{name}> is not supported", element.line)

    def _common(self, element: Element, step: Step) -> None:
        known = (*COMMON, *OF_STEP[element.name])
        for name in element.attributes:
            if name not in known:
                self.warn(f"line {element.line}: <{element.name}> has no attribute {name!r}")
        get = element.attributes.get
        step.next, step.test = get("next", ""), get("test", "")
        step.chance = self._number(element, "chance", 1.0)
        step.condition = get("condexec", "")
        step.condition_inverse = is_true(get("condexec_inverse", ""))
        step.start_rtd = get("start_rtd", "")
        step.rtd = get("rtd", "")
        step.repeat_rtd = is_true(get("repeat_rtd", ""))
        self._actions(element, step.actions)

    def _actions(self, element: Element, into: list[Action]) -> None:
        for below in element.children:
            if below.name != "action":
                self.warn(f"line {below.line}: <{below.name}> inside <{element.name}> does nothing")
                continue
            for one in below.children:
                action = read_action(one, self.complain, self.warn)
                if action is not None:
                    into.append(action)

    def _number(self, element: Element, name: str, absent: float) -> float:
        text = element.attributes.get(name, "")
        if not text:
            return absent
        try:
            return float(text)
        except ValueError:
            self.complain(f"{name}={text!r} is no number", element.line)
            return absent

    def send(self, element: Element) -> Send | None:
        if not element.text.strip():
            self.complain("<send> without a message", element.line)
            return None
        get = element.attributes.get
        self._check_keywords(element)
        return Send(
            element.line,
            text=element.text,
            text_line=element.text_line,
            retrans=self._number(element, "retrans", 0.0) / 1000,
            lost=self._number(element, "lost", 0.0) / 100,
            start_txn=get("start_txn", ""),
            ack_txn=get("ack_txn", ""),
        )

    def send_command(self, element: Element) -> SendCmd | None:
        if "call-id:" not in element.text.lower():
            self.complain("<sendCmd> without a Call-ID: no twin could tell its call", element.line)
            return None
        self._check_keywords(element)
        return SendCmd(
            element.line,
            text=element.text,
            text_line=element.text_line,
            dest=element.attributes.get("dest", ""),
        )

    def receive_command(self, element: Element) -> RecvCmd:
        return RecvCmd(
            element.line, timeout=self._number(element, "timeout", 0.0) / 1000,
            ontimeout=element.attributes.get("ontimeout", ""),
        )  # fmt: skip

    def _check_keywords(self, element: Element) -> None:
        for keyword, line in unknown_keywords(element.text, element.text_line, self.keys):
            word = keyword.split()[0]
            hint = f"if it is yours, give it a value: --key {word} VALUE" if word.isidentifier() else ""
            self.complain(f"no keyword [{keyword}]", line, hint)

    def recv(self, element: Element) -> Recv | None:
        get = element.attributes.get
        response, request = get("response", ""), get("request", "")
        if bool(response) == bool(request):
            self.complain("<recv> needs either 'response' or 'request'", element.line)
            return None
        regexp = is_true(get("regexp_match", ""))
        if response and not response.isdigit():
            self.complain(f"response={response!r} is no status", element.line)
        optional = get("optional", "")
        return Recv(
            element.line, response=response, request=request, regexp_match=regexp,
            optional="global" if optional == "global" else "true" if is_true(optional) else "",
            auth=is_true(get("auth", "")), rrs=is_true(get("rrs", "")),
            timeout=self._number(element, "timeout", 0.0) / 1000, ontimeout=get("ontimeout", ""),
            lost=self._number(element, "lost", 0.0) / 100, response_txn=get("response_txn", ""),
        )  # fmt: skip

    def pause(self, element: Element) -> Pause:
        get = element.attributes.get
        kind = get("distribution", "")
        step = Pause(element.line, distribution=kind, variable=get("variable", ""))
        if kind not in ("", *DISTRIBUTIONS):
            self.complain(f"no distribution {kind!r}", element.line, ", ".join(DISTRIBUTIONS))
        plain = ("k", "n", "p")
        for name in (
            "milliseconds",
            "min",
            "max",
            "mean",
            "stdev",
            "value",
            "lambda",
            "k",
            "x_m",
            "n",
            "p",
            "theta",
        ):
            if name in element.attributes:
                value = self._number(element, name, 0.0)
                scale = kind in ("lognormal",) or name in plain
                step.parameters[name] = value if scale else value / 1000
        missing = [name for name in DISTRIBUTIONS.get(kind, ()) if name not in step.parameters]
        if missing:
            self.complain(f"distribution {kind!r} needs {missing[0]!r}", element.line)
        return step

    def nop(self, element: Element) -> Nop:
        return Nop(element.line)

    def label(self, element: Element) -> Label | None:
        if "id" not in element.attributes:
            self.complain("<label> without 'id'", element.line)
            return None
        return Label(element.line, id=element.attributes["id"])

    def timewait(self, element: Element) -> Timewait:
        return Timewait(element.line, seconds=self._number(element, "milliseconds", 0.0) / 1000)

    def _check_labels(self) -> None:
        labels = {step.id for step in self.scenario.steps if isinstance(step, Label)}
        for step in self.scenario.steps:
            for wanted in (step.next, getattr(step, "ontimeout", "")):
                if wanted and wanted not in labels:
                    self.complain(f"no label {wanted!r} to go to", step.line)
            for action in step.actions:
                if action.kind == "jump" and not (
                    action.attributes.get("value") or "variable" in action.attributes
                ):
                    self.complain("<jump> without 'value' or 'variable'", action.line)


DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "fixed": ("value",), "uniform": ("min", "max"), "normal": ("mean", "stdev"),
    "lognormal": ("mean", "stdev"), "exponential": ("mean",), "weibull": ("lambda", "k"),
    "pareto": ("k", "x_m"), "gamma": ("k", "theta"), "negbin": ("p", "n"),
}  # fmt: skip

READERS: dict[str, Callable[[_Reader, Element], Step | None]] = {
    "send": _Reader.send, "recv": _Reader.recv, "pause": _Reader.pause, "nop": _Reader.nop,
    "label": _Reader.label, "timewait": _Reader.timewait,
    "sendCmd": _Reader.send_command, "recvCmd": _Reader.receive_command,
}  # fmt: skip


def is_true(text: str) -> bool:
    """How SIPp reads a boolean attribute."""
    return text.strip().lower() in ("true", "yes", "1", "on")
