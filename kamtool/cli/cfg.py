"""`kamtool cfg`: what kamtool makes of a cfg."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.script.syntax import Syntax

define_option = click.option(
    "-A", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define before reading."
)


@click.group()
def command() -> None:
    """Show what a cfg becomes: its tree, who calls which route, the Python it is compiled to.

    Example: kamtool cfg python /etc/kamailio/kamailio.cfg
    """


def _load(file: Path, defines: Sequence[str]) -> Script:
    from kamtool import script

    given = {
        name: value if equals else None for name, equals, value in (text.partition("=") for text in defines)
    }
    try:
        return script.load(file, defines=given)
    except OSError as error:
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}", exit_code=3) from error


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@define_option
@click.option("--route", "wanted", default="", metavar="NAME", help="Only the blocks of this name.")
def python(file: Path, defines: Sequence[str], wanted: str) -> None:
    """Print the Python that the routes of FILE are compiled to, the cfg's lines beside it.

    Example: kamtool cfg python --route RELAY /etc/kamailio/kamailio.cfg
    """
    for route, tree in _load(file, defines).python():
        if not wanted or route.name == wanted:
            click.echo("\n".join(_annotated(tree, route.span.file)) + "\n")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@define_option
def dump(file: Path, defines: Sequence[str]) -> None:
    """List modules, parameters and routes of FILE, with the line of each.

    Example: kamtool cfg dump cfg/basic.cfg
    """
    from kamtool.script.nodes import Custom, Load, ModParam, Route, Setting
    from kamtool.script.scope import ROUTE_NAMES

    for item in _load(file, defines).items:
        place = f"{item.span.file}:{item.span.line}"
        match item:
            case Load(name=name):
                click.echo(f"{place}\tmodule\t{name}")
            case ModParam(modules=modules, name=name, value=value):
                click.echo(f"{place}\tmodparam\t{modules}.{name} = {value!r}")
            case Setting(name=name, value=value):
                click.echo(f"{place}\tsetting\t{name} = {value!r}")
            case Custom(group=group, name=name, value=value):
                click.echo(f"{place}\tcustom\t{group}.{name} = {value!r}")
            case Route(kind=kind, name=name):
                click.echo(f"{place}\t{ROUTE_NAMES[kind]}\t{name}")


def _parse(file: Path, defines: Sequence[str]) -> Syntax:
    """The tree, whether or not what it names exists. Raises ConfigErrors for what cannot be parsed."""
    from kamtool.errors import ConfigErrors
    from kamtool.script.syntax import parse, source_of

    given = {
        name: value if equals else None for name, equals, value in (text.partition("=") for text in defines)
    }
    try:
        syntax = parse(source_of(file), given)
    except OSError as error:
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}", exit_code=3) from error
    if syntax.errors:
        errors = ConfigErrors(syntax.errors)
        errors.text = syntax.text
        raise errors
    return syntax


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@define_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of what this prints.")
def adapt(file: Path | None, defines: Sequence[str], schema: bool) -> None:
    """Print the tree of FILE as JSON: each statement and expression with its place.

    FILE must parse; whether its modules and routes exist is not asked. --schema says what each node holds.

    Example: kamtool cfg adapt /etc/kamailio/kamailio.cfg
    """
    import json

    from kamtool.script import adapt as trees

    if schema:
        click.echo(json.dumps(trees.schema(), indent=2))
    elif file is None:
        raise UsageError("no FILE given")
    else:
        click.echo(json.dumps(trees.adapt(_parse(file, defines)), indent=1))


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@define_option
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", help="How to print.")
@click.option("--mermaid", "form", flag_value="mermaid", help="Print a Mermaid flow chart, for issues.")
@click.option("--dot", "form", flag_value="dot", help="Print a graph for Graphviz.")
@click.option("--svg", "form", flag_value="svg", help="Print a picture.")
def routes(file: Path, defines: Sequence[str], output: str, form: str | None) -> None:
    """Print who calls which route in FILE, and which route arms which failure, branch or reply route.

    Routes that nothing leads to are marked UNUSED, those that only unused ones lead to UNREACHABLE, and
    names that no route has UNDEFINED.

    Example: kamtool cfg routes --svg /etc/kamailio/kamailio.cfg > routes.svg
    """
    import json

    from kamtool.script import callgraph_text
    from kamtool.script.callgraph import call_graph

    graph = call_graph(_parse(file, defines).items)
    if form == "svg":
        from kamtool.script.callgraph_svg import svg

        click.echo(svg(graph), nl=False)
    elif form is None and output == "json":
        click.echo(json.dumps(callgraph_text.data(graph), indent=1))
    else:
        show = {"mermaid": callgraph_text.mermaid, "dot": callgraph_text.dot}.get(
            form or "", callgraph_text.tree
        )
        click.echo("\n".join(show(graph)))


def _annotated(tree: ast.Module, file: str) -> Iterator[str]:
    """The unparsed source; each line that begins a statement of another cfg line says which."""
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    yield f"# {file}:{definition.lineno}"
    yield ast.unparse(definition).split("\n")[0]
    yield from _body(definition.body, 1, 0)


def _body(statements: Sequence[ast.stmt], indent: int, line: int) -> Iterator[str]:
    margin = "    " * indent
    for statement in statements:
        note = f"    # {statement.lineno}" if statement.lineno != line else ""
        line = statement.lineno
        parts = _parts(statement)
        if parts is None:
            yield f"{margin}{ast.unparse(statement)}{note}"
            continue
        for head, body in parts:
            yield f"{margin}{head}{note}"
            note = ""
            yield from _body(body, indent + 1, line)


def _parts(statement: ast.stmt) -> list[tuple[str, list[ast.stmt]]] | None:
    """A compound statement as its heads and bodies, None for a simple one."""
    match statement:
        case ast.If(test=test, body=body, orelse=otherwise):
            return [(f"if {ast.unparse(test)}:", body), *([("else:", otherwise)] if otherwise else [])]
        case ast.While(test=test, body=body):
            return [(f"while {ast.unparse(test)}:", body)]
        case ast.Try(body=body, handlers=handlers, finalbody=final):
            parts = [("try:", body)]
            for handler in handlers:
                error = ast.unparse(handler.type) if handler.type else ""
                parts.append((f"except {error} as {handler.name}:", handler.body))
            return [*parts, *([("finally:", final)] if final else [])]
    return None
