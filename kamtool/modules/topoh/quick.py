"""The masks of messages written as nearly all are, in C where the kernel is built."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Protocol, cast

from kamtool.modules.topoh.code import Code
from kamtool.modules.topoh.masks import Marks
from kamtool.speed import NATIVE


class QuickMasks(Protocol):
    """What `Masks` does, from octets to octets; None for a message that takes a closer look."""

    def arrived(self, data: bytes) -> bytes | None: ...

    def leaving(self, data: bytes) -> bytes | None: ...


def quick_masks(
    code: Code, marks: Marks, is_ours: Callable[[bytes], bool], known: dict[bytes, bool]
) -> QuickMasks | None:
    """None where the kernel is not built, and for a Via parameter of another name than `branch`.

    `known` is where answers of `is_ours` are kept.
    """
    if NATIVE and marks.via_param.startswith(b";branch="):
        with suppress(ImportError):
            kernel = import_module("kamtool.speed._masking")
            return cast(
                "QuickMasks",
                kernel.QuickMasks(
                    code.letters, marks.host, marks.uri_param, marks.via_param, marks.branch_prefix,
                    marks.call_id_prefix, marks.mask_call_id, is_ours, known,
                ),
            )  # fmt: skip
    return None
