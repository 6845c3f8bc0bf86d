"""The tree of a route into a Python function.

A route returns the code of its last statement. Where that is known to be the last one the code is returned on
the spot, so that nothing is kept for statements whose code nobody asks for. A route in which nothing can wait
becomes a plain function; one that calls an async function or such a route is `async def`.

`exit` in a request_route or a route[X] returns None, a code of 0 False, and callers hand it on: an exception
would look for its line in each function that it leaves. All else (`drop`, other blocks) raises `Exit`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kamtool.errors import ConfigError, Span
from kamtool.script.binding import Namespace
from kamtool.script.codegen_calls import Plans
from kamtool.script.codegen_switch import RETURN, SwitchCode
from kamtool.script.codegen_values import attribute_key
from kamtool.script.emit import Lines
from kamtool.script.fold import chain, constant, fold, has_calls, spine
from kamtool.script.guards import Action
from kamtool.script.nodes import (
    Assign,
    Block,
    BlockValue,
    Do,
    Expression,
    If,
    Leave,
    Myself,
    Network,
    Number,
    PvNode,
    Selval,
    Statement,
    String,
    Switch,
    Test,
    Unary,
    While,
    Word,
)
from kamtool.script.nodes import Binary as BinaryNode
from kamtool.script.operands import as_int, nonzero, raw, truth
from kamtool.script.scope import Scope
from kamtool.script.values import to_int
from kamtool.script.walk import calls_in, routes_in


class RouteCode(SwitchCode):
    """Writes one route's function."""

    def __init__(self, scope: Scope, names: Namespace, plans: Plans, lines: Lines) -> None:
        super().__init__(scope, names, lines)
        self.plans = plans
        self.blocks: list[tuple[str, BlockValue, bool]] = []
        self.loops = []

    def function(self, name: str, bodies: Iterable[Block], waits: bool) -> None:
        """A whole function: the bodies one after the other."""
        bodies = list(bodies)
        self.lines.span = bodies[0].span
        self.lines.put(f"{'async ' if waits else ''}def {name}(ctx):")
        self.lines.indent += 1
        for body in bodies[:-1]:
            self.statements(body.statements, "")
        self.statements(bodies[-1].statements, RETURN)
        self.lines.indent -= 1

    def observe(self, span: Span, line: int, name: str, target: str = "", count: int = 0) -> None:
        if self.plans.traced:
            action = Action(span, line, name, self.route_name, self.kind, target, count)
            place = self.names.object("at", ("at", span, name, self.kind, self.route_name), lambda: action)
            self.plans.actions.setdefault(place, action)
            # What nobody asks about costs one look at an attribute.
            self.lines.put(f"if {place}.armed and (wait := observe({place}, ctx)) is not None:")
            self.lines.put("    await wait")

    def block_function(self, node: BlockValue) -> tuple[str, bool]:
        waits = self.plans.traced or waits_in(node.body, self.scope, self.plans)
        name = f"block_{id(node):x}"
        self.blocks.append((name, node, waits))
        return name, waits

    # Statements ---------------------------------------------------------------------------------------

    def statements(self, statements: tuple[Statement, ...], mode: str) -> None:
        """A block's statements; `mode` is what becomes of the last one's code."""
        if not statements:
            self._give("1", mode)
        for place, statement in enumerate(statements):
            last = place == len(statements) - 1
            self.lines.span = statement.span
            self._statement(statement, mode if last else "")
            if isinstance(statement, Leave):
                break  # what follows is never reached

    def _statement(self, statement: Statement, mode: str) -> None:
        match statement:
            case Do(call=call):
                self._give(self.value(call).code, mode)
            case Assign():
                self._assign(statement, mode)
            case If():
                self._if(statement, mode)
            case While():
                self._while(statement, mode)
            case Switch():
                self._switch(statement, mode)
            case Leave():
                self._leave(statement)

    # Assignment ---------------------------------------------------------------------------------------

    def _assign(self, node: Assign, mode: str) -> None:
        self.observe(node.span, node.line, "assign", node.target.text)
        self.lines.put("try:")
        self.lines.indent += 1
        self.assignment(node)
        self._give("1", mode)
        self.lines.indent -= 1
        self.lines.put("except ScriptError as error:")
        self.lines.indent += 1
        failure = f"failed(ctx, error, {self.where(node.span)!r})"
        if mode:
            self._give(failure, mode)
        else:
            self.lines.put(failure)
        self.lines.indent -= 1

    def assignment(self, node: Assign) -> None:
        value = raw(self.value(fold(node.value)))
        key = attribute_key(node.target, self.scope)
        if key is not None:
            index = node.target.index
            self.lines.put(
                f"ctx.avps.set({key!r}, {index!r}, {value})" if index else f"ctx.avps.push({key!r}, {value})"
            )
            return
        reference = self.scope.variable(node.target.text)
        module, pv = self.scope.pvs[reference.name]
        if not pv.setter or reference.steps:
            raise ConfigError(f"`{reference.text}` cannot be assigned", node.target.span, code="KT1154")
        if has_calls(node.value):
            held = self.temporary()
            self.lines.put(f"{held} = {value}")
            value = held
        arguments = ", ".join([*self.place(pv, reference), value])
        self.lines.put(f"{self.names.setter(module, pv)}({arguments})")

    # Conditions ---------------------------------------------------------------------------------------

    def _condition(self, expression: Expression, of: str) -> str:
        """The truth of a condition as Python; one that can fail is first computed into a local."""
        shape = truth if of == "if" else nonzero
        if not self.can_fail(expression):
            return shape(self.value(expression))
        held = self.temporary()
        self.lines.put("try:")
        self.lines.indent += 1
        self.lines.put(f"{held} = {shape(self.value(expression))}")
        self.lines.indent -= 1
        self.lines.put("except ScriptError as error:")
        self.lines.put(f"    {held} = failed(ctx, error, {self.where(expression.span)!r}) > 0")
        return held

    def can_fail(self, expression: Expression) -> bool:
        """Whether reading a value may raise ScriptError. Calls look after themselves."""
        match expression:
            case PvNode():
                if attribute_key(expression, self.scope) is not None:
                    return False
                reference = self.scope.variable(expression.text)
                simple = not reference.steps and all(isinstance(part, str) for part in reference.inner or ())
                return not (simple and self.scope.pvs[reference.name][1].inline)
            case Unary(operand=operand):
                return self.can_fail(operand)
            case BinaryNode():
                return any(map(_operator_can_fail, spine(expression))) or any(
                    map(self.can_fail, chain(expression))
                )
            case Selval(condition=condition, positive=positive, otherwise=otherwise):
                return any(map(self.can_fail, (condition, positive, otherwise)))
            case Test(right=right):
                return right is not None and self.can_fail(right)
            case Number() | String() | Word() | Network() | Myself():
                return False
        return not has_calls(expression)

    def _if(self, node: If, mode: str) -> None:
        self.observe(node.span, node.line, "if")
        condition = fold(node.condition)
        value = constant(condition)
        if value is not None:
            chosen = node.then if to_int(value) > 0 else node.otherwise
            if chosen is None:
                self._give("1", mode)
            else:
                self.nesting += 1
                self.statements(chosen.statements, mode)
                self.nesting -= 1
            return
        code = self._condition(condition, "if")
        self.lines.put(f"if {code}:")
        self._nested(node.then.statements, mode)
        self._else(node.otherwise, mode)

    def _else(self, otherwise: Block | None, mode: str) -> None:
        """What follows the first branch: `else if` becomes `elif` when its condition needs no statements."""
        if otherwise is None:
            if mode == RETURN:
                self.lines.put("return 1")
            elif mode:
                self.lines.put("else:")
                self.lines.put(f"    {mode} = 1")
            return
        follower = otherwise.statements[0] if len(otherwise.statements) == 1 else None
        if isinstance(follower, If) and not self.plans.traced and self._is_plain(follower.condition):
            self.lines.span = follower.span
            self.nesting += 1
            self.lines.put(f"elif {truth(self.value(fold(follower.condition)))}:")
            self._nested(follower.then.statements, mode)
            self._else(follower.otherwise, mode)
            self.nesting -= 1
            return
        self.lines.put("else:")
        self._nested(otherwise.statements, mode)

    def _is_plain(self, condition: Expression) -> bool:
        """Whether a condition is one Python expression that cannot fail, and not known beforehand."""
        folded = fold(condition)
        return constant(folded) is None and not has_calls(folded) and not self.can_fail(folded)

    def _while(self, node: While, mode: str) -> None:
        self.observe(node.span, node.line, "while")
        rounds, last = self.temporary(), self.temporary() if mode else ""
        limit = self.plans.loop_limit
        if last:
            self.lines.put(f"{last} = 1")
        if limit:
            self.lines.put(f"{rounds} = 0")
        self.lines.put("while True:")
        self.lines.indent += 1
        code = self._condition(fold(node.condition), "while")
        self.lines.put(f"if not ({code}):")
        self.lines.put("    break")
        if limit:
            self.lines.put(f"if {rounds} >= {limit}:")
            ended = f"loop_ended(ctx, {limit}, {self.where(node.span)!r})"
            self.lines.put(f"    {f'{last} = ' if last else ''}{ended}")
            self.lines.put("    break")
            self.lines.put(f"{rounds} += 1")
        self.loops.append(last)
        self.lines.indent -= 1
        self._nested(node.body.statements, last)
        self.loops.pop()
        if mode:
            self.lines.span = node.span
            self._give(last, mode)

    def _leave(self, node: Leave) -> None:
        self.observe(node.span, node.line, "exit" if node.word == "break" else node.word)
        put = self.lines.put
        if node.word == "break":
            if not self.loops:
                put("return 0")
                return
            if self.loops[-1]:
                put(f"{self.loops[-1]} = 0")
            put("break")
            return
        value = fold(node.value) if node.value is not None else None
        if value is None:
            put({"return": "return 1", "exit": self.end(1)}.get(node.word, "raise Exit(0, True)"))
            return
        number = constant(value)
        if number is not None and node.word == "return":
            put(f"return {to_int(number)}" if to_int(number) else self.end(0))
            return
        held = self.temporary()
        self._computed(held, value)
        if node.word == "return":
            put(f"if {held}:")
            put(f"    return {held}")
            put(self.end(0))
        else:
            put(f"raise Exit({held})" if node.word == "exit" else f"raise Exit({held}, True)")

    def _computed(self, held: str, value: Expression) -> None:
        self.lines.put("try:")
        self.lines.indent += 1
        self.lines.put(f"{held} = {as_int(self.value(value))}")
        self.lines.indent -= 1
        self.lines.put("except ScriptError as error:")
        self.lines.put(f"    {held} = failed(ctx, error, {self.where(value.span)!r})")


def _operator_can_fail(node: BinaryNode) -> bool:
    if node.operator in ("/", "mod"):
        return to_int(constant(node.right)) == 0
    return node.operator == "=~" and not isinstance(node.right, String)


def waits_in(body: Block, scope: Scope, plans: Plans) -> bool:
    """Whether anything in a block awaits: an async function, a route that does, a route named at run time."""
    for call in calls_in(body):
        found = scope.function(call.name, len(call.arguments))
        if found and found[1].is_async:
            return True
    for target in routes_in(body):
        plan = None if target is None else (plans.main if target == "0" else plans.routes.get(target))
        if target is None or (plan is not None and plan.waits):
            return True
    return False
