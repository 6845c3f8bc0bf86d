"""Kamailio's log levels and where they stand among Python's."""

from __future__ import annotations

import logging
from typing import Final

NAMES: Final = {
    "L_ALERT": -5,
    "L_BUG": -4,
    "L_CRIT2": -3,
    "L_CRIT": -2,
    "L_ERR": -1,
    "L_WARN": 0,
    "L_NOTICE": 1,
    "L_INFO": 2,
    "L_DBG": 3,
}

ALERT: Final = 60
BUG: Final = 55

_PYTHON: Final = {
    -5: ALERT,
    -4: BUG,
    -3: logging.CRITICAL,
    -2: logging.CRITICAL,
    -1: logging.ERROR,
    0: logging.WARNING,
    1: 25,
    2: logging.INFO,
    3: logging.DEBUG,
}

logging.addLevelName(ALERT, "ALERT")
logging.addLevelName(BUG, "BUG")


def python_level(level: int) -> int:
    """The logging level of a Kamailio level; those beyond either end are taken for the end."""
    return _PYTHON[min(max(level, -5), 3)]


def level_of(text: str) -> int | None:
    """The level that `L_INFO`, `INFO`, `2` or `-1` names; None when it names none."""
    name = text.strip().upper()
    if name in NAMES:
        return NAMES[name]
    if f"L_{name}" in NAMES:
        return NAMES[f"L_{name}"]
    try:
        return int(name)
    except ValueError:
        return None
