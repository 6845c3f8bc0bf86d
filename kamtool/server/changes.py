"""What another cfg would change in a running server, and which of it cannot change while it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kamtool.errors import NOWHERE, ConfigError, Span
from kamtool.module import Module, declaration
from kamtool.script.nodes import Setting
from kamtool.script.program import Script
from kamtool.script.settings import ALIASES, NEGATED, PARAMETERS, Honour

LIVE_SETTINGS = frozenset(
    """
    debug log_prefix log_prefix_mode max_while_loops max_recursive_level server_header server_signature
    server_id mpath cfgengine
    """.split()  # noqa: SIM905
)
"""Global parameters that are read when they are used, or that the code of the routes holds."""
RESTART = "restart the server for this"

Params = dict[tuple[str, str], list[tuple[Any, Span]]]


@dataclass(slots=True)
class Changes:
    """What would change at once, in words and by module; and what stands against it."""

    said: list[str]
    params: dict[str, dict[str, Any]]
    """New values of live parameters by module; a parameter that is not set any more has its default."""
    refused: list[ConfigError]


def compare(old: Script, new: Script, modules: Mapping[str, Module]) -> Changes:
    """Everything in which two cfgs differ outside of their routes."""
    changes = Changes([], {}, [])
    changes.refused += _loads(old, new)
    _params(old, new, modules, changes)
    _settings(old, new, changes)
    if _plain(old.settings.listens) != _plain(new.settings.listens):
        entries = [*new.settings.listens, *old.settings.listens]
        changes.refused.append(
            _refusal("`listen` lines cannot change while the server runs", entries[0].span)
        )
    if _plain(old.settings.aliases) != _plain(new.settings.aliases):
        changes.said.append("aliases")
    if _custom(old) != _custom(new):
        changes.said.append("custom parameters")
    return changes


def _refusal(message: str, span: Span) -> ConfigError:
    return ConfigError(message, span, hint=RESTART, code="KT1210")


def _loads(old: Script, new: Script) -> Iterator[ConfigError]:
    before = {load.name: load for load in old.loads}
    after = {load.name: load for load in new.loads}
    for name, load in after.items():
        if name not in before:
            yield _refusal(f"module `{name}` cannot be loaded while the server runs", load.span)
    for name in before:
        if name not in after:
            yield _refusal(f"module `{name}` is not loaded any more, and cannot be unloaded", _first(new))


def _first(script: Script) -> Span:
    return Span(script.name, 1, 1, 1, 1) if script.items else NOWHERE


def _plain(entries: Sequence[Any]) -> list[Any]:
    return [entry.but(span=NOWHERE) for entry in entries]


def _custom(script: Script) -> Any:
    return script.settings.custom


# Module parameters -----------------------------------------------------------------------------------------


def _of(script: Script, modules: Mapping[str, Module]) -> Params:
    """What a cfg sets, by module and parameter, in its order."""
    found: Params = {}
    for param in script.modparams:
        for name, module in modules.items():
            if re.fullmatch(param.modules, name) and param.name in declaration(type(module)).params:
                found.setdefault((name, param.name), []).append((param.value, param.span))
    return found


def _params(old: Script, new: Script, modules: Mapping[str, Module], changes: Changes) -> None:
    before, after = _of(old, modules), _of(new, modules)
    for key in dict.fromkeys([*after, *before]):
        module, name = key
        declared = declaration(type(modules[module])).params[name]
        one, other = (_value(declared, each.get(key, [])) for each in (before, after))
        if one == other:
            continue
        if name in modules[module].live:
            changes.params.setdefault(module, {})[name] = other
            changes.said.append(f"{module}.{name}: {one!r} -> {other!r}")
        else:
            span = after[key][-1][1] if key in after else _first(new)
            changes.refused.append(
                _refusal(
                    f"the parameter `{name}` of module `{module}` cannot change while the server runs", span
                )
            )


def _value(declared: Any, given: Sequence[tuple[Any, Span]]) -> Any:
    values = [value for value, _ in given]
    if declared.repeat:
        return values
    return values[-1] if values else declared.default


# Global parameters -----------------------------------------------------------------------------------------


def _settings(old: Script, new: Script, changes: Changes) -> None:
    places = {_name(item.name): item.name_span for item in new.items if isinstance(item, Setting)}
    for name in sorted({*old.settings.values, *new.settings.values}):
        one, other = old.settings[name], new.settings[name]
        honour = PARAMETERS[name].honour if name in PARAMETERS else Honour.FULL
        if one == other or honour in (Honour.NONE, Honour.OLD):
            continue
        if name in LIVE_SETTINGS:
            changes.said.append(f"{name}: {one!r} -> {other!r}")
        else:
            message = f"the global parameter `{name}` cannot change while the server runs"
            changes.refused.append(_refusal(message, places.get(name, _first(new))))


def _name(name: str) -> str:
    return NEGATED.get(name) or ALIASES.get(name, name)
