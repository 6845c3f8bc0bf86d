"""Classes whose instances are made on the spot. The pure twin."""

from __future__ import annotations

from typing import TypeVar

Class = TypeVar("Class", bound=type)


def direct(cls: Class) -> Class:
    """Let calls of this kind of `Index` go straight to its `__new__`; its subclasses are called as usual.

    In C that is a quarter of the way to a message. The pure twin has nothing to gain.
    """
    return cls
