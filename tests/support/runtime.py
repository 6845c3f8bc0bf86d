"""Functions and pseudo-variables called by their script names, without a compiled script around them."""

import inspect
import re

from kamtool.module import Kind, declaration, find
from kamtool.script import edits, values
from kamtool.script.context import Context
from kamtool.script.regex import compile_ere
from kamtool.script.scope import Scope
from kamtool.script.substitution import compile_substitution
from kamtool.script.variables import Reference
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import parse
from tests.support.host import Host

HERE = Address("127.0.0.1", 5060)
THERE = Address("127.0.0.1", 5999)
SOCKETS = [
    Socket("udp", HERE, None, "main"),
    Socket("udp", Address("127.0.0.1", 5070), Address("sip.example.com", 5071), "side"),
    Socket("tcp", HERE),
    Socket("udp", Address("::1", 5060)),
]


class Variable:
    """A pseudo-variable compiled by hand: kamtool.module.Variable."""

    def __init__(self, runtime, reference):
        self.runtime, self.reference, self.text = runtime, reference, reference.text

    def get(self, ctx):
        return self.runtime.read(ctx, self.reference)

    def set(self, ctx, value):
        self.runtime.write(ctx, self.reference, value)


class Runtime(Host):
    """Loaded modules, and the calls that compiled code would make of them."""

    sockets = SOCKETS

    def __init__(self, *modules, **params):
        super().__init__()
        self.scope = Scope()
        for name in ("core", *modules):
            self.scope.load(name)
            self.modules[name] = find(name)(self)

    def socket(self, transport, address):
        return next((s for s in self.sockets if s.transport == transport and s.address == address), None)

    def message(self, text, flow=None):
        """A context about the message `text`."""
        return Context(self, parse(text.encode("utf-8", "surrogateescape")), flow or Flow("udp", HERE, THERE))

    def variable(self, text):
        return Variable(self, self.scope.variable(text))

    def format(self, text):
        template = self.scope.template(text)
        return lambda ctx: self.expand(ctx, template)

    # Pseudo-variables

    def expand(self, ctx, template):
        return "".join(p if isinstance(p, str) else self._shown(ctx, p) for p in template)

    def _shown(self, ctx, reference):
        value = self.read(ctx, reference)
        return "" if value is None and reference.steps else values.show(value)

    def _places(self, ctx, reference):
        name, pv = self.scope.pvs[reference.name]
        module, arguments = self.modules[name], [ctx]
        takes = pv.takes
        names = list(inspect.signature(getattr(module, pv.attribute)).parameters)
        if "inner" in names:
            written = pv.inner_kind is Kind.PLAIN
            arguments.append(reference.inner_text if written else self.expand(ctx, reference.inner or ()))
            takes -= 1
        if takes:
            index = reference.index
            arguments.append(self.read(ctx, index) if isinstance(index, Reference) else index)
        return module, pv, arguments

    def read(self, ctx, reference):
        module, pv, arguments = self._places(ctx, reference)
        value = getattr(module, pv.attribute)(*arguments)
        for step in reference.steps:
            owner, transformation = self.scope.transformations[step.name]
            if step.name == "re.subst" and value is not None:
                changed = compile_substitution(step.text, self.format).apply(ctx, values.to_str(value))
                value = value if changed is None else changed
                continue
            given = [self.read(ctx, a) if isinstance(a, Reference) else a for a in step.arguments]
            value = getattr(self.modules[owner], transformation.attribute)(value, *given)
        return value

    def write(self, ctx, reference, value):
        module, pv, arguments = self._places(ctx, reference)
        getattr(module, pv.setter)(*arguments, value)

    def get(self, ctx, text):
        """The value of `$text`."""
        return self.read(ctx, self.scope.variable(text))

    def set(self, ctx, text, value):
        """`$text = value`."""
        self.write(ctx, self.scope.variable(text), value)

    # Functions

    def _argument(self, ctx, kind, value):
        if kind is Kind.FORMAT:
            return self.expand(ctx, self.scope.template(str(value)))
        if kind is Kind.REGEX:
            return compile_ere(value, re.IGNORECASE, line_mode=True)
        if kind is Kind.SUBSTITUTION:
            return compile_substitution(value, self.format)
        if kind is Kind.VARIABLE:
            return self.variable(value)
        return int(value) if kind in (Kind.INTEGER, Kind.FLAG) else value

    def call(self, ctx, name, *arguments):
        """The return code of `name(arguments)` as a script sees it; a coroutine for what waits."""
        owner, function = self.scope.function(name, len(arguments))
        kinds = [p.kind for p in function.parameters]
        given = [self._argument(ctx, kind, value) for kind, value in zip(kinds, arguments, strict=False)]
        result = getattr(self.modules[owner], function.attribute)(ctx, *given)
        if function.is_async or not function.is_claim:
            return result
        return 1 if result else -1

    def run(self, ctx, steps):
        """Carry out calls `(function, argument, …)` and assignments `($variable, value)`."""
        for name, *rest in steps:
            if name.startswith("$"):
                self.set(ctx, name, *rest)
            else:
                ctx.rc = self.call(ctx, name, *rest)

    @staticmethod
    def sent(ctx):
        """The message as it would leave now."""
        return edits.applied(ctx).decode("utf-8", "surrogateescape")


def changed_lines(before, after):
    """What an edit did: the lines it took away and the lines it put in, in order."""
    import difflib

    removed, added = [], []
    for line in difflib.unified_diff(before.split("\r\n"), after.split("\r\n"), n=0, lineterm=""):
        if line[:3] in ("---", "+++", "@@ "):
            continue
        (removed if line[0] == "-" else added).append(line[1:])
    return removed, added


def functions_of(name):
    """The names of a module's functions."""
    return sorted(declaration(find(name)).functions)
