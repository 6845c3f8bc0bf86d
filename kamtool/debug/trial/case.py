"""Test files: TOML into cases. Everything a case may say is named here."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kamtool.debug.offline.server import NOON
from kamtool.errors import UsageError

Table = Mapping[str, Any]

STEP = frozenset(
    ("send", "from", "to", "source", "headers", "body", "call_id", "cseq", "expect", "variables",
     "wait", "answer", "rpc", "result", "rows", "credentials")
)  # fmt: skip
CASE = STEP | {"name", "steps", "unreachable"}
SUITE = frozenset(("cfg", "define", "listen", "now", "seed", "dns", "rows", "case", "unreachable"))
EXPECTED = frozenset(("status", "reason", "request", "uri", "next_hop", "headers", "body"))


@dataclass(slots=True)
class Case:
    """One test: its steps, one after the other, on a server as it is right after its start."""

    name: str
    steps: Sequence[Table]
    unreachable: Sequence[str] = ()


@dataclass(slots=True)
class Suite:
    """One file of tests, and the server that they want."""

    path: Path
    cfg: Path
    cases: list[Case]
    defines: dict[str, str | None] = field(default_factory=dict)
    listens: Sequence[str] = ()
    epoch: float = NOON
    seed: int = 1
    dns: Table = field(default_factory=dict)
    rows: Mapping[str, Sequence[Table]] = field(default_factory=dict)

    @property
    def wants_variables(self) -> bool:
        """Whether any step asks for variables."""
        return any("variables" in step for case in self.cases for step in case.steps)


def read(path: Path, cfg: Path | None = None) -> Suite:
    """The tests of a file, for another cfg than the one it names when one is given. Raises UsageError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", exit_code=3) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    _only(data, SUITE, str(path))
    if cfg is None and not isinstance(data.get("cfg"), str):
        raise UsageError(f'{path}: `cfg = "FILE"` is missing', hint="or name one with --cfg")
    rows = data.get("case", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: tests are written as [[case]]")
    suite = Suite(path, cfg or path.parent / data["cfg"], [_case(row, path) for row in rows])
    suite.defines = {
        name: None if value in (True, "") else str(value) for name, value in data.get("define", {}).items()
    }
    suite.listens, suite.dns, suite.rows = data.get("listen", ()), data.get("dns", {}), data.get("rows", {})
    suite.seed, suite.epoch = int(data.get("seed", 1)), _moment(data.get("now", NOON), path)
    for name, count in Counter(case.name for case in suite.cases).items():
        if count > 1:
            raise UsageError(f"{path}: two cases are called {name!r}")
    return suite


def _case(row: Table, path: Path) -> Case:
    name = row.get("name")
    if not isinstance(name, str) or not name:
        raise UsageError(f"{path}: a [[case]] has no name")
    where = f"{path}: {name}"
    _only(row, CASE, where)
    steps: list[Table] = list(row.get("steps", []))
    own = {key: value for key, value in row.items() if key in STEP}
    if own and steps:
        raise UsageError(f"{where}: has steps and {', '.join(own)} beside them")
    for step in steps or [own]:
        _only(step, STEP, where)
        if not set(step) & {"send", "wait", "answer", "rpc", "rows"}:
            raise UsageError(f"{where}: a step does nothing", hint="send, answer, wait, rpc or rows")
        expected = step.get("expect", [])
        for each in expected if isinstance(expected, list) else [expected]:
            if isinstance(each, dict):
                _only(each, EXPECTED, where)
    return Case(name, steps or [own], row.get("unreachable", ()))


def _only(table: Table, known: frozenset[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, sorted(known), 1)
            raise UsageError(
                f"{where}: nothing is called {key!r} here",
                hint=f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(known))}",
            )


def _moment(value: Any, path: Path) -> float:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    raise UsageError(f"{path}: now = {value!r} is no date and time", hint="now = 2026-01-01T12:00:00Z")
