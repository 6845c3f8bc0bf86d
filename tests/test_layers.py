"""The law of the house: a room imports only from its left (DESIGN.md §2)."""

import ast
from pathlib import Path

import pytest

ROOMS = [
    "compiled", "errors", "record", "speed", "sip", "module", "script", "store",
    "transport", "server", "modules", "debug", "tools", "web", "repl", "cli",
]  # fmt: skip
PACKAGE = Path(__file__).parent.parent / "kamtool"
SOURCES = sorted(path for pattern in ("*.py", "*.pyx", "*.pyi") for path in PACKAGE.rglob(pattern))


def room_of(dotted: str) -> str:
    """`kamtool.sip.uri` stands in the room `sip`; `kamtool` itself in none."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports_of(source: Path) -> set[str]:
    """Every `kamtool.…` name that a file imports, also inside functions and under TYPE_CHECKING."""
    if source.suffix == ".pyx":
        lines = [line.strip() for line in source.read_text().splitlines()]
        words = [line.split() for line in lines if line.startswith(("import ", "from ", "cimport "))]
        return {word[1] for word in words if word[1].startswith("kamtool")}
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno}: imports are absolute"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.split(".")[0] == "kamtool"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_its_left(source):
    place = ".".join(("kamtool", *source.relative_to(PACKAGE).with_suffix("").parts))
    if source.name == "__init__.py" and source.parent == PACKAGE:
        return
    here = ROOMS.index(room_of(place))
    wrong = {
        name for name in imports_of(source) if room_of(name) in ROOMS and ROOMS.index(room_of(name)) > here
    }
    assert not wrong, f"{place} reaches to its right: {sorted(wrong)}"


def test_no_cycle_among_the_modules():
    graph = {}
    names = {".".join(("kamtool", *s.relative_to(PACKAGE).with_suffix("").parts)): s for s in SOURCES}
    for name, source in names.items():
        short = name.removesuffix(".__init__")
        graph[short] = {
            target
            for imported in runtime_imports(source)
            for target in (imported, imported.rpartition(".")[0])
            if target != short and (target in names or f"{target}.__init__" in names) and target != "kamtool"
        }
    done, path = set(), []

    def walk(node):
        assert node not in path, "cycle: " + " -> ".join([*path[path.index(node) :], node])
        if node in done:
            return
        path.append(node)
        for target in sorted(graph.get(node, ())):
            walk(target)
        done.add(path.pop())

    for node in sorted(graph):
        walk(node)


def runtime_imports(source: Path) -> set[str]:
    """Imports at the top level of the file: what runs when it is first imported."""
    if source.suffix != ".py":
        return set()
    found = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found
