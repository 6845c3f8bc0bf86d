"""Manuals as sections: made from commands and module declarations, shown as text or as man pages."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click

from kamtool.module import ANY, Declaration, Function, Kind, Routes


@dataclass(slots=True)
class Section:
    """A heading with paragraphs, then entries of a term and what it means."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)


def first_line(doc: str) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(doc.partition("\n\n")[0].split())


def paragraphs(doc: str) -> list[str]:
    """The paragraphs of a docstring; an indented one keeps its lines."""
    blocks = inspect.cleandoc(doc).replace("\b\n", "").split("\n\n")
    return [
        block if block.startswith("    ") else " ".join(block.split()) for block in blocks if block.strip()
    ]


ROUTE_NAMES = (
    (Routes.REQUEST, "request"), (Routes.FAILURE, "failure"), (Routes.BRANCH, "branch"),
    (Routes.ONREPLY, "onreply"), (Routes.REPLY, "reply"), (Routes.ONSEND, "onsend"), (Routes.EVENT, "event"),
)  # fmt: skip


def routes(function: Function) -> str:
    """The kinds of route that may call the function, as words."""
    if function.routes == ANY:
        return "any route"
    return ", ".join(word for flag, word in ROUTE_NAMES if flag in function.routes)


def usage(function: Function) -> str:
    """The call as a cfg writes it: `lookup(table[, uri])`."""
    text = ""
    for place, parameter in enumerate(function.parameters):
        comma = ", " if place else ""
        text += f"[{comma}{parameter.name}]" if parameter.optional else f"{comma}{parameter.name}"
    if function.rest:
        text += ", …" if text else "…"
    return f"{function.name}({text})"


_KIND_WORDS = {
    Kind.INTEGER: "number", Kind.REGEX: "regular expression", Kind.PLAIN: "text, never expanded",
    Kind.VARIABLE: "pseudo-variable", Kind.FLAG: "flag", Kind.ROUTE: "route name",
    Kind.PHRASE: "text as written, or one pseudo-variable", Kind.SUBSTITUTION: "/regex/replacement/flags",
}  # fmt: skip


def _function_note(function: Function) -> str:
    kinds = [f"{p.name}: {_KIND_WORDS[p.kind]}" for p in function.parameters if p.kind in _KIND_WORDS]
    note = f"Callable from: {routes(function)}."
    return f"{note} {'; '.join(kinds)}." if kinds else note


def module_sections(declared: Declaration) -> list[Section]:
    """The manual of a Kamailio module."""
    sections = [
        Section("NAME", [f"{declared.name} - {first_line(declared.doc)}"]),
        Section("SYNOPSIS", [f'loadmodule "{declared.name}.so"']),
        Section("DESCRIPTION", paragraphs(declared.doc)[1:]),
        Section("PARAMETERS"),
        Section("FUNCTIONS"),
        Section("PSEUDO-VARIABLES"),
        Section("TRANSFORMATIONS"),
        Section("RPC"),
        Section("EVENT ROUTES", entries=[(f"event_route[{event}]", "") for event in declared.events]),
    ]
    by_title = {section.title: section for section in sections}
    for name, param in sorted(declared.params.items()):
        often = ", may be set many times" if param.repeat else ""
        often += ", changes with a reload" if name in declared.live else ""
        shown = '""' if param.default == "" else param.default
        default = "" if param.default is None else f", default {shown}"
        by_title["PARAMETERS"].entries.append((f"{name} ({param.kind.__name__}{default}{often})", param.doc))
    for _, function in sorted(declared.functions.items()):
        by_title["FUNCTIONS"].entries.append(
            (usage(function), f"{function.doc}\n\n{_function_note(function)}")
        )
    for name, pv in sorted(declared.pvs.items()):
        inner = "(inner)" if pv.inner_required else "[(inner)]" if pv.takes else ""
        access = "" if pv.setter else "\n\nRead only."
        by_title["PSEUDO-VARIABLES"].entries.append((f"${name}{inner}", pv.doc + access))
    for name, entry in sorted(declared.transformations.items()):
        by_title["TRANSFORMATIONS"].entries.append((f"{{{name}}}", entry.doc))
    for name, method in sorted(declared.rpcs.items()):
        words = [p.name.upper() if p.default is p.empty else f"[{p.name.upper()}]" for p in method.parameters]
        by_title["RPC"].entries.append((" ".join((name, *words)), method.doc))
    return [section for section in sections if section.paragraphs or section.entries]


def command_sections(command: click.Command, path: str) -> list[Section]:
    """The manual of a command and of the commands below it."""
    help_text = inspect.cleandoc(command.help or "")
    about, examples = _split_examples(help_text)
    sections = [
        Section("NAME", [f"{path.replace(' ', '-')} - {first_line(help_text)}"]),
        Section("SYNOPSIS", [_synopsis(command, path)]),
        Section("DESCRIPTION", about[1:]),
        Section("OPTIONS", entries=list(_options(command))),
    ]
    if isinstance(command, click.Group):
        sections.append(Section("COMMANDS", entries=list(_commands(command, path))))
    if examples:
        sections.append(Section("EXAMPLES", [f"    {example}" for example in examples]))
    return [section for section in sections if section.paragraphs or section.entries]


def _split_examples(help_text: str) -> tuple[list[str], list[str]]:
    about, examples = [], []
    for paragraph in paragraphs(help_text):
        if paragraph.startswith("Example"):
            examples.append(paragraph.partition(":")[2].strip())
        else:
            about.append(paragraph)
    return about, examples


def _context(command: click.Command, path: str = "kamtool") -> click.Context:
    """A context as `kamtool` makes it; click keeps the help option of the first one it is asked for."""
    return click.Context(command, info_name=path, help_option_names=["-h", "--help"])


def _synopsis(command: click.Command, path: str) -> str:
    context = _context(command, path)
    return " ".join((path, *command.collect_usage_pieces(context)))


def _options(command: click.Command) -> Iterator[tuple[str, str]]:
    context = _context(command)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield record


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
    context = _context(group)
    for name in group.list_commands(context):
        below = group.get_command(context, name)
        if below is None or below.hidden:
            continue
        if path == "kamtool":
            yield f"kamtool-{name}(1)", first_line(below.help or "")
            continue
        about, examples = _split_examples(inspect.cleandoc(below.help or ""))
        options = [f"{names}: {text}" for names, text in _options(below) if "--help" not in names]
        shown = [*about, *options, *(f"Example: {example}" for example in examples)]
        yield _synopsis(below, name), "\n\n".join(shown)


def as_text(sections: Sequence[Section], width: int = 100) -> str:
    """The manual for a terminal of so many columns."""
    blocks: list[str] = []
    for section in sections:
        body = [_wrapped(text, 4, width) for text in section.paragraphs]
        for term, text in section.entries:
            explained = [_wrapped(paragraph, 8, width) for paragraph in paragraphs(text)]
            body.append("\n".join((f"    {term}", "\n\n".join(explained))))
        blocks.append("\n".join((section.title, "\n\n".join(body))))
    return "\n\n".join(blocks)


def _wrapped(text: str, indent: int, width: int) -> str:
    pad = " " * indent
    if text.startswith("    "):
        return textwrap.indent(text, pad)
    return textwrap.fill(
        text, width, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )


def as_man(sections: Sequence[Section], title: str, chapter: int, version: str, see_also: str) -> str:
    """The manual as a man page."""
    lines = [f'.TH "{title.upper()}" "{chapter}" "" "kamtool {version}" "kamtool manual"', ".nh"]
    for section in [*sections, Section("SEE ALSO", [see_also])]:
        lines.append(f".SH {section.title}")
        for place, text in enumerate(section.paragraphs):
            lines += [".PP"] if place else []
            lines += _roff_block(text)
        for term, text in section.entries:
            lines += [".TP", rf"\fB{_roff(term)}\fR"]
            for place, paragraph in enumerate(paragraphs(text)):
                lines += [".IP"] if place else []
                lines += _roff_block(paragraph)
    return "\n".join(lines) + "\n"


def _roff_block(text: str) -> list[str]:
    if text.startswith("    "):
        return [".EX", *(_roff(line) for line in text.splitlines()), ".EE"]
    return [_roff(text)]


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    text = "".join(c if c.isascii() else rf"\[u{ord(c):04X}]" for c in text)
    return rf"\&{text}" if text.startswith((".", "'")) else text
