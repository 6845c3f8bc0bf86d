"""How a module declares itself: parameters, functions, pseudo-variables, transformations, RPC and events.

Everything that is known about a module (man page, completion, RPC help, the checker's arity and route kinds)
is a view of these declarations, so they need no running server: `declaration(cls)` reads the class alone.

    class HTable(Module):
        \"\"\"Hash tables shared by all routes, with expiry and optional persistence.\"\"\"
        timer_interval = Param(20, "seconds between scans for expired items")

        @function("sht_rm", routes=ANY)
        def sht_rm(self, ctx: Context, table: str, key: str) -> int: ...

The annotation of a function's parameter decides what the cfg may write there and what the method receives:

    str           a format: pseudo-variables in it are expanded at each call
    int           a number, a numeric string, or a pseudo-variable that holds one
    Value         any expression, its type kept
    Plain         the text as written, never expanded
    Phrase        the text as written, unless it is one pseudo-variable and nothing else
    Regex         a POSIX extended regular expression, compiled at load
    Substitution  `/regex/replacement/flags`, compiled at load; variables in the replacement are expanded
    Variable      a pseudo-variable to read and write
    FlagName      the number or declared name of a flag
    RouteName     the name of a route; the checker looks it up
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from enum import Enum, Flag, auto
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar, cast, overload

from kamtool.errors import ConfigError
from kamtool.record import Record
from kamtool.sip.flow import Socket

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Value = int | str | None
"""What a pseudo-variable or expression yields: a signed 32-bit int, a str, or None for undefined."""

Index = int | str | None
"""The index of `$(name[index])`: a number, negative from the end, `"*"` for all, None when absent."""


class Routes(Flag):
    """The kinds of route; a function names those it may be called from."""

    REQUEST = auto()
    FAILURE = auto()
    BRANCH = auto()
    ONREPLY = auto()  # onreply_route[X], armed by t_on_reply
    REPLY = auto()  # reply_route, before any transaction
    ONSEND = auto()
    EVENT = auto()


REQUEST_ROUTE = Routes.REQUEST
FAILURE_ROUTE = Routes.FAILURE
BRANCH_ROUTE = Routes.BRANCH
ONREPLY_ROUTE = Routes.ONREPLY | Routes.REPLY
ONSEND_ROUTE = Routes.ONSEND
EVENT_ROUTE = Routes.EVENT
ANY = ~Routes(0)


class Kind(Enum):
    """What a parameter of a script function accepts. See the module's docstring."""

    FORMAT = "format"
    INTEGER = "integer"
    VALUE = "value"
    PLAIN = "plain"
    PHRASE = "phrase"
    REGEX = "regex"
    SUBSTITUTION = "substitution"
    VARIABLE = "variable"
    FLAG = "flag"
    ROUTE = "route"


class Variable(Protocol):
    """A pseudo-variable with its name, index and transformations resolved, ready to be read and written."""

    text: str

    def get(self, ctx: Any) -> Value: ...
    def set(self, ctx: Any, value: Value) -> None: ...


class Substitution(Protocol):
    """A compiled `/regex/replacement/flags`."""

    def apply(self, ctx: Any, text: str) -> str | None:
        """The text with its matches replaced, or None when nothing matched."""

    def edits(self, ctx: Any, text: str) -> Sequence[tuple[int, int, str]]:
        """The span of each match and what takes its place."""


Plain = Annotated[str, Kind.PLAIN]
Phrase = Annotated[str, Kind.PHRASE]
Regex = Annotated[re.Pattern[str], Kind.REGEX]
FlagName = Annotated[int, Kind.FLAG]
RouteName = Annotated[str, Kind.ROUTE]


class Host(Protocol):
    """What every module may ask of the server that runs it; `kamtool.server.server.Server` is one."""

    modules: dict[str, Module]
    own_uris: dict[str, bool]
    """Of some URIs, by their text, whether they mean us; emptied when that may have changed."""

    @property
    def stats(self) -> dict[str, int]:
        """Counters by `group:name`, e.g. `core:rcv_requests`."""

    def now(self) -> float:
        """Seconds on the loop's clock."""

    def every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call `callback` every so many seconds until the server stops."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` in the server's task group; what it raises is logged."""

    def is_myself(self, host: str, port: int | None = None, transport: str = "") -> bool:
        """Whether a URI with this host (IPv6 bracketed or not), port (0: any) and transport means us."""

    def socket(self, transport: str, address: tuple[str, int]) -> Socket | None:
        """The listening socket with this address, None when there is none."""

    def variable(self, text: str) -> Variable:
        """Compile `$avp(x)` as found in a modparam. Raises ConfigError."""

    def format(self, text: str) -> Callable[[Any], str]:
        """Compile a format string as found in a modparam. Raises ConfigError."""


T = TypeVar("T")


class Param(Generic[T]):
    """A `modparam`: its default, its meaning, and through the default (or `kind`) its type, int or str.

    With `repeat` it may be set many times and the attribute is a list of what was set. With `either` a cfg
    may give a number as well as a string.
    """

    def __init__(
        self, default: T, doc: str, *, repeat: bool = False, kind: type | None = None, either: bool = False
    ) -> None:
        self.default, self.doc, self.repeat = default, doc, repeat
        self.kind: type = kind or (str if isinstance(default, str) or default is None else int)
        self.kinds = frozenset((int, str)) if either else frozenset((self.kind,))
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def is_ignored(self) -> bool:
        """Whether it changes nothing here: its doc begins so, and goes on with the reason."""
        return self.doc.startswith(("accepted", "ignored"))

    @overload
    def __get__(self, instance: None, owner: type) -> Param[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Param[T] | T:
        return self if instance is None else self.default


class Parameter(Record):
    """One parameter of a script function."""

    name: str
    kind: Kind
    optional: bool


Constants = Callable[[Sequence[str | None]], str]
"""From the arguments of a call, None for what is no constant, to Python; "" where there is none for them."""


class Function(Record):
    """A function that a cfg may call: `module.attribute(ctx, *arguments) -> return code`."""

    name: str
    attribute: str
    routes: Routes
    parameters: tuple[Parameter, ...]
    rest: Kind | None
    arities: frozenset[int] | None
    is_async: bool
    is_claim: bool
    """The method returns a bool: true is the code 1, false -1."""
    doc: str
    inline: Constants | None = None
    """Gives a Python expression over `ctx` that cannot fail: code generation uses it in place of the call."""
    guard: Constants | None = None
    """Gives the text behind `module.` of an expression; while that is false, the call is 1 and its arguments
    are not evaluated."""

    narrower: tuple[tuple[int, Routes], ...] = ()
    """Counts of arguments with which it is for fewer routes."""

    def routes_of(self, count: int) -> Routes:
        """Where it may be called with so many arguments."""
        return dict(self.narrower).get(count, self.routes)

    def accepts(self, count: int) -> bool:
        """Whether the function may be called with so many arguments."""
        if self.arities is not None:
            return count in self.arities
        required = sum(not parameter.optional for parameter in self.parameters)
        return required <= count and (self.rest is not None or count <= len(self.parameters))


class Pv(Record):
    """A pseudo-variable. `get(ctx)`, or `get(ctx, inner)`, or `get(ctx, inner, index)` as `takes` says.

    `takes` is 0, 1 or 2; `inner` is the evaluated text in `$name(inner)`. `kind` is the type it always has
    when it is defined (int or str), or None when it varies. `inline` is a Python expression over `ctx` and
    `inner` that code generation may use in place of the call.
    """

    name: str
    attribute: str
    setter: str
    takes: int
    inner_required: bool
    kind: type | None
    inline: str
    doc: str
    inner_kind: Kind | None = None
    """PLAIN or VARIABLE when `inner` is annotated so: the text as written, or a Variable."""
    has_inner: bool = False
    """Whether the method takes `inner`; one whose first parameter is `index` does not."""
    form: str = ""
    """A regular expression that `inner` as written must match as a whole; "" for any text."""
    bound: str = ""
    """A method that gives, for a constant before the first `=>` of `inner`, a function of what stands behind:
    `$sht(t=>key)` looks for its table once, when the script is linked. "" for none."""


class Transformation(Record):
    """A transformation `{name,arg,…}`: `attribute(value, *arguments) -> Value`; the arguments are Values."""

    name: str
    attribute: str
    minimum: int
    maximum: int
    doc: str


class Rpc(Record):
    """A method of the control plane; positional parameters as annotated (str, int, or with a default)."""

    name: str
    attribute: str
    parameters: tuple[inspect.Parameter, ...]
    doc: str
    workers: str = "one"


class Declaration:
    """All that a module says of itself."""

    def __init__(self, name: str, doc: str, events: tuple[str, ...], live: tuple[str, ...]) -> None:
        self.name, self.doc, self.events, self.live = name, doc, events, live
        self.params: dict[str, Param[Any]] = {}
        self.functions: dict[str, Function] = {}
        self.pvs: dict[str, Pv] = {}
        self.transformations: dict[str, Transformation] = {}
        self.rpcs: dict[str, Rpc] = {}


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
    narrower: Mapping[int, Routes] | None = None,
) -> Callable[[F], F]:
    """Export a method to the cfg under `names` (further names are aliases).

    `arities` lists the argument counts when not all between required and possible are allowed:
    `t_relay()` and `t_relay(host, port)`, never one. `inline`, `guard` and `narrower`: see `Function`.
    """
    allowed = None if arities is None else frozenset(arities)
    fewer = tuple((narrower or {}).items())
    return lambda method: _mark(
        method, "function",
        names=names, routes=routes, arities=allowed, inline=inline, guard=guard, narrower=fewer,
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


class Module:
    """The base of every module. Its docstring is the first paragraph of the module's manual.

    Life: at start the server makes the instance, sets its parameters, and awaits `start` in the order of the
    `loadmodule` lines; at stop it awaits `stop` in the reverse order.
    """

    depends: tuple[str, ...] = ()
    """Modules that must be loaded before this one."""
    tables: tuple[str, ...] = ()
    """Database tables this module reads or writes; their SQL stands in db/<module>/."""
    events: tuple[str, ...] = ()
    """Event routes this module runs, e.g. `htable:expired:*`."""
    live: tuple[str, ...] = ()
    """Parameters that a reload may change: they are read each time they are used."""

    alone: bool = False
    """Started on one worker only, where there are several: it has a socket of its own, or timers."""
    per_worker: str = ""
    """What it counts for each worker by itself: said at the start where there are several."""

    name: str = ""

    def __init__(self, server: Host) -> None:
        self.server = server
        for parameter in declaration(type(self)).params.values():
            default = [] if parameter.repeat else parameter.default
            self.__dict__[parameter.name] = default

    def set_param(self, name: str, value: int | str) -> None:
        """Set a parameter as `modparam` does. The checker has seen to the name and the type."""
        if declaration(type(self)).params[name].repeat:
            self.__dict__[name].append(value)
        else:
            self.__dict__[name] = value

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """What is wrong with the parameters set, or with what `script` (a kamtool.script.Script) asks of this
        module: for `kamtool check` and before each start, so nothing may be opened here.

        An error without a span is placed at the modparam whose value or name its message holds. The
        instance is thrown away; to raise is to yield and stop.
        """
        return ()

    async def start(self) -> None:
        """Bind to other modules, read tables, start timers. Raises ConfigError or StoreError."""

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """Look at a cfg that is about to take over: its linked program, and new values of `live` parameters.

        Raises ConfigError to refuse it. What is returned is called when it does take over, with the
        parameters set.
        """
        return None

    async def stop(self) -> None:
        """Flush what must not be lost."""

    def state(self) -> Iterable[Any]:
        """What is in memory only, as plain data: for a server that takes over from this one."""
        return ()

    def take_state(self, items: Sequence[Any]) -> None:
        """Remember what the server before this one has remembered."""

    def every(
        self, seconds: float, callback: Callable[[], Awaitable[None] | None], *, alone: bool = False
    ) -> None:
        """Call `callback` every so many seconds until the server stops; `alone`: on one worker only."""
        if not (alone and self.worker):
            self.server.every(seconds, callback)

    @property
    def worker(self) -> int:
        """The number of this worker; 0 where there is only one."""
        return getattr(self.server, "worker", 0)


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


@cache
def find(name: str) -> type[Module]:
    """The class of the module `name` (`htable`, without `.so` or folder): built in, else by entry point.

    Raises ConfigError when there is none: a module that is not built is refused, never pretended.
    """
    place = f"kamtool.modules.{name}"
    try:
        source = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != place:
            raise
        if name in (others := _entry_points()):
            return cast("type[Module]", others[name].load())
        raise ConfigError(f"kamtool has no module `{name}`", code="KT1200") from error
    for member in vars(source).values():
        if isinstance(member, type) and issubclass(member, Module) and member.__module__.startswith(place):
            return member
    raise ConfigError(f"`{place}` declares no Module", code="KT1200")


def available() -> list[str]:
    """The names of all modules that `loadmodule` accepts, sorted."""
    return list(_available())


@cache
def _available() -> tuple[str, ...]:
    import pkgutil

    package = importlib.import_module("kamtool.modules")
    names = {entry.name for entry in pkgutil.iter_modules(package.__path__) if not entry.name.startswith("_")}
    return tuple(sorted(names | _entry_points().keys()))


@cache
def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import (
        entry_points,  # costs 10 ms, and only a name that is not built in asks for it
    )

    return {entry.name: entry for entry in entry_points(group="kamtool.modules")}
