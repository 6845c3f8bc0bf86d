"""A traceback through routes that stand in their callers, as if they had been called.

Code generation puts each of them into a `try`, which costs nothing until something is raised. What is raised
then gets the frame that is missing: of a route of this name, at the line where the error is; and the function
around it shows the line of the call.
"""

from __future__ import annotations

import sys
from types import FrameType, FunctionType, TracebackType

from kamtool.script.context import Exit


def inside(error: Exception, name: str, line: int) -> None:
    """Tell an error that the statement it comes from stands in the route `name`, called at `line`."""
    here = error.__traceback__
    if here is None or isinstance(error, Exit):
        return
    frame = here.tb_frame
    callee = TracebackType(here.tb_next, _frame(name, frame.f_code.co_filename), -1, here.tb_lineno)
    error.__traceback__ = TracebackType(callee, frame, -1, line)


def _frame(name: str, file: str) -> FrameType:
    """A frame that is called so; there is no other way to one than to run it."""
    code = _here.__code__.replace(co_name=name, co_qualname=name, co_filename=file)
    made: FrameType = FunctionType(code, {"sys": sys})()
    return made


def _here() -> FrameType:
    return sys._getframe()
