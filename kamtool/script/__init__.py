"""The configuration language: from the text of a cfg to the routes a server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamtool.script.program import Program, Report, Script, check, load

__all__ = ["Program", "Report", "Script", "check", "load"]


def __getattr__(name: str) -> Any:
    # The parts of this room are imported by modules that need no parser; only who asks for it pays for it.
    if name in __all__:
        from kamtool.script import program

        return getattr(program, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
