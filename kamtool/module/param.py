"""A parameter of a module, as `modparam` sets it."""

from __future__ import annotations

from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Param(Generic[T]):
    """A `modparam`: its default, its meaning, and through the default (or `kind`) its type, int or str.

    With `repeat` it may be set many times and the attribute is a list of what was set. With `either` a cfg
    may give a number as well as a string.
    """

    def __init__(
        self, default: T, doc: str, *, repeat: bool = False, kind: type | None = None, either: bool = False
    ) -> None:
        self.default, self.doc, self.repeat = default, doc, repeat
        self.kind: type = kind or (str if isinstance(default, str) or default is None else int)
        self.kinds = frozenset((int, str)) if either else frozenset((self.kind,))
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def is_ignored(self) -> bool:
        """Whether it changes nothing here: its doc begins so, and goes on with the reason."""
        return self.doc.startswith(("accepted", "ignored"))

    @overload
    def __get__(self, instance: None, owner: type) -> Param[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Param[T] | T:
        return self if instance is None else self.default
