"""A table as its modparam defines it: `ipban=>size=8;autoexpire=300;dbtable=bans`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kamtool.errors import ConfigError

_NUMBER = re.compile(r"[0-9]{1,10}")
_SIGNED = re.compile(r"[+-]?[0-9]{1,10}")
_COLUMN = re.compile(r"\w+", re.ASCII)
_SETTING = re.compile(r"""\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^;]*?))\s*(?:;|$)""")

NAMES = "size autoexpire dbtable cols dbmode initval updateexpire coldelim colnull dmqreplicate"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a table is to be."""

    name: str
    size: int = 4
    """The table has 2 to this power slots, as far as anyone can see."""
    autoexpire: int = 0
    dbtable: str = ""
    columns: tuple[str, ...] = ()
    """The column of the key and those of the value, when the database table is an ordinary one."""
    delimiter: str = ","
    null: str = ""
    dbmode: int = 0
    initval: int | None = None
    updateexpire: bool = True

    @property
    def slots(self) -> int:
        return 1 << self.size


def _bad(text: str, what: str, hint: str = "") -> ConfigError:
    return ConfigError(f"htable: {what} in {text!r}", hint=hint, code="KT1201")


def read_definition(text: str) -> Definition:
    """The definition that a modparam writes. Raises ConfigError."""
    name, arrow, rest = text.partition("=>")
    name = name.strip()
    if not arrow or not name:
        raise _bad(text, "no name", "name=>size=8;autoexpire=300")
    settings: dict[str, str] = {}
    place = 0
    while place < len(rest) and rest[place:].strip():
        found = _SETTING.match(rest, place)
        if found is None:
            raise _bad(text, f"{rest[place:]!r} is no setting", "name=>size=8;autoexpire=300")
        value = next(group for group in (*found.groups()[1:], "") if group is not None)
        settings[found[1]] = value
        place = found.end()
    unknown = settings.keys() - set(NAMES.split())
    if unknown:
        raise _bad(text, f"unknown setting `{min(unknown)}`", f"known are {NAMES.replace(' ', ', ')}")
    if _number(text, settings, "dmqreplicate", 0):
        raise _bad(text, "`dmqreplicate=1`", "there is no replication between servers; set it to 0")
    return _definition(text, name, settings)


def _definition(text: str, name: str, settings: dict[str, str]) -> Definition:
    size = _number(text, settings, "size", 4)
    initval = settings.get("initval")
    if initval is not None and _SIGNED.fullmatch(initval) is None:
        raise _bad(text, f"`initval={initval}` is no number")
    table = settings.get("dbtable", "")
    columns = tuple(column.strip() for column in settings.get("cols", "").split(",") if column.strip())
    if len(columns) == 1:
        raise _bad(text, "`cols` needs the key's column and at least one more", "cols='key_name,key_value'")
    for word in (*columns, *([table] if table else [])):
        if _COLUMN.fullmatch(word) is None:
            raise _bad(text, f"{word!r} is no name of a table or column")
    mode = _number(text, settings, "dbmode", 0)
    if mode and columns:
        raise _bad(text, "`dbmode` with `cols`", "a table of chosen columns is read, never written")
    return Definition(
        name,
        min(max(size, 3), 31),
        _number(text, settings, "autoexpire", 0),
        table,
        columns,
        settings.get("coldelim", ",")[:1],
        settings.get("colnull", "")[:1],
        mode,
        None if initval is None else int(initval),
        _number(text, settings, "updateexpire", 1) != 0,
    )


def _number(text: str, settings: dict[str, str], name: str, default: int) -> int:
    value = settings.get(name)
    if value is None:
        return default
    if _NUMBER.fullmatch(value) is None:
        raise _bad(text, f"`{name}={value}` is no number")
    return int(value)
