"""The declarations of a module, read from its class alone."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from kamtool.module.declared import Declaration, Function, Parameter, Pv, Rpc, Transformation
from kamtool.module.kinds import Kind, Plain, Substitution, Value, Variable
from kamtool.module.param import Param

if TYPE_CHECKING:
    from kamtool.module.base import Module


_KIND_BY_TYPE: dict[Any, Kind] = {
    str: Kind.FORMAT,
    int: Kind.INTEGER,
    Value: Kind.VALUE,
    Variable: Kind.VARIABLE,
    Substitution: Kind.SUBSTITUTION,
}


def _parameter_kind(annotation: Any, owner: str) -> Kind:
    if typing.get_origin(annotation) is Annotated:
        for extra in typing.get_args(annotation)[1:]:
            if isinstance(extra, Kind):
                return extra
    if annotation in _KIND_BY_TYPE:
        return _KIND_BY_TYPE[annotation]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return _parameter_kind(rest[0], owner)
    raise TypeError(f"{owner}: no script parameter can be a {annotation!r}")


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    # typing.get_type_hints would do, at ten times the cost, which every start of a command would pay.
    return {
        name: _hint(annotation, method.__module__) if isinstance(annotation, str) else annotation
        for name, annotation in method.__annotations__.items()
    }


@cache
def _hint(annotation: str, place: str) -> Any:
    try:
        return eval(annotation, vars(sys.modules[place]))
    except NameError:  # imported under TYPE_CHECKING, as Context is
        return object


def _parameters(method: Callable[..., Any]) -> list[tuple[str, bool, bool]]:
    """Of what follows `self` and the first: name, whether it may be left out, whether it takes the rest."""
    code = getattr(method, "__code__", None)
    if code is None:  # compiled
        return [
            (p.name, p.default is not p.empty, p.kind is p.VAR_POSITIONAL)
            for p in list(inspect.signature(method).parameters.values())[2:]
        ]
    count = code.co_argcount
    required = count - len(method.__defaults__ or ())
    found = [(name, place >= required, False) for place, name in enumerate(code.co_varnames[:count])]
    if code.co_flags & inspect.CO_VARARGS:
        found.append((code.co_varnames[count + code.co_kwonlyargcount], False, True))
    return found[2:]


def _function(name: str, attribute: str, method: Callable[..., Any], facts: dict[str, Any]) -> Function:
    hints = _hints(method)
    parameters, rest = [], None
    for parameter, optional, is_rest in _parameters(method):
        kind = _parameter_kind(hints[parameter], f"{name}({parameter})")
        if is_rest:
            rest = kind
        else:
            parameters.append(Parameter(parameter, kind, optional))
    return Function(
        name, attribute, facts["routes"], tuple(parameters), rest, facts["arities"],
        inspect.iscoroutinefunction(method), hints.get("return") is bool, inspect.getdoc(method) or "",
        facts["inline"], facts["guard"], facts["narrower"],
        facts["at_once"], facts["quick"],
    )  # fmt: skip


def _pv(name: str, attribute: str, method: Callable[..., Any], facts: dict[str, Any]) -> Pv:
    takes = _parameters(method)
    has_inner = bool(takes) and takes[0][0] != "index"
    kinds = {"Plain": Kind.PLAIN, "Variable": Kind.VARIABLE, Plain: Kind.PLAIN, Variable: Kind.VARIABLE}
    return Pv(
        name, attribute, facts["setter"], len(takes), facts["inner_required"], facts["kind"],
        facts["inline"], inspect.getdoc(method) or "",
        kinds.get(method.__annotations__.get(takes[0][0])) if has_inner else None, has_inner, facts["form"],
        facts["bound"],
    )  # fmt: skip


def _transformation(name: str, attribute: str, method: Callable[..., Any]) -> Transformation:
    parameters = _parameters(method)
    least = sum(not optional and not is_rest for _, optional, is_rest in parameters)
    most = 99 if any(is_rest for _, _, is_rest in parameters) else len(parameters)
    return Transformation(name, attribute, least, most, inspect.getdoc(method) or "")


def declaration(cls: type[Module]) -> Declaration:
    """Read what a module class declares, its base classes included."""
    return _declaration(cls)  # type: ignore[arg-type]  # mypy takes the class's __hash__ for its instances'


@cache
def _declaration(cls: type[Module]) -> Declaration:
    name = cls.name or cls.__module__.rpartition(".")[2]
    result = Declaration(name, inspect.getdoc(cls) or "", cls.events, cls.live)
    members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
    for attribute, member in sorted(members.items()):
        if isinstance(member, Param):
            result.params[attribute] = member
        for kind, facts in getattr(member, "__kamtool__", ()):
            for exported in facts["names"]:
                if kind == "function":
                    result.functions[exported] = _function(exported, attribute, member, facts)
                elif kind == "pv":
                    result.pvs[exported] = _pv(exported, attribute, member, facts)
                elif kind == "transformation":
                    result.transformations[exported] = _transformation(exported, attribute, member)
                else:
                    parameters = tuple(inspect.signature(member).parameters.values())[1:]
                    doc = inspect.getdoc(member) or ""
                    result.rpcs[exported] = Rpc(exported, attribute, parameters, doc, facts["workers"])
    return result
