"""The methods of the control plane: a table of names, and calls with their arguments brought into shape."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kamtool.errors import KamtoolError, RpcError

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
PARSE_ERROR = -32700


@dataclass(slots=True)
class Method:
    """One RPC: what to call, what it says of itself, and the types its parameters want."""

    name: str
    callable: Callable[..., Any]
    doc: str
    parameters: tuple[inspect.Parameter, ...] = ()
    wants: dict[str, type | None] = field(default_factory=dict)
    """int or str by parameter; None takes any value as it came."""
    workers: str = "one"
    """Where it runs when the server has several workers: see kamtool.module.rpc."""

    @property
    def usage(self) -> str:
        """The call in one line, as `ul.add TABLE AOR CONTACT [EXPIRES]`."""
        return " ".join((self.name, *map(_shown, self.parameters)))


def _shown(parameter: inspect.Parameter) -> str:
    word = parameter.name.upper()
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"[{word} …]"
    return word if parameter.default is parameter.empty else f"[{word}]"


class RpcTable:
    """Every method that the control plane offers, by name."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}
        self.spread: Callable[[Method, list[Any]], Awaitable[Any]] | None = None
        """Calls a method that concerns all workers, where there are several."""

    def register(self, name: str, method: Callable[..., Any], doc: str = "", workers: str = "one") -> None:
        """Offer `method` (plain or async) as `name`; one that is there already gives way."""
        self._methods[name] = Method(name, method, doc or inspect.getdoc(method) or "", workers=workers)

    def names(self) -> list[str]:
        """The names of all methods, sorted."""
        return sorted(self._methods)

    def find(self, name: str) -> Method:
        """The method `name`, its signature read. Raises RpcError when there is none."""
        try:
            method = self._methods[name]
        except KeyError:
            raise RpcError(METHOD_NOT_FOUND, f"no method {name!r}{self._near(name)}") from None
        if not method.wants:
            _read_signature(method)
        return method

    def _near(self, name: str) -> str:
        import difflib

        near = difflib.get_close_matches(name, self._methods, 1)
        return f"; did you mean {near[0]!r}?" if near else ""

    async def call(self, name: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Call a method and return its data. Raises RpcError: unknown, wrong arguments, or refused."""
        method = self.find(name)
        given = list(params.values()) if isinstance(params, Mapping) else list(params)
        if isinstance(params, Mapping):
            given = _by_name(method, params)
        arguments = _shape(method, given)
        if self.spread is not None and method.workers != "one":
            return await self.spread(method, arguments)
        return await self.run(method, arguments)

    async def run(self, method: Method, arguments: Sequence[Any]) -> Any:
        """Call a method here, with arguments in shape. Raises RpcError."""
        try:
            result = method.callable(*arguments)
            return await result if inspect.isawaitable(result) else result
        except RpcError:
            raise
        except KamtoolError as error:
            raise RpcError(500, str(error)) from error


def _read_signature(method: Method) -> None:
    method.parameters = tuple(inspect.signature(method.callable).parameters.values())
    target = inspect.unwrap(method.callable)
    function: Any = getattr(target, "__func__", target)
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # a name only imported for the type checker: read what the text says
        hints = dict(getattr(function, "__annotations__", {}))
    method.wants = {parameter.name: _wanted(hints.get(parameter.name)) for parameter in method.parameters}
    method.wants.setdefault("", None)


def _wanted(hint: Any) -> type | None:
    kinds = {part for part in typing.get_args(hint) if part is not type(None)} or {hint}
    if kinds <= {int, "int", "int | None"}:
        return int
    return str if kinds <= {str, "str", "str | None"} else None


def _by_name(method: Method, params: Mapping[str, Any]) -> list[Any]:
    """Named params in the order of the signature; where the names are invented, their order decides."""
    names = [parameter.name for parameter in method.parameters]
    if not all(name in names for name in params):
        return list(params.values())
    ordered: list[Any] = []
    for parameter in method.parameters[: 1 + max((names.index(name) for name in params), default=-1)]:
        value = params.get(parameter.name, parameter.default)
        if value is parameter.empty:
            raise RpcError(INVALID_PARAMS, f"{parameter.name} is missing; usage: {method.usage}")
        ordered.append(value)
    return ordered


def _shape(method: Method, given: Sequence[Any]) -> list[Any]:
    """The arguments as the signature wants them: `5` for a str becomes "5", "5" for an int becomes 5."""
    positional = [p for p in method.parameters if p.kind is not p.VAR_POSITIONAL]
    rest = next((p for p in method.parameters if p.kind is p.VAR_POSITIONAL), None)
    required = sum(p.default is p.empty for p in positional)
    if len(given) < required:
        raise RpcError(INVALID_PARAMS, f"{positional[len(given)].name} is missing; usage: {method.usage}")
    if rest is None and len(given) > len(positional):
        raise RpcError(INVALID_PARAMS, f"{len(given)} arguments are too many; usage: {method.usage}")
    shaped = []
    for place, value in enumerate(given):
        parameter = positional[place] if place < len(positional) else rest
        assert parameter is not None
        shaped.append(_convert(method, parameter.name, value))
    return shaped


def _convert(method: Method, name: str, value: Any) -> Any:
    wanted = method.wants.get(name)
    if wanted is None or value is None or (isinstance(value, wanted) and not isinstance(value, bool)):
        return value
    if isinstance(value, dict | list):
        raise RpcError(
            INVALID_PARAMS, f"{name} must be {'a number' if wanted is int else 'text'}; usage: {method.usage}"
        )
    if wanted is str:
        return str(value)
    try:
        return int(value)
    except (ValueError, OverflowError):
        raise RpcError(
            INVALID_PARAMS, f"{name} must be a number, not {value!r}; usage: {method.usage}"
        ) from None
