"""What a cfg can call at a place: the core and every module loaded above it."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from functools import cache

from kamtool.errors import ConfigError
from kamtool.module import (
    Declaration,
    Function,
    Kind,
    Module,
    Pv,
    Routes,
    Transformation,
    available,
    declaration,
    find,
)
from kamtool.script.likely import likely
from kamtool.script.variables import Reference, Template, parse_template, parse_variable

ROUTE_NAMES = {
    Routes.REQUEST: "request_route",
    Routes.FAILURE: "failure_route",
    Routes.BRANCH: "branch_route",
    Routes.ONREPLY: "onreply_route",
    Routes.REPLY: "reply_route",
    Routes.ONSEND: "onsend_route",
    Routes.EVENT: "event_route",
}


@dataclass(slots=True)
class Scope:
    """Functions, pseudo-variables and transformations by name, with the modules they come from."""

    modules: dict[str, type[Module]] = field(default_factory=dict)
    functions: dict[str, list[tuple[str, Function]]] = field(default_factory=dict)
    pvs: dict[str, tuple[str, Pv]] = field(default_factory=dict)
    transformations: dict[str, tuple[str, Transformation]] = field(default_factory=dict)
    _hints: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """Hints that were looked for already, until the next module is loaded: a wrong name comes often."""

    @classmethod
    def core(cls) -> Scope:
        """What every cfg has without loadmodule."""
        scope = cls()
        scope.load("core")
        return scope

    def load(self, name: str) -> Declaration:
        """Bring a module into scope. Raises ConfigError (KT1200) when there is none of that name."""
        module = find(name)
        found = declaration(module)
        self.modules[name] = module
        self._hints.clear()
        for function in found.functions.values():
            self.functions.setdefault(function.name, []).append((name, function))
        for pv in found.pvs.values():
            self.pvs[pv.name] = (name, pv)
        for transformation in found.transformations.values():
            self.transformations[transformation.name] = (name, transformation)
        return found

    def function(self, name: str, count: int) -> tuple[str, Function] | None:
        """The function of that name that takes so many arguments; the last module loaded wins."""
        for found in reversed(self.functions.get(name, ())):
            if found[1].accepts(count):
                return found
        return None

    def limit(self, name: str) -> int:
        """The most arguments of a transformation, 99 for one that is not known."""
        found = self.transformations.get(name)
        return found[1].maximum if found else 99

    def variable(self, text: str) -> Reference:
        """A pseudo-variable of this scope. Raises ConfigError."""
        reference = parse_variable(text, self.limit)
        self.verify(reference)
        return reference

    def template(self, text: str) -> Template:
        """A format whose variables are of this scope. Raises ConfigError."""
        template = parse_template(text, self.limit)
        self._verify_all(template)
        return template

    def _verify_all(self, template: Template) -> None:
        for part in template:
            if isinstance(part, Reference):
                self.verify(part)

    def verify(self, reference: Reference) -> None:
        """See that a variable and all inside it exist. Raises ConfigError with a hint."""
        found = self.pvs.get(reference.name)
        if found is None:
            raise self.unknown_pv(reference)
        pv = found[1]
        if pv.inner_required and reference.inner is None:
            raise ConfigError(f"`${pv.name}` needs a name in parentheses: `${pv.name}(…)`", code="KT1131")
        if pv.takes == 0 and reference.inner is not None:
            raise ConfigError(f"`${pv.name}` takes nothing in parentheses", code="KT1131")
        if pv.form and not re.fullmatch(pv.form, reference.inner_text, re.DOTALL):
            raise ConfigError(
                f"`{reference.inner_text}` is nothing that `${pv.name}(…)` knows",
                code="KT1321",
                hint=pv.doc.partition("\n")[0],
            )
        if reference.inner and pv.inner_kind is not Kind.PLAIN:
            self._verify_all(reference.inner)
        if isinstance(reference.index, Reference):
            self.verify(reference.index)
        for step in reference.steps:
            self._verify_step(step.name, len(step.arguments))
            for argument in step.arguments:
                if isinstance(argument, Reference):
                    self.verify(argument)

    def _verify_step(self, name: str, count: int) -> None:
        found = self.transformations.get(name)
        if found is None:
            raise ConfigError(
                f"there is no transformation `{{{name}}}`",
                code="KT1132",
                hint=self._hint(name, list(self.transformations), "transformations", "{%s}"),
            )
        if not found[1].minimum <= count <= found[1].maximum:
            raise ConfigError(f"`{{{name}}}` does not take {count} parameters", code="KT1132")

    # Hints --------------------------------------------------------------------------------------------

    def unknown_pv(self, reference: Reference) -> ConfigError:
        """The error for a name that is no pseudo-variable here."""
        name = reference.name
        hint = self._hint(name, list(self.pvs), "pvs", "$%s")
        for length in range(len(name) - 1, 0, -1):
            if name[:length] in self.pvs and (name[length] == "." or length > 1):
                rest = name[length:]
                hint = f"`${name[:length]}` is one: write `$({name[:length]}){rest}` to put text behind it"
                break
        return ConfigError(f"there is no pseudo-variable `${name}`", code="KT1130", hint=hint)

    def unknown_function(self, name: str, count: int) -> tuple[str, str]:
        """Message and hint for a call that fits no function here."""
        near = self.functions.get(name)
        if near:
            module, function = near[-1]
            return (
                f"`{name}` does not take {count} argument{'' if count == 1 else 's'}",
                f"module {module} has `{signature(function)}`",
            )
        return f"no function `{name}`", self._function_hint(name, count)

    def _function_hint(self, name: str, count: int) -> str:
        """Where a function of that name is, else one of nearly that name, best one that takes `count`."""
        key = ("functions", name, count)
        if key not in self._hints:
            self._hints[key] = self._find_function(name, count)
        return self._hints[key]

    def _find_function(self, name: str, count: int) -> str:
        if (module := _module_with(name, "functions", self.modules)) is not None:
            return f'`{name}` comes with loadmodule "{module}.so"'
        near = [self.functions[found][-1] for found in likely(name, list(self.functions), 3, 0.7)]
        for module, function in [pair for pair in near if pair[1].accepts(count)] or near:
            return f"module {module} has `{signature(function)}`"
        return self._elsewhere(name, "functions", "%s")

    def _hint(self, name: str, here: list[str], kind: str, shape: str) -> str:
        """The same for pseudo-variables and transformations."""
        key = (kind, name, 0)
        if key not in self._hints:
            self._hints[key] = self._find(name, here, kind, shape)
        return self._hints[key]

    def _find(self, name: str, here: list[str], kind: str, shape: str) -> str:
        if (module := _module_with(name, kind, self.modules)) is not None:
            return f'`{shape % name}` comes with loadmodule "{module}.so"'
        near = likely(name, here, 1, 0.7)
        return f"did you mean `{shape % near[0]}`?" if near else self._elsewhere(name, kind, shape)

    @staticmethod
    def _elsewhere(name: str, kind: str, shape: str) -> str:
        """A near name in a module that is not loaded."""
        everywhere = {export: module for module in _available() for export in _exports(module, kind)}
        near = likely(name, list(everywhere), 1, 0.75)
        return f'`{shape % near[0]}` comes with loadmodule "{everywhere[near[0]]}.so"' if near else ""


def _module_with(name: str, kind: str, loaded: Container[str]) -> str | None:
    """A module that is not loaded and has it."""
    found = (module for module in _available() if module not in loaded and name in _exports(module, kind))
    return next(found, None)


@cache
def _available() -> list[str]:
    return available()


@cache
def _exports(module: str, kind: str) -> list[str]:
    try:
        return list(getattr(declaration(find(module)), kind))
    except (ConfigError, ImportError):
        return []  # a module whose own dependencies are missing helps nobody


def signature(function: Function) -> str:
    """A function as its manual shows it: `sht_rm(table, key)`, optional parameters in brackets."""
    parts = [f"[{p.name}]" if p.optional else p.name for p in function.parameters]
    if function.rest is not None:
        parts.append("…")
    return f"{function.name}({', '.join(parts)})"


def route_names(routes: Routes) -> str:
    """The kinds of route in words."""
    return ", ".join(name for kind, name in ROUTE_NAMES.items() if kind in routes)
