"""What the actions of a scenario do to a call."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError
from kamtool.script.regex import compile_ere
from kamtool.sip import digest
from kamtool.tools.sippxml.model import Action
from kamtool.tools.sippxml.scenario import is_true
from kamtool.tools.stress import received
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.template import render_text, text_of, variable

if TYPE_CHECKING:
    from kamtool.tools.stress.calls import Calls


class Failed(Exception):
    """The action ends the call; the text is the reason. Stays within the engine."""


def perform(engine: Calls, call: Call, actions: list[Action], data: bytes) -> int:
    """Run actions in order; the index of the step that one of them jumps to, else -1. Raises Failed."""
    jump = -1
    for action in actions:
        found = _ACTIONS[action.kind](engine, call, action, data)
        if found is not None:
            jump = found
    return jump


def set_variable(call: Call, name: str, value: Any) -> None:
    """Give a variable its value: of all calls when the scenario says Global, else of this one."""
    setting = call.program.setting
    if name in setting.global_names:
        setting.globals[name] = value
        return
    if call.vars is None:
        call.vars = {}
    call.vars[name] = value


def _text(call: Call, text: str) -> bytes:
    return render_text(call.program.setting, text, call)


def number_of(value: Any) -> float:
    """The value as a number; what is none counts as 0."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return 0.0
    return float(value or 0)


def _amount(call: Call, action: Action) -> float:
    if "variable" in action.attributes:
        return number_of(variable(call, action.attributes["variable"]))
    return number_of(_text(call, action.attributes.get("value", "0")).decode(errors="replace"))


def _ereg(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    get = action.attributes.get
    flags = 2 if is_true(get("case_indep", "")) else 0
    pattern = compile_ere(get("regexp", ""), flags)
    text = _searched(call, action, data)
    found = None
    for number, match in enumerate(pattern.finditer(text), 1):
        if number == int(get("occurrence", "1") or 1) or get("search_in") == "hdr":
            found = match
            break
    if (is_true(get("check_it", "")) and not found) or (is_true(get("check_it_inverse", "")) and found):
        raise Failed(f"line {action.line}: the regular expression {'matched' if found else 'did not match'}")
    names = [name.strip() for name in get("assign_to", "").split(",") if name.strip()]
    for place, name in enumerate(names):
        value = None
        if found:
            try:
                start, end = found.span(place)
            except IndexError:
                start, end = -1, -1
            value = text[start:end] if start >= 0 else ""
        set_variable(call, name, value)


def _searched(call: Call, action: Action, data: bytes) -> str:
    get = action.attributes.get
    place = get("search_in", "msg")
    if place == "var":
        return text_of(variable(call, get("variable", ""))).decode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "surrogateescape")
    if place == "body":
        return text.partition("\r\n\r\n")[2]
    if place == "hdr":
        return _header(
            text, get("header", ""), int(get("occurrence", "1") or 1), is_true(get("start_line", ""))
        )
    return text


def _header(text: str, name: str, occurrence: int, first_line: bool) -> str:
    """What stands behind the text `name` at the beginning of a header line, as SIPp takes it: the rest of
    the line.
    """
    head = text.partition("\r\n\r\n")[0]
    lines = head.split("\r\n")
    lower = name.lower()
    seen = 0
    for line in lines if first_line else lines[1:]:
        if line.lower().startswith(lower):
            seen += 1
            if seen == occurrence:
                return line[len(name) :]
    return lines[0] if not seen and lines and name and lines[0].startswith(name) else ""


def _log(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    engine.say(_text(call, action.attributes["message"]).decode(errors="replace"))


def _error(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    text = _text(call, action.attributes["message"]).decode(errors="replace")
    engine.stop_reason = f"the scenario stopped the run: {text}"
    engine.stopping = True
    raise Failed(engine.stop_reason)


def _assign(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    set_variable(call, action.attributes["assign_to"], _amount(call, action))


def _assignstr(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    value = _text(call, action.attributes["value"]).decode("utf-8", "surrogateescape")
    set_variable(call, action.attributes["assign_to"], value)


def _arithmetic(operation: Callable[[float, float], float]) -> Callable[..., None]:
    def act(engine: Calls, call: Call, action: Action, data: bytes) -> None:
        name = action.attributes["assign_to"]
        try:
            set_variable(call, name, operation(number_of(variable(call, name)), _amount(call, action)))
        except ZeroDivisionError:
            raise Failed(f"line {action.line}: division by zero") from None

    return act


def _todouble(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    value = variable(call, action.attributes["variable"])
    set_variable(call, action.attributes["assign_to"], number_of(value))


def _strcmp(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    left = text_of(variable(call, action.attributes["variable"])).decode(errors="replace")
    if "variable2" in action.attributes:
        right = text_of(variable(call, action.attributes["variable2"])).decode(errors="replace")
    else:
        right = _text(call, action.attributes.get("value", "")).decode(errors="replace")
    set_variable(call, action.attributes["assign_to"], float((left > right) - (left < right)))


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "equal": lambda a, b: a == b, "not_equal": lambda a, b: a != b, "greater_than": lambda a, b: a > b,
    "less_than": lambda a, b: a < b, "greater_than_equal": lambda a, b: a >= b,
    "less_than_equal": lambda a, b: a <= b,
}  # fmt: skip


def _test(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    get = action.attributes.get
    left = number_of(variable(call, get("variable", "")))
    if "variable2" in action.attributes:
        right = number_of(variable(call, get("variable2", "")))
    else:
        right = number_of(_text(call, get("value", "0")).decode(errors="replace"))
    set_variable(call, get("assign_to", ""), _COMPARE[get("compare", "")](left, right))


def _trim(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    name = action.attributes["assign_to"]
    set_variable(call, name, text_of(variable(call, name)).decode(errors="replace").strip())


def _urlencode(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    name = action.attributes["variable"]
    set_variable(
        call, name, urllib.parse.quote(text_of(variable(call, name)).decode(errors="replace"), safe="")
    )


def _urldecode(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    name = action.attributes["variable"]
    set_variable(call, name, urllib.parse.unquote(text_of(variable(call, name)).decode(errors="replace")))


def _lookup(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    users = call.program.setting.rows(action.attributes["file"])
    key = _text(call, action.attributes["key"]).decode(errors="replace")
    set_variable(call, action.attributes["assign_to"], float(users.find(key) if users else -1))


def _jump(engine: Calls, call: Call, action: Action, data: bytes) -> int:
    place = int(_amount(call, action))
    if not 0 <= place < len(call.program.steps):
        raise Failed(f"line {action.line}: no step {place} to jump to")
    return place


def _gettimeofday(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    now = time.time()
    names = [name.strip() for name in action.attributes["assign_to"].split(",")]
    for name, value in zip(names, (float(int(now)), float(int(now % 1 * 1e6))), strict=False):
        set_variable(call, name, value)


def _sample(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    from kamtool.tools.stress.pauses import draw

    parameters = {key: number_of(value) for key, value in action.attributes.items() if key not in
                  ("assign_to", "distribution")}  # fmt: skip
    value = draw(action.attributes["distribution"], parameters, engine.choice)
    set_variable(call, action.attributes["assign_to"], value)


def _verifyauth(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    get = action.attributes.get
    user, password = (_text(call, get(key, "")).decode(errors="replace") for key in ("username", "password"))
    good = False
    line = received.first_line(data)
    method = line.partition(" ")[0]
    for value in [*received.values(data, "Authorization"), *received.values(data, "Proxy-Authorization")]:
        try:
            given = digest.parse_credentials(value.decode(errors="replace"))
            if given and given.username == user:
                secret = digest.ha1(user, given.realm, password, given.algorithm or "MD5")
                good = good or given.proves(secret, method, data.partition(b"\r\n\r\n")[2])
        except ParseError:
            continue
    set_variable(call, get("assign_to", ""), good)


def _int_command(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    command = action.attributes["int_cmd"]
    if command == "stop_call":
        raise Failed("")
    if command in ("stop_now", "stop_gracefully"):
        engine.stopping = True
        engine.stop_reason = engine.stop_reason or "the scenario stopped the run"
        if command == "stop_now":
            engine.abandon = True


def _command(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    """A shell command runs only where the caller allowed it, and nobody waits for it."""
    if engine.run_command is not None:
        engine.run_command(_text(call, action.attributes["command"]).decode(errors="replace"))


def _nothing(engine: Calls, call: Call, action: Action, data: bytes) -> None:
    return None


_ACTIONS: dict[str, Callable[[Calls, Call, Action, bytes], int | None]] = {
    "ereg": _ereg, "log": _log, "warning": _log, "error": _error, "assign": _assign, "assignstr": _assignstr,
    "add": _arithmetic(lambda a, b: a + b), "subtract": _arithmetic(lambda a, b: a - b),
    "multiply": _arithmetic(lambda a, b: a * b), "divide": _arithmetic(lambda a, b: a / b),
    "todouble": _todouble, "strcmp": _strcmp, "test": _test, "trim": _trim, "urlencode": _urlencode,
    "urldecode": _urldecode, "lookup": _lookup, "jump": _jump, "pauserestore": _nothing,
    "gettimeofday": _gettimeofday, "index": _nothing, "sample": _sample, "verifyauth": _verifyauth,
    "exec int_cmd": _int_command, "exec command": _command,
}  # fmt: skip
