"""All blocks of a script into functions: which of them wait, which recur, what they share."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any

from kamtool.errors import ConfigError, ScriptError, Span
from kamtool.module import Function, Module, Routes, Value, Variable
from kamtool.script import guards
from kamtool.script.binding import Namespace
from kamtool.script.codegen import RouteCode, waits_in
from kamtool.script.codegen_calls import Plans, RoutePlan, parameter_of
from kamtool.script.codegen_values import ValueCode
from kamtool.script.dead_codes import EVALUATES, PLAIN_MODULES, RC, DeadCodes
from kamtool.script.emit import Lines, define, function_of, tree_of
from kamtool.script.entries import entry_of
from kamtool.script.inlining import inline
from kamtool.script.nodes import Block, Expression, Route
from kamtool.script.operands import as_str, raw
from kamtool.script.repeated_reads import keep_reads
from kamtool.script.scope import ROUTE_NAMES, Scope
from kamtool.script.settings import Settings
from kamtool.script.short_lives import join
from kamtool.script.variables import Reference
from kamtool.script.walk import routes_in

Key = tuple[Routes, str]
Entries = dict[Key, Callable[[Any], Coroutine[Any, Any, int]]]
DEEPEST = 700
"""What `max_recursive_level` can be at most: Python's own stack must hold the calls."""


class _Code(RouteCode):
    """Route code that can make Variables, as some functions want them for arguments."""

    instances: Mapping[str, Module] | None = None

    def variable_object(self, text: str) -> str:
        self.scope.variable(text)  # raises what is wrong with it
        instances = self.instances or {}
        return self.names.object("var", ("var", text), lambda: compile_variable(text, self.scope, instances))


class CheckedCode(_Code):
    """Code that is written only to see whether it can be."""

    def __init__(self, scope: Scope, plans: Plans, lines: Lines) -> None:
        super().__init__(scope, Namespace(None), plans, lines)
        self.custom_format = lambda text: compile_format(text, scope, None)

    def argument_of(self, function: Function, place: int, argument: Expression, call: Span) -> str:
        """One argument of a call. Raises ConfigError for what Kamailio would not start with."""
        return self.argument(parameter_of(function, place), argument, call)


class Linker:
    """One compilation of a script. Without `instances` the code is made but cannot run."""

    def __init__(
        self, routes: Sequence[Route], scope: Scope, settings: Settings,
        instances: dict[str, Module] | None, observer: Any = None, *, keeps_rc: bool = True,
        drops_dead: bool = False,
    ) -> None:  # fmt: skip
        self.scope, self.instances = scope, instances
        self.names = Namespace(instances)
        self.blocks: dict[Key, list[Route]] = {}
        for route in routes:
            self.blocks.setdefault((route.kind, route.name), []).append(route)
        self.plans = Plans(
            traced=observer is not None,
            keeps_rc=keeps_rc or observer is not None,
            recursion_limit=min(settings.number("max_recursive_level"), DEEPEST),
            loop_limit=settings.number("max_while_loops"),
            flags=settings.flags,
        )
        if observer is not None:
            self.names.globals["observe"] = observer.at
            self.names.globals["failed"] = _telling(observer)
        self._drops_dead = drops_dead and keeps_rc and observer is None
        self._made: list[tuple[CodeType, str, str]] = []
        self._entries: dict[Key, tuple[str, bool]] = {}
        self._plan()

    # What callers must know ---------------------------------------------------------------------------

    def _plan(self) -> None:
        """Which blocks wait: those that await, and, again until nothing changes, those that call them."""
        graph = {key: set(self._calls(key)) for key in self.blocks}
        waits = dict.fromkeys(self.blocks, self.plans.traced)
        self._publish(waits, {})
        while True:
            now = {
                key: waits[key] or any(waits_in(route.body, self.scope, self.plans) for route in routes)
                for key, routes in self.blocks.items()
            }
            if now == waits:
                break
            waits = now
            self._publish(waits, {})
        # Where routes can call themselves, all calls on the way there are counted.
        circles = {key for key in self.blocks if key in _reachable(graph, key)}
        counted = {key: not circles.isdisjoint({key, *_reachable(graph, key)}) for key in self.blocks}
        self._publish(waits, counted)

    def _calls(self, key: Key) -> list[Key]:
        found: list[Key] = []
        for route in self.blocks[key]:
            for name in routes_in(route.body):
                if name is None:  # any of them
                    found += [key for key in self.blocks if key[0] is Routes.REQUEST]
                else:
                    found.append((Routes.REQUEST, "" if name == "0" else name))
        return found

    def _publish(self, waits: Mapping[Key, bool], recurs: Mapping[Key, bool]) -> None:
        for number, key in enumerate(self.blocks):
            kind, name = key
            plan = RoutePlan(self._python_name(number, key), waits[key], recurs.get(key, False))
            if kind is Routes.REQUEST and name:
                self.plans.routes[name] = plan
            elif kind is Routes.REQUEST:
                self.plans.main = plan

    @staticmethod
    def _python_name(number: int, key: Key) -> str:
        kind, name = key
        return re.sub(r"\W", "_", f"{ROUTE_NAMES[kind]}_{name}" if name else ROUTE_NAMES[kind]) + f"_{number}"

    # Code ---------------------------------------------------------------------------------------------

    def link(self) -> Entries:
        """Every block as a coroutine function that raises Exit; see kamtool.script.entries."""
        for number, key in enumerate(self.blocks):
            self._entries[key] = self._python_name(number, key), self._waits(key)
        for key, python, tree in self._trees():
            shown, file = _shown(key), self.blocks[key][0].span.file
            with self._deep(key):
                made = compile(tree, file, "exec")
            define(made, self.names.globals, python, shown)
            self._made.append((made, python, shown))
        return self._entered(self.names.globals)

    def again(self, instances: Mapping[str, Module]) -> Entries:
        """What `link` gave, for other instances of the same modules: nothing is compiled."""
        assert self.instances is not None
        self.instances.clear()
        self.instances.update(instances)
        space = self.names.again()
        for made, python, shown in self._made:
            define(made, space, python, shown)
        return self._entered(space)

    def _entered(self, space: dict[str, Any]) -> Entries:
        """Every block, as it is begun from outside, of the functions in `space`."""
        dynamic: dict[str, Any] = {}
        space["ROUTES"] = dynamic
        entries: Entries = {}
        for key, (name, waits) in self._entries.items():
            entries[key] = entry_of(space[name], waits, ends_by_code=key[0] is Routes.REQUEST)
            if key[0] is Routes.REQUEST:
                dynamic[key[1] or "0"] = entries[key]
        if "0" in dynamic:
            dynamic[""] = dynamic["0"]
        return entries

    def trees(self) -> list[tuple[Route, ast.Module]]:
        """Every block as a Python tree, in the order of the cfg."""
        places = {key: place for place, key in enumerate(self.blocks)}
        found = sorted(self._trees(), key=lambda one: (places[one[0]], len(one[1]), one[1]))
        return [(self.blocks[key][0], tree) for key, _, tree in found]

    def _trees(self) -> Iterator[tuple[Key, str, ast.Module]]:
        """Every function: its block, its name, and its tree without what is of no use."""
        found = self._written()
        if self._drops_dead:
            functions = {python: function_of(tree) for _, python, tree in found}
            main = self.plans.main.python if self.plans.main else ""
            DeadCodes(functions, self.names.readers(PLAIN_MODULES, EVALUATES, RC), main).drop()
            functions.clear()
        if self.plans.traced:
            yield from found
            return
        keeps = not self.names.calls_beside(PLAIN_MODULES)
        for key, python, tree in self._inlined(found):
            if keeps:
                keep_reads(function_of(tree))
            yield key, python, tree

    def _written(self) -> list[tuple[Key, str, ast.Module]]:
        found: list[tuple[Key, str, ast.Module]] = []
        for number, (key, routes) in enumerate(self.blocks.items()):
            name, bodies = self._python_name(number, key), [route.body for route in routes]
            for lines, python, block in self._write(name, bodies, routes[0], self._waits(key)):
                with self._deep(key):
                    found.append((key, python, tree_of(lines, routes[0].span.file, block.span.line)))
        return found

    def _inlined(self, found: list[tuple[Key, str, ast.Module]]) -> Iterator[tuple[Key, str, ast.Module]]:
        """Functions as they end up, one after the other: all trees at once take some MB."""
        for _, _, tree in found:
            join(function_of(tree))
        yield from (one for one in found if one[0][0] is not Routes.REQUEST)
        routes = {python: (key, tree) for key, python, tree in found if key[0] is Routes.REQUEST}
        found.clear()
        functions = {python: function_of(tree) for python, (_, tree) in routes.items()}
        files = {python: self.blocks[key][0].span.file for python, (key, _) in routes.items()}
        for python, _ in inline(
            functions, files, {python: _shown(key) for python, (key, _) in routes.items()}
        ):
            key, tree = routes.pop(python)
            yield key, python, tree

    @contextmanager
    def _deep(self, key: Key) -> Iterator[None]:
        """Python has limits of its own: 100 levels of indentation, 20 loops inside each other."""
        try:
            yield
        except (SyntaxError, RecursionError, MemoryError) as error:
            span = self.blocks[key][0].name_span
            raise ConfigError(f"{_shown(key)} is nested too deeply", span, code="KT1107") from error

    def _waits(self, key: Key) -> bool:
        return self.plans.traced or any(
            waits_in(route.body, self.scope, self.plans) for route in self.blocks[key]
        )

    def _write(
        self, name: str, bodies: list[Block], route: Route, waits: bool
    ) -> list[tuple[Lines, str, Block]]:
        """The functions of one block: those of `{ blocks }` used as values first, then its own."""
        lines = Lines()
        code = _Code(self.scope, self.names, self.plans, lines)
        code.instances = self.instances
        code.route_name, code.kind, code.file_name = route.name, route.kind, route.span.file
        code.ends_by_code = route.kind is Routes.REQUEST
        instances = self.instances
        code.custom_format = lambda text: compile_format(text, self.scope, instances)
        code.function(name, bodies, waits)
        found = [(lines, name, bodies[0])]
        for python, value, block_waits in code.blocks:
            found = self._write(python, [value.body], route, block_waits) + found
        return found


def _shown(key: Key) -> str:
    """A block as tracebacks call it."""
    kind, name = key
    if kind is Routes.REQUEST and name:
        return f"route[{name}]"
    return f"{ROUTE_NAMES[kind]}[{name}]" if name else ROUTE_NAMES[kind]


def _telling(observer: Any) -> Callable[[Any, ScriptError, str], int]:
    """`failed` that tells an observer as well, if it wants to know."""
    told: Callable[[Any, ScriptError], None] | None = getattr(observer, "failed", None)
    if told is None:
        return guards.failed

    def failed(ctx: Any, error: ScriptError, where: str) -> int:
        told(ctx, error)
        return guards.failed(ctx, error, where)

    return failed


def _reachable(graph: Mapping[Key, set[Key]], start: Key) -> set[Key]:
    found: set[Key] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(graph.get(key, ()))
    return found


# Formats and variables of modparams ----------------------------------------------------------------------


class BoundVariable:
    """A pseudo-variable ready to be read and written; kamtool.module.Variable."""

    __slots__ = ("_setter", "get", "text")

    def __init__(
        self, text: str, get: Callable[[Any], Value], setter: Callable[[Any, Value], None] | None
    ) -> None:
        self.text, self.get, self._setter = text, get, setter

    def set(self, ctx: Any, value: Value) -> None:
        """Assign. Raises ConfigError when the variable is read-only."""
        if self._setter is None:
            raise ConfigError(f"`{self.text}` cannot be assigned", code="KT1154")
        self._setter(ctx, value)


def code_for(scope: Scope, instances: Mapping[str, Module] | None) -> ValueCode:
    """Code generation on its own, outside of any route."""
    code = _Code(scope, Namespace(None if instances is None else dict(instances)), Plans(), Lines())
    code.instances = instances
    code.custom_format = lambda text: compile_format(text, scope, instances)
    return code


def compile_format(text: str, scope: Scope, instances: Mapping[str, Module] | None) -> Callable[[Any], str]:
    """A format string as a function of the context; without instances only a check. Raises ConfigError."""
    code = code_for(scope, instances)
    source = f"lambda ctx: {as_str(code.template(scope.template(text)))}"
    function: Callable[[Any], str] = eval(source, code.names.globals)
    return function


def compile_variable(text: str, scope: Scope, instances: Mapping[str, Module]) -> Variable:
    """A pseudo-variable's spelling as an object with `get` and `set`. Raises ConfigError."""
    reference = scope.variable(text)
    code = code_for(scope, instances)
    get = eval(f"lambda ctx: {raw(code.reference(reference))}", code.names.globals)
    return BoundVariable(text, get, _setter(reference, scope, code))


def compile_variables(
    texts: Sequence[str], scope: Scope, instances: Mapping[str, Module]
) -> Callable[[Any], tuple[Value, ...]]:
    """Pseudo-variables as one function that gives the values of all. Raises ConfigError."""
    code = code_for(scope, instances)
    values = "".join(f"{raw(code.reference(scope.variable(text)))}, " for text in texts)
    function: Callable[[Any], tuple[Value, ...]] = eval(f"lambda ctx: ({values})", code.names.globals)
    return function


def _setter(reference: Reference, scope: Scope, code: ValueCode) -> Callable[[Any, Value], None] | None:
    module, pv = scope.pvs[reference.name]
    if not pv.setter or reference.steps:
        return None
    arguments = code.place(pv, reference)
    source = f"lambda ctx, value: {code.names.setter(module, pv)}({', '.join([*arguments, 'value'])})"
    setter: Callable[[Any, Value], None] = eval(source, code.names.globals)
    return setter
