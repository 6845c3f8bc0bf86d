"""What a module has declared, as plain records: for the checker, code generation, the manuals and RPC."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from kamtool.module.kinds import Kind
from kamtool.module.param import Param
from kamtool.module.routes import Routes
from kamtool.record import Record


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
    """Gives Python over `ctx` and `self` that cannot fail, to stand in place of the call: its last line is an
    expression, the code, and those before it are statements. "" where there has to be a call."""
    guard: Constants | None = None
    """Gives the text behind `module.` of an expression; while that is false, the call is 1 and its arguments
    are not evaluated."""

    narrower: tuple[tuple[int, Routes], ...] = ()
    """Counts of arguments with which it is for fewer routes."""

    at_once: str = ""
    """Of an async method: another one, not async, with the same parameters. It gives the code where there is
    nothing to wait for, else what is to be awaited for it: a coroutine less for most messages."""

    quick: Constants | None = None
    """Gives an expression over `ctx` and `self`: where it is true the code is 1, and nothing is called. Only
    for arguments that are all known."""

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
