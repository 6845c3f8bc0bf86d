"""What both kernels know of a contact that has nothing unusual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ALL_METHODS = -1
"""The methods of a contact that sent no Allow: every one."""


@dataclass(frozen=True, slots=True)
class Details:
    """What few contacts have; most share the one object `PLAIN`."""

    path: str = ""
    instance: str = ""
    reg_id: int = 0
    server_id: int = 0
    flags: int = 0
    attributes: tuple[tuple[str, Any], ...] = ()


PLAIN = Details()
