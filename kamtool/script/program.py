"""A cfg from its text to code: `load`, `check`, and the `Script` that links to a server's modules."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kamtool.errors import ConfigError, ConfigErrors, Span
from kamtool.module import Host, Module, Routes, Value, Variable
from kamtool.script.checker import Checker
from kamtool.script.context import Context
from kamtool.script.dead_codes import RC
from kamtool.script.entries import RouteFunction, inner
from kamtool.script.guards import Action
from kamtool.script.lexer import Lexer
from kamtool.script.linker import Linker, compile_format, compile_variable, compile_variables
from kamtool.script.log_prefix import LogPrefix
from kamtool.script.nodes import Call, Item, Load, ModParam, Route
from kamtool.script.parser import Parser
from kamtool.script.preprocess import Preprocessor
from kamtool.script.rehearsal import rehearse
from kamtool.script.scope import Scope
from kamtool.script.settings import QUIRKS, Settings
from kamtool.script.source import Source, Text, read
from kamtool.script.walk import walk

logger = logging.getLogger("kamtool.script")

__all__ = ["Program", "Report", "RouteFunction", "Script", "check", "load"]

Routine = Mapping[str, RouteFunction]


@dataclass(frozen=True, slots=True)
class Program:
    """The routes of a script, linked to the modules of one server."""

    request_route: RouteFunction | None
    reply_route: RouteFunction | None
    onsend_route: RouteFunction | None
    routes: Routine
    failure_routes: Routine
    branch_routes: Routine
    onreply_routes: Routine
    event_routes: Routine
    actions: tuple[Action, ...] = ()
    """Of a traced program: its statements, in the order of the code."""
    entry: Callable[[Context], Any] | None = field(init=False)
    """The request_route as it costs least to enter, None where only the coroutine function will do."""
    entry_waits: bool = field(init=False)
    """Whether `entry` gives a coroutine. What either returns at its end is of no use to the server."""

    def __post_init__(self) -> None:
        entry, waits = inner(self.request_route)
        object.__setattr__(self, "entry", entry)
        object.__setattr__(self, "entry_waits", waits)


@dataclass(frozen=True, slots=True)
class Script:
    """A cfg that was read and found good."""

    name: str
    items: tuple[Item, ...]
    settings: Settings
    scope: Scope
    defines: Mapping[str, str | None]
    text: Text
    warnings: tuple[ConfigError, ...] = ()
    """What may not be meant; hints are not among them."""
    linked: list[Linker] = field(default_factory=list, compare=False, repr=False)
    """Of a script for `linked_often`: how it was linked the first time."""
    linked_often: bool = False
    """Whether one server after another has this script: then it is compiled once."""

    @property
    def loads(self) -> tuple[Load, ...]:
        """The loadmodule lines, in order."""
        return tuple(item for item in self.items if isinstance(item, Load))

    @property
    def modparams(self) -> tuple[ModParam, ...]:
        """The modparam lines, in order; `modules` is an expression over module names."""
        return tuple(item for item in self.items if isinstance(item, ModParam))

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every routing block, in order."""
        return tuple(item for item in self.items if isinstance(item, Route))

    def calls(self, *names: str) -> Iterator[Call]:
        """Every call of one of these functions, for a module that looks at what is asked of it."""
        for route in self.routes:
            for node in walk(route.body):
                if isinstance(node, Call) and node.name in names:
                    yield node

    def link(self, host: Host, *, observer: Any = None) -> Program:
        """Compile the routes and bind them to the instances in `host.modules`.

        With an `observer`, `observer.at(action, ctx)` comes before each statement whose `action` (a
        kamtool.script.guards.Action) is armed, as all are at first; what it returns is awaited unless it
        is None. Without one there is no trace of it in the code.
        """
        if self.linked and observer is None:
            return self._program(self.linked[0].again(host.modules), host)
        modules = dict(host.modules) if self.linked_often else host.modules
        linker = self._linker(modules, observer)
        if self.linked_often and observer is None:
            self.linked.append(linker)
        program = self._program(linker.link(), host)
        return replace(program, actions=tuple(linker.plans.actions.values()))

    def _program(self, routes: Mapping[tuple[Routes, str], RouteFunction], host: Host) -> Program:
        if self.settings.text("log_prefix"):
            prefix, is_live = LogPrefix(host), bool(self.settings.number("log_prefix_mode"))
            routes = {key: prefix.entering(*key, route, is_live=is_live) for key, route in routes.items()}
        return _program(routes)

    def python(self) -> list[tuple[Route, ast.Module]]:
        """The generated Python of each block, as trees placed in the cfg."""
        return self._linker(None).trees()

    def _linker(self, modules: dict[str, Module] | None, observer: Any = None) -> Linker:
        return Linker(
            self.routes, self.scope, self.settings, modules, observer,
            keeps_rc=self.reads_rc, drops_dead=not self.reads_rc_outside,
        )  # fmt: skip

    @property
    def reads_rc(self) -> bool:
        """Whether `$rc` stands anywhere, be it in a string or a comment; sl asks for it with the quirks."""
        if self.settings.quirks:
            return True
        defines = (value for value in self.defines.values() if value)
        return any(RC.search(text) for text in (*self.text.files.values(), *defines))

    @property
    def reads_rc_outside(self) -> bool:
        """Whether it stands outside of all routes, as in a modparam: then it may be read at any time."""
        return self.settings.quirks or any(
            RC.search(repr(item)) for item in self.items if not isinstance(item, Route)
        )

    def variable(self, text: str, host: Host) -> Variable:
        """The variable that a modparam names. Raises ConfigError."""
        return compile_variable(text, self.scope, host.modules)

    def variables(self, texts: Sequence[str], host: Host) -> Callable[[Any], tuple[Value, ...]]:
        """The variables that a modparam names, read by one function. Raises ConfigError."""
        return compile_variables(texts, self.scope, host.modules)

    def format(self, text: str, host: Host) -> Callable[[Any], str]:
        """The format that a modparam holds. Raises ConfigError."""
        return compile_format(text, self.scope, host.modules)


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, each in the order of its lines. `script` is None when there are errors."""

    errors: tuple[ConfigError, ...]
    warnings: tuple[ConfigError, ...]
    text: Text
    preprocessor: Preprocessor
    script: Script | None = None
    hints: tuple[ConfigError, ...] = ()

    @property
    def findings(self) -> tuple[ConfigError, ...]:
        """All of them, the worst first."""
        return self.errors + self.warnings + self.hints


MOST_ERRORS = 200
"""After so many the check ends: it is no cfg, and what else is wrong with it nobody reads."""
MOST_OTHERS = 1000
"""So many warnings, and so many hints, are kept."""


class _Enough(Exception):  # a way out, not an error
    """There are MOST_ERRORS errors."""


@dataclass(slots=True)
class _Findings:
    """What was found, by severity; each place and message once."""

    held: dict[str, list[ConfigError]] = field(
        default_factory=lambda: {"error": [], "warning": [], "hint": []}
    )
    seen: set[tuple[Span, str]] = field(default_factory=set)

    def report(self, finding: ConfigError) -> None:
        key = (finding.span, finding.message)
        held = self.held[finding.severity]
        if key in self.seen or len(held) >= MOST_OTHERS:
            return
        self.seen.add(key)
        held.append(finding)
        if finding.severity == "error" and len(held) == MOST_ERRORS:
            held.append(
                ConfigError(f"the check ends here, after {MOST_ERRORS} errors", finding.span, code="KT1000")
            )
            raise _Enough

    def settle(self) -> None:
        """One mistake, one finding: an error says more than what else is found in its place."""
        errors = self.held["error"]
        if len(errors) > 1:  # a file is not called empty for what took its content away
            self.held["error"] = [error for error in errors if error.code != "KT1100"] or errors
        for severity in ("warning", "hint"):
            self.held[severity] = [
                finding
                for finding in self.held[severity]
                if not any(_overlap(finding.span, error.span) for error in self.held["error"])
            ]


def _overlap(one: Span, other: Span) -> bool:
    return one.file == other.file and (
        (one.line, one.column) < (other.end_line, other.end_column)
        and (other.line, other.column) < (one.end_line, one.end_column)
    )


def check(
    source: Path | str, *, defines: Mapping[str, str | None] | None = None, name: str = "",
    path: Path | None = None,
) -> Report:  # fmt: skip
    """Read a cfg and say all that is wrong with it. A Path is read, a str is the text itself.

    With a text, `path` is where it belongs: its includes are looked for beside it. Raises OSError for a file
    that cannot be read, never anything for what a file holds.
    """
    path = source if isinstance(source, Path) else path
    text = read(source) if isinstance(source, Path) else source
    first = Source(name or (str(path) if path else "<cfg>"), text, path=path)
    given = dict(defines or {})
    report = _check(first, Preprocessor.start(given))
    if report.preprocessor.has_ifexp and any(error.code == "KT1013" for error in report.errors):
        # Written for 5.6 or older, where `#!ifexp` is a comment and wants no `#!endif`?
        again = Preprocessor.start(given)
        again.knows_ifexp = False
        older = _check(first, again)
        if not any(error.code == "KT1013" for error in older.errors):
            return older
    return report


def _check(first: Source, preprocessor: Preprocessor) -> Report:
    findings = _Findings()
    lexer = Lexer(first, preprocessor, findings.report)
    parser = Parser(lexer, findings.report)
    parser.loaded = lambda load: preprocessor.define(f"MOD_{load.name}", None)
    script: Script | None = None
    with suppress(_Enough):
        script = _read(first, parser, lexer, findings)
    text = Text(lexer.files)
    order = _order_of([first.name, *(file for file, _ in lexer.included)])
    findings.settle()
    errors, warnings, hints = (tuple(sorted(held, key=order)) for held in findings.held.values())
    good = None if script is None or errors else replace(script, warnings=warnings)
    return Report(errors, warnings, text, preprocessor, good, hints)


def _read(first: Source, parser: Parser, lexer: Lexer, findings: _Findings) -> Script | None:
    """Parse, check, rehearse; the script when nothing is wrong."""
    preprocessor = lexer.preprocessor
    items = tuple(parser.file())
    lexer.finish()
    checker = Checker(items, findings.report, preprocessor, lexer.mode, lexer.files)
    checker.run(parsed=not findings.held["error"])
    if findings.held["error"]:
        return None
    defines = dict(preprocessor.defines)
    checker.settings.quirks = QUIRKS in defines
    script = Script(first.name, items, checker.settings, checker.scope, defines, Text(lexer.files))
    rehearse(script, findings.report)
    return script


def _order_of(files: Sequence[str]) -> Callable[[ConfigError], tuple[int, int, int]]:
    places = {file: number for number, file in reversed(list(enumerate(files)))}

    def key(error: ConfigError) -> tuple[int, int, int]:
        return places.get(error.span.file, len(files)), error.span.line, error.span.column

    return key


def load(source: Path | str, *, defines: Mapping[str, str | None] | None = None, name: str = "") -> Script:
    """A cfg, ready to be linked: a Path is read, a str is the text itself.

    Raises ConfigErrors with everything that is wrong with it, OSError for a file that cannot be read.
    """
    report = check(source, defines=defines, name=name)
    if report.script is None:
        errors = ConfigErrors(report.errors)
        errors.text = report.text
        raise errors
    return report.script


def _program(functions: Mapping[tuple[Routes, str], RouteFunction]) -> Program:
    """The linked functions by kind and name, each as a coroutine function."""
    entries = dict(functions.items())

    def named(kind: Routes) -> dict[str, RouteFunction]:
        return {name: entry for (of, name), entry in entries.items() if of is kind and name}

    def unnamed(kind: Routes) -> RouteFunction | None:
        return entries.get((kind, ""))

    # `failure_route { … }` without a name is what t_on_failure("0") arms.
    for kind in (Routes.FAILURE, Routes.BRANCH):
        if (kind, "") in entries:
            entries[kind, "0"] = entries[kind, ""]
    return Program(
        unnamed(Routes.REQUEST), unnamed(Routes.REPLY), unnamed(Routes.ONSEND), named(Routes.REQUEST),
        named(Routes.FAILURE), named(Routes.BRANCH), named(Routes.ONREPLY), named(Routes.EVENT),
    )  # fmt: skip
