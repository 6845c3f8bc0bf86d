"""What an editor can tell about modules, functions, variables and parameters: the declarations, in words."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from kamtool.errors import ConfigError
from kamtool.module import ANY, Declaration, Function, Param, Pv, declaration, find
from kamtool.script.scope import Scope, route_names, signature
from kamtool.script.settings import ALIASES, NEGATED, PARAMETERS


@lru_cache(maxsize=64)
def scope_of(modules: tuple[str, ...]) -> Scope:
    """The core and those of the modules that exist."""
    scope = Scope.core()
    for name in modules:
        if name not in scope.modules:
            try:
                scope.load(name)
            except (ConfigError, ImportError):
                continue
    return scope


def declared(module: str) -> Declaration | None:
    """What a module says of itself, None when there is none."""
    try:
        return declaration(find(module))
    except (ConfigError, ImportError):
        return None


def about_function(module: str, function: Function) -> str:
    where = "any route" if function.routes == ANY else route_names(function.routes)
    return f"```kamailio\n{signature(function)}\n```\n{_from(module)} · in {where}\n\n{function.doc}"


def about_variable(module: str, pv: Pv) -> str:
    inner = "(…)" if pv.inner_required else "" if not pv.takes else "[(…)]"
    access = "may be assigned" if pv.setter else "read only"
    return f"```kamailio\n${pv.name}{inner}\n```\n{_from(module)} · {access}\n\n{pv.doc}"


def about_transformation(scope: Scope, name: str) -> str:
    found = scope.transformations.get(name)
    if found is None:
        return ""
    module, step = found
    count = str(step.minimum) if step.minimum == step.maximum else f"{step.minimum} to {step.maximum}"
    taken = f"takes {count} parameters" if step.maximum else "takes no parameters"
    return f"```kamailio\n{{{name}}}\n```\n{_from(module)} · {taken}\n\n{step.doc}"


def about_parameter(module: str, param: Param[object]) -> str:
    facts = ["a string" if param.kind is str else "a number"]
    if param.repeat:
        facts.append("may be set many times")
    elif param.default is not None:
        facts.append(f"default `{param.default!r}`".replace("'", '"'))
    known = declared(module)
    if known is not None and param.name in known.live:
        facts.append("changes with a reload")
    head = f'```kamailio\nmodparam("{module}", "{param.name}", …)\n```\n'
    return f"{head}{', '.join(facts)}\n\n{param.doc}"


def about_module(module: str) -> str:
    known = declared(module)
    return "" if known is None else f"**{module}**\n\n{known.doc}"


def about_setting(name: str) -> str:
    """A global parameter of the core."""
    main = NEGATED.get(name) or ALIASES.get(name, name)
    found = PARAMETERS.get(main)
    if found is None:
        return ""
    also = (
        ""
        if main == name
        else f"the same as `{main}`, "
        if name not in NEGATED
        else f"the opposite of `{main}`, "
    )
    default = f", default `{found.default}`" if found.default != "" else ""
    head = f"```kamailio\n{name} = …\n```\nglobal parameter, "
    return f"{head}{also}{found.takes.value}{default}\n\n{found.honour.value}"


def _from(module: str) -> str:
    return "core" if module == "core" else f"module {module}"


def function_named(scope: Scope, name: str) -> tuple[str, Function] | None:
    found = scope.functions.get(name)
    return found[-1] if found else None


def first_line(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def modules_of(loads: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(loads))
