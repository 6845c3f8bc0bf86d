"""The decorators with which a module names what it gives to a cfg and to the control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kamtool.module.declared import Constants
from kamtool.module.routes import ANY, Routes

F = TypeVar("F", bound=Callable[..., Any])


def _mark(method: F, export: str, /, **facts: Any) -> F:
    marks = method.__dict__.setdefault("__kamtool__", [])
    marks.append((export, facts))
    return method


def function(
    *names: str,
    routes: Routes = ANY,
    arities: Sequence[int] | None = None,
    inline: Constants | None = None,
    guard: Constants | None = None,
    quick: Constants | None = None,
    narrower: Mapping[int, Routes] | None = None,
    at_once: str = "",
) -> Callable[[F], F]:
    """Export a method to the cfg under `names` (further names are aliases).

    `arities` lists the argument counts when not all between required and possible are allowed:
    `t_relay()` and `t_relay(host, port)`, never one. For the others see `Function`.
    """
    allowed = None if arities is None else frozenset(arities)
    fewer = tuple((narrower or {}).items())
    return lambda method: _mark(
        method, "function",
        names=names, routes=routes, arities=allowed, inline=inline, guard=guard, narrower=fewer,
        at_once=at_once, quick=quick,
    )  # fmt: skip


def pv(
    *names: str,
    setter: str = "",
    kind: type | None = None,
    inner_required: bool = False,
    inline: str = "",
    form: str = "",
    bound: str = "",
) -> Callable[[F], F]:
    """Export a method as the pseudo-variable `$name`; `setter` names the method that assigns it."""
    facts = {"setter": setter, "kind": kind, "inner_required": inner_required, "inline": inline, "form": form}
    return lambda method: _mark(method, "pv", names=names, bound=bound, **facts)


def transformation(*names: str) -> Callable[[F], F]:
    """Export a method `(self, value, *arguments)` as a transformation, e.g. `re.subst`."""
    return lambda method: _mark(method, "transformation", names=names)


def rpc(*names: str, workers: str = "one") -> Callable[[F], F]:
    """Export a method (plain or async) to the control plane. It returns JSON-able data or raises RpcError.

    `workers` says where it runs when the server has several: `one`, the worker that was asked, for what all
    of them know alike; `all`, for what changes each; `any`, until one does not refuse it; `sum`, numbers of
    all added up; `join`, lists of all behind each other.
    """
    return lambda method: _mark(method, "rpc", names=names, workers=workers)
