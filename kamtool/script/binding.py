"""The names that generated code uses: bound methods, modules, patterns, each made once a program."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from kamtool.errors import ScriptError
from kamtool.module import Function, Module, Pv, Transformation
from kamtool.script import guards, values
from kamtool.script.context import Exit
from kamtool.script.inlined_frames import inside
from kamtool.script.regex import compile_ere

HELPERS: dict[str, Any] = {
    "Exit": Exit,
    "ScriptError": ScriptError,
    "to_int": values.to_int,
    "to_str": values.to_str,
    "add": values.add,
    "add_ints": values.add_ints,
    "subtract": values.subtract,
    "multiply": values.multiply,
    "div": values.div,
    "mod": values.mod,
    "negate": values.negate,
    "wrap": values.wrap,
    "equal": values.equal,
    "unequal": values.unequal,
    "length": values.length,
    "shift_left": values.shift_left,
    "shift_right": values.shift_right,
    "matches": values.matches,
    "show": values.show,
    "select_value": values.select_value,
    "failed": guards.failed,
    "loop_ended": guards.loop_ended,
    "too_deep": guards.too_deep,
    "no_route": guards.no_route,
    "integer": guards.integer,
    "is_myself_uri": guards.is_myself_uri,
    "request_is_for_myself": guards.request_is_for_myself,
    "is_myself_address": guards.is_myself_address,
    "request_uri": guards.request_uri,
    "sent": guards.sent,
    "substituted": guards.substituted,
    "address_equal": guards.address_equal,
    "inside": inside,
}


_CHECKED = frozenset(["re", "sub", "net"])
"""Objects that are made even when nothing will run: making them finds what is wrong with them."""


class Namespace:
    """The globals of compiled routes. `instances` may be None: then names are made but stand for nothing."""

    def __init__(self, instances: dict[str, Module] | None) -> None:
        self.instances = instances
        self.globals: dict[str, Any] = dict(HELPERS)
        self._made: dict[Any, str] = {}
        self._makers: dict[str, Callable[[], Any]] = {}

    def again(self) -> dict[str, Any]:
        """The globals made anew, of the `instances` as they are now."""
        return {**HELPERS, **{name: make() for name, make in self._makers.items()}}

    def method(self, prefix: str, module: str, attribute: str) -> str:
        """The name of a module's bound method, e.g. `f_t_relay`."""
        key = (prefix, module, attribute)
        name = self._made.get(key)
        if name is None:
            name = self._free(f"{prefix}_{attribute}")
            self._made[key] = name
            self._makers[name] = lambda: getattr(self._instance(module), attribute)
            self.globals[name] = self._makers[name]() if self.instances is not None else None
        return name

    def function(self, module: str, function: Function) -> str:
        return self.method("f", module, function.attribute)

    def getter(self, module: str, pv: Pv) -> str:
        return self.method("pv", module, pv.attribute)

    def bound(self, module: str, pv: Pv, text: str) -> str:
        """The name of what a variable's `bound` gives for a text, e.g. `sht_ban`."""
        made = lambda: getattr(self._instance(module), pv.bound)(text)  # noqa: E731
        return self.object(pv.name, ("bound", module, pv.name, text), made, text)

    def setter(self, module: str, pv: Pv) -> str:
        return self.method("pv", module, pv.setter)

    def transformation(self, module: str, transformation: Transformation) -> str:
        return self.method("tr", module, transformation.attribute)

    def module(self, name: str) -> str:
        """The name of a module's instance, for a variable's inline expression."""
        return self.object("module", ("module", name), lambda: self._instance(name), name)

    def pattern(self, text: str, flags: int) -> str:
        """The name of a compiled expression's test, `re_1(text)`."""
        return self.object("re", ("re", text, flags), lambda: compile_ere(text, flags).test)  # type: ignore[attr-defined]

    def object(self, prefix: str, key: Any, make: Callable[[], Any], wish: str = "") -> str:
        """The name of an object, made once for each key."""
        name = self._made.get(key)
        if name is None:
            name = self._free(f"{prefix}_{wish}" if wish else f"{prefix}_{len(self._made) + 1}")
            self._made[key], self._makers[name] = name, make
            self.globals[name] = make() if self.instances is not None or prefix in _CHECKED else None
        return name

    def calls_beside(self, plain: Collection[str]) -> bool:
        """Whether a function of a module that is not `plain` is called."""
        return any(key[0] == "f" and key[1] not in plain for key in self._made if isinstance(key, tuple))

    def readers(self, plain: Collection[str], except_for: Collection[str], text: re.Pattern[str]) -> set[str]:
        """The names of what may read a variable that `text` finds: all of modules that are not `plain`."""
        found = set()
        for key, name in self._made.items():
            match key:
                case ("f" | "pv", module, attribute):
                    reads = module not in plain or attribute in except_for
                case ("module", module) | ("bound", module, *_):
                    reads = module not in plain
                case ("var" | "sub", str(spelling)):
                    reads = text.search(spelling) is not None
                case _:
                    reads = False
            if reads:
                found.add(name)
        return found

    def _instance(self, name: str) -> Module | None:
        return None if self.instances is None else self.instances[name]

    def _free(self, wish: str) -> str:
        name = base = re.sub(r"\W", "_", wish)
        number = 2
        while name in self.globals:
            name = f"{base}_{number}"
            number += 1
        return name
