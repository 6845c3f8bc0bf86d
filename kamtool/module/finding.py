"""The modules that there are: those of kamtool, and those that other packages bring."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError
from kamtool.module.base import Module

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def find(name: str) -> type[Module]:
    """The class of the module `name` (`htable`, without `.so` or folder): built in, else by entry point.

    Raises ConfigError when there is none: a module that is not built is refused, never pretended.
    """
    place = f"kamtool.modules.{name}"
    try:
        source = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != place:
            raise
        if name in (others := _entry_points()):
            return cast("type[Module]", others[name].load())
        raise ConfigError(f"kamtool has no module `{name}`", code="KT1200") from error
    for member in vars(source).values():
        if isinstance(member, type) and issubclass(member, Module) and member.__module__.startswith(place):
            return member
    raise ConfigError(f"`{place}` declares no Module", code="KT1200")


def available() -> list[str]:
    """The names of all modules that `loadmodule` accepts, sorted."""
    return list(_available())


@cache
def _available() -> tuple[str, ...]:
    import pkgutil

    package = importlib.import_module("kamtool.modules")
    names = {entry.name for entry in pkgutil.iter_modules(package.__path__) if not entry.name.startswith("_")}
    return tuple(sorted(names | _entry_points().keys()))


@cache
def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import (
        entry_points,  # costs 10 ms, and only a name that is not built in asks for it
    )

    return {entry.name: entry for entry in entry_points(group="kamtool.modules")}
