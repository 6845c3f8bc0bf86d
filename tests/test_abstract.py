"""A method that only raises NotImplementedError is there to be overridden, and is."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

KAMTOOL = Path(__file__).parents[1] / "kamtool"
ERROR = "NotImplementedError"


@cache
def trees() -> dict[Path, ast.Module]:
    """The files that raise it at all or hold a class."""
    texts = {path: path.read_text("utf-8") for path in sorted(KAMTOOL.rglob("*.py"))}
    return {path: ast.parse(text) for path, text in texts.items() if "class " in text or ERROR in text}


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield path, node


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {f.name: f for f in node.body if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)}


def is_abstract(function: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id == ERROR
        for node in ast.walk(function)
    )


def test_every_abstract_method_is_overridden_by_whoever_inherits_it():
    bases: dict[str, list[str]] = {}
    own: dict[str, set[str]] = {}
    abstract: dict[str, list[tuple[Path, str]]] = {}
    for path, node in classes():
        bases.setdefault(node.name, []).extend(ast.unparse(base).rpartition(".")[2] for base in node.bases)
        made = own.setdefault(node.name, set())
        for name, function in methods(node).items():
            if is_abstract(function):
                abstract.setdefault(node.name, []).append((path, name))
            else:
                made.add(name)
    parents = {base for found in bases.values() for base in found}

    def ancestry(name: str) -> list[str]:
        return [name, *(up for base in bases.get(name, []) for up in ancestry(base))]

    missing = []
    for owner, found in abstract.items():
        leaves = [name for name in bases if name not in parents and owner in ancestry(name)[1:]]
        for path, method in found:
            lacking = [leaf for leaf in leaves if not any(method in own.get(c, ()) for c in ancestry(leaf))]
            if lacking or not leaves:
                missing.append(
                    f"{path.relative_to(KAMTOOL)}: {owner}.{method}: {lacking or 'nobody inherits'}"
                )
    assert not missing, "\n".join(missing)


def test_nothing_else_raises_it():
    """At module level or in a plain function it would be a stub."""
    stubs = []
    for path, tree in trees().items():
        allowed = {
            id(raised)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for function in methods(node).values()
            for raised in ast.walk(function)
        }
        stubs += [
            f"{path.relative_to(KAMTOOL)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise) and id(node) not in allowed
            and node.exc is not None and ERROR in ast.unparse(node.exc)
        ]  # fmt: skip

    assert not stubs, stubs
