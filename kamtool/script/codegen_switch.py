"""Code generation for `switch`: a chain of `elif` where nothing falls through, else an entry's number."""

from __future__ import annotations

from kamtool.script.codegen_calls import CallCode
from kamtool.script.fold import constant, fold
from kamtool.script.nodes import Case, Expression, Leave, Number, Statement, Switch
from kamtool.script.operands import as_int, as_str, plain

RETURN = "return"
"""The mode of a statement in last place: return its code. Else "" (nobody asks) or a local to hold it."""


class SwitchCode(CallCode):
    """Writes switches, and what statements share: how their code is given, how a body is nested."""

    loops: list[str]
    """What `break` means, innermost last: the mode of the loop or switch it leaves."""

    def statements(self, statements: tuple[Statement, ...], mode: str) -> None:
        """A block's statements; the statement writer has them."""
        raise NotImplementedError

    def _give(self, code: str, mode: str) -> None:
        if mode == RETURN:
            self.lines.put(f"return {code}")
        elif mode:
            self.lines.put(f"{mode} = {code}")

    def _nested(self, statements: tuple[Statement, ...], mode: str) -> None:
        self.lines.indent += 1
        self.nesting += 1
        before = len(self.lines.text)
        self.statements(statements, mode)
        if len(self.lines.text) == before:
            self.lines.put("pass")
        self.nesting -= 1
        self.lines.indent -= 1

    def _switch(self, node: Switch, mode: str) -> None:
        subject = fold(node.subject)
        self.observe(node.span, node.line, "block" if constant(subject) is not None else "switch")
        held = self.temporary()
        ints = all(isinstance(_label(case), Number) for case in node.cases if case.label.value is not None)
        last = self.temporary() if mode else ""
        if last:
            self.lines.put(f"{last} = 1")
        self.lines.put("while True:")
        self.lines.indent += 1
        self._subject(held, subject, ints)
        self.loops.append(last)
        self._cases(node.cases, held, ints, last)
        self.loops.pop()
        self.lines.span = node.span
        self.lines.put("break")
        self.lines.indent -= 1
        self._give(last or "1", mode)

    def _subject(self, held: str, subject: Expression, ints: bool) -> None:
        shape = as_int if ints else as_str
        self.lines.put("try:")
        self.lines.indent += 1
        self.lines.put(f"{held} = {shape(plain(self.value(subject)))}")
        self.lines.indent -= 1
        self.lines.put("except ScriptError as error:")
        self.lines.put(f"    failed(ctx, error, {self.where(subject.span)!r})")
        self.lines.put("    break")

    def _cases(self, cases: tuple[Case, ...], held: str, ints: bool, last: str) -> None:
        """Cases that all end by themselves make a chain of `elif`; falling through needs an entry number."""
        groups = _grouped(cases)
        if all(_ends(body) for _, body in groups[:-1]) and _default_last(groups):
            word = "if"
            for labels, body in groups:
                if any(case.label.value is None for case in labels):
                    self.lines.put("else:" if word == "elif" else "if True:")
                else:
                    self.lines.put(f"{word} {self._any(labels, held)}:")
                word = "elif"
                self._nested(body, last)
            return
        entry = self.temporary()
        self._entry(groups, held, entry)
        for number, (_, body) in enumerate(groups):
            self.lines.put(f"if {entry} <= {number}:")
            self._nested(body, last)

    def _entry(self, groups: list[tuple[list[Case], tuple[Statement, ...]]], held: str, entry: str) -> None:
        """Which group to begin with; behind the last one when nothing matches and there is no default."""
        otherwise = len(groups)
        word = "if"
        for number, (labels, _) in enumerate(groups):
            tested = [case for case in labels if case.label.value is not None]
            if len(tested) < len(labels):
                otherwise = number
            if tested:
                self.lines.put(f"{word} {self._any(tested, held)}:")
                self.lines.put(f"    {entry} = {number}")
                word = "elif"
        if word == "if":
            self.lines.put(f"{entry} = {otherwise}")
        else:
            self.lines.put("else:")
            self.lines.put(f"    {entry} = {otherwise}")

    def _any(self, cases: list[Case], held: str) -> str:
        tests, exact = [], []
        for case in cases:
            label = _label(case)
            value = constant(label) if label is not None else None
            if case.label.is_regex:
                tests.append(f"{self.names.pattern(str(value), 0)}({held})")
            else:
                exact.append(repr(value))
        if len(exact) == 1:
            tests.insert(0, f"{held} == {exact[0]}")
        elif exact:
            tests.insert(0, f"{held} in ({', '.join(exact)})")
        return " or ".join(tests)


def _label(case: Case) -> Expression | None:
    return None if case.label.value is None else fold(case.label.value)


def _grouped(cases: tuple[Case, ...]) -> list[tuple[list[Case], tuple[Statement, ...]]]:
    """Labels that share a body: `case 1: case 2: …`."""
    groups: list[tuple[list[Case], tuple[Statement, ...]]] = []
    waiting: list[Case] = []
    for case in cases:
        waiting.append(case)
        if case.body:
            groups.append((waiting, case.body))
            waiting = []
    if waiting:
        groups.append((waiting, ()))
    return groups


def _ends(body: tuple[Statement, ...]) -> bool:
    return any(isinstance(statement, Leave) for statement in body)


def _default_last(groups: list[tuple[list[Case], tuple[Statement, ...]]]) -> bool:
    with_default = [any(case.label.value is None for case in labels) for labels, _ in groups]
    return not any(with_default[:-1]) and bool(groups)
