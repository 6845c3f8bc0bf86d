"""Every option that is given does something: one that would do nothing is refused, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.core import ParameterSource

from kamtool.errors import UsageError

Rule = tuple[str, Callable[[Any], object], str]
"""An option, when it would do nothing, and why then."""


def named() -> dict[str, str]:
    """The options on this command line: their parameters, and how each is written there."""
    context = click.get_current_context()
    return {
        parameter.name or "": max(_spellings(parameter, context.params.get(parameter.name or "")), key=len)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    }


def _spellings(option: click.Option, value: object) -> list[str]:
    return option.secondary_opts if option.secondary_opts and value is False else option.opts


def refuse_idle(options: dict[str, str], rules: Iterable[Rule], asked: object) -> None:
    """Raise UsageError for the first option of these that would do nothing."""
    for option, is_idle, why in rules:
        if option in options and is_idle(asked):
            raise UsageError(f"{options[option]} would do nothing: {why}")
