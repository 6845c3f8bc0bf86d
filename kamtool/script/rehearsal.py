"""A start without a start: each module is made, given its parameters, and asked what it thinks of the script.

So `kamtool check` knows what a module would refuse: a table without a name, a timer for no route.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, Span
from kamtool.module import Module, Value, Variable, declaration
from kamtool.script.nodes import Load, ModParam

if TYPE_CHECKING:
    from kamtool.script.program import Script


class Stage:
    """The server that a rehearsed module sees: nothing runs on it. A kamtool.module.Host."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.settings = script.settings
        self.quirks = script.settings.quirks
        self.modules: dict[str, Module] = {}
        self.stats: dict[str, int] = {}
        self.own_uris: dict[str, bool] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Nothing happens that counts."""

    def now(self) -> float:
        """No time passes."""
        return 0.0

    def every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        """No timer runs."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """No task runs."""
        work.close()

    def is_myself(self, host: str, port: int | None = None, transport: str = "") -> bool:
        """Nobody is."""
        return False

    def socket(self, transport: str, address: tuple[str, int]) -> None:
        """There is none."""

    def variable(self, text: str) -> Variable:
        """Compiled as it will be. Raises ConfigError."""
        return self.script.variable(text, self)

    def variables(self, texts: Sequence[str]) -> Callable[[Any], tuple[Value, ...]]:
        """Compiled as they will be. Raises ConfigError."""
        return self.script.variables(texts, self)

    def format(self, text: str) -> Callable[[Any], str]:
        """Compiled as it will be. Raises ConfigError."""
        return self.script.format(text, self)


def rehearse(script: Script, report: Callable[[ConfigError], None]) -> None:
    """Report what the modules of a script refuse or doubt."""
    stage = Stage(script)
    for name, module in script.scope.modules.items():
        stage.modules[name] = module(stage)
    for param in script.modparams:
        for name, instance in stage.modules.items():
            if re.fullmatch(param.modules, name) and param.name in declaration(type(instance)).params:
                try:
                    instance.set_param(param.name, param.value)
                except ConfigError as error:
                    report(_placed(error, param.value_span))
    for name, instance in stage.modules.items():
        try:
            for finding in instance.verify(script):
                report(_placed(finding, _culprit(name, finding, script)))
        except ConfigError as error:
            report(_placed(error, _culprit(name, error, script)))


def _placed(error: ConfigError, span: Span) -> ConfigError:
    """The error at a place. What this machine lacks (KT1202) stops a start, but the cfg may be good."""
    severity = "warning" if error.code == "KT1202" and error.severity == "error" else error.severity
    where = error.span if error.span.file else span
    return ConfigError(error.message, where, hint=error.hint, code=error.code, severity=severity)


def _culprit(module: str, error: ConfigError, script: Script) -> Span:
    """The modparam that a complaint quotes, whole or in part, or names; else where the module is loaded."""
    own = [param for param in script.modparams if re.fullmatch(param.modules, module)]
    for param in own:
        if repr(param.value) in error.message and param.value != "":
            return param.value_span
    for param in own:
        if re.search(rf"\b{re.escape(param.name)}\b", error.message):
            return param.value_span
    quoted = re.findall(r"`([^`]+)`", error.message)
    for param in own:
        if any(text in str(param.value) for text in quoted):
            return param.value_span
    loads: list[Load | ModParam] = [load for load in script.loads if load.name == module]
    return (loads or list(script.items))[0].span  # type: ignore[arg-type]
