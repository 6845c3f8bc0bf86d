"""The tree of a cfg: what the parser makes, the checker reads and code generation turns into Python.

A statement keeps two positions: `span` from its first token to its last, and `line`, the line of the last
token a parser with one token of look-ahead has read when the statement is complete. Kamailio's traces show
the latter, which for an `if` without `else` is the line of the token after it.
"""

from __future__ import annotations

from kamtool.errors import Span
from kamtool.module import Routes
from kamtool.record import Record


class Node(Record):
    """A piece of cfg and where it stands."""

    span: Span


# Expressions -----------------------------------------------------------------------------------------------


class Number(Node):
    value: int


class String(Node):
    value: str


class Word(Node):
    """A bare word: a route, a flag, a host, the method in `method == INVITE`."""

    value: str


class PvNode(Node):
    """A pseudo-variable as written; `index` is that of an old attribute, `$name[1]`."""

    text: str
    index: int | None = None


class SelectNode(Node):
    """`@via[1].host`: the names and indexes of a select."""

    parts: tuple[str | int, ...]


class Call(Node):
    """A function and its arguments. `bare` when it stands without parentheses; `line` as in traces."""

    name: str
    arguments: tuple[Expression, ...]
    line: int
    bare: bool = False


class RouteCall(Node):
    """`route(NAME)`, the name a Word, or any expression."""

    name: Expression
    line: int


class BlockValue(Node):
    """A `{ block }` used as a value: what it returns."""

    body: Block


class AssignValue(Node):
    """An assignment in parentheses: its value is 1."""

    assignment: Assign


class Unary(Node):
    """`!`, `-`, `~`, `defined`, `(int)`, `(str)`, `strlen`, `strempty`."""

    operator: str
    operand: Expression


class Binary(Node):
    operator: str
    left: Expression
    right: Expression
    operator_span: Span


class Selval(Node):
    """`selval(condition, positive, otherwise)`."""

    condition: Expression
    positive: Expression
    otherwise: Expression


class Myself(Node):
    """The word `myself`."""


class Network(Node):
    """An address with a prefix length or mask, as in `src_ip == 10.0.0.0/8`."""

    address: str
    mask: str = ""


class Test(Node):
    """A keyword test: `uri == myself`, `src_ip == 10.0.0.0/8`; alone, the keyword's value."""

    keyword: str
    operator: str
    right: Expression | None


Expression = (
    Number | String | Word | PvNode | SelectNode | Call | RouteCall | BlockValue | AssignValue | Unary
    | Binary | Selval | Myself | Network | Test
)  # fmt: skip


# Statements ------------------------------------------------------------------------------------------------


class Block(Node):
    statements: tuple[Statement, ...]


class Do(Node):
    """A call as a statement."""

    call: Call | RouteCall
    line: int


class Assign(Node):
    target: PvNode
    value: Expression
    line: int


class If(Node):
    condition: Expression
    then: Block
    otherwise: Block | None
    line: int


class While(Node):
    condition: Expression
    body: Block
    line: int


class Label(Node):
    """`case x:`, `case /"re":`, or `default:` when `value` is None."""

    value: Expression | None
    is_regex: bool = False


class Case(Node):
    label: Label
    body: tuple[Statement, ...]


class Switch(Node):
    subject: Expression
    cases: tuple[Case, ...]
    line: int


class Leave(Node):
    """`return`, `exit`, `drop` or `break`, the first three with an optional value."""

    word: str
    value: Expression | None
    line: int


Statement = Do | Assign | If | While | Switch | Leave


# The file --------------------------------------------------------------------------------------------------


class Load(Node):
    """`loadmodule`. `name` is the base name, without folder and `.so`."""

    name: str
    path: str


class ModParam(Node):
    modules: str
    name: str
    value: int | str
    evaluated: bool
    value_span: Span
    name_span: Span


class Setting(Node):
    """A global parameter; what stands right of `=`, its words joined when there are several."""

    name: str
    value: int | str
    name_span: Span


class Custom(Node):
    """`group.name = value desc "text"`; `instance` is the number in `group[1].name`."""

    group: str
    name: str
    value: int | str
    description: str
    instance: int | None = None


class FlagsLine(Node):
    """`flags NAME:3, OTHER` and `avpflags NAME`; a number of None is given by the reader."""

    names: tuple[tuple[str, int | None, Span], ...]
    is_avp: bool


class Listen(Node):
    """One `listen` entry: protocol ("" for all), hosts, port (0 for the default), and its options."""

    protocol: str
    hosts: tuple[str, ...]
    port: int
    advertised_host: str = ""
    advertised_port: int = 0
    name: str = ""
    virtual: bool = False


class Alias(Node):
    """One `alias` entry; a quoted host keeps whatever stands in it."""

    protocol: str
    host: str
    port: int


class Route(Node):
    """A routing block. `name` is "" for the unnamed one of its kind; `line` is that of the closing brace."""

    kind: Routes
    name: str
    body: Block
    name_span: Span
    is_sub: bool
    line: int


Item = Load | ModParam | Setting | Custom | FlagsLine | Listen | Alias | Route
