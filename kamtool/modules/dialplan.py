"""dialplan: numbers and other texts translated by the rules of a table."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ConfigError, RpcError, ScriptError, StoreError
from kamtool.module import ANY, Host, Module, Param, Plain, Variable, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.store.databases import require_version
from kamtool.store.select import identifier, text_of

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.dialplan")

VERSION: Final = 2
EQUAL, REGEX, SHELL = 0, 1, 2
NOTHING: Final = "<null string>"
LONGEST: Final = 4096
"""Octets of a text that is matched: regular expressions may take long on longer ones."""

Format = Callable[[Any], str]
_GROUP: Final = re.compile(r"\\(\d)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `parts` are the replacement: numbers of groups, and formats between them."""

    plan: int
    priority: int
    operator: int
    match: str
    length: int
    subst: str
    replacement: str
    attributes: str
    pattern: re.Pattern[str] | None
    groups: re.Pattern[str] | None
    parts: tuple[int | Format, ...]

    def fits(self, text: str) -> bool:
        if self.length and self.length != len(text):
            return False
        if self.operator == EQUAL:
            return text == self.match
        if self.operator == SHELL:
            return fnmatch.fnmatchcase(text, self.match)
        return self.pattern is not None and self.pattern.search(text) is not None

    def translate(self, ctx: Any, text: str) -> str | None:
        """What becomes of the text, "" when the rule says nothing. Raises ScriptError if it does not fit."""
        if not self.parts:
            return ""
        found = self.groups.search(text) if self.groups is not None else None
        if self.groups is not None and found is None:
            raise ScriptError(f"dialplan {self.plan}: {self.subst!r} does not match {text!r}")
        return "".join(
            part(ctx) if callable(part) else (found[part] or "") if found is not None else ""
            for part in self.parts
        )


class Dialplan(Module):
    """Translate numbers by rules: the first that matches gives the new text and attributes.

    Of a plan's rules those count first that ask for the text's length, then those with the lower priority
    (`pr`). `match_op` is 0 for equal texts, 1 for a regular expression, 2 for a shell pattern.
    """

    tables = ("dialplan",)
    live = ("append_branch", "reload_delta")

    db_url = Param("", "the database with the rules")
    table_name = Param("dialplan", "the table of rules")
    dpid_col = Param("dpid", "the column of the plan's number")
    pr_col = Param("pr", "the column of the priority")
    match_op_col = Param("match_op", "the column of the kind of match")
    match_exp_col = Param("match_exp", "the column of the expression to match")
    match_len_col = Param("match_len", "the column of the length to match, 0 for any")
    subst_exp_col = Param("subst_exp", "the column of the expression with groups")
    repl_exp_col = Param("repl_exp", "the column of the replacement, with `\\1` and pseudo-variables")
    attrs_col = Param("attrs", "the column of the attributes")
    attrs_pvar = Param("", "the pseudo-variable that gets the attributes of the rule that matched")
    fetch_rows = Param(1000, "accepted: rows are read beside the calls")
    match_dynamic = Param(0, "only 0: pseudo-variables stand in replacements, not in expressions")
    append_branch = Param(1, "accepted: in a failure_route t_relay sends to a changed R-URI anyway")
    reload_delta = Param(5, "seconds between reloads at least")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.plans: dict[int, list[Rule]] = {}
        self.database: Database | None = None
        self.attributes: Variable | None = None
        self._reloaded_at = float("-inf")
        self._ends: dict[str, tuple[Variable, Variable | None]] = {}

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What cannot work."""
        if self.match_dynamic:
            yield ConfigError("dialplan: match_dynamic is not supported", hint="set it to 0", code="KT1201")

    async def start(self) -> None:
        """Read the rules. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]
            raise error
        self.database = await open_database(self.server, self.db_url, "dialplan")
        await require_version(self.database, self.table_name, VERSION)
        if self.attrs_pvar:
            self.attributes = self.server.variable(self.attrs_pvar)
        await self.load()

    async def load(self) -> None:
        """Read the rules; as long as that fails the old ones stay. Raises StoreError."""
        assert self.database is not None
        names = (
            self.dpid_col, self.pr_col, self.match_op_col, self.match_exp_col, self.match_len_col,
            self.subst_exp_col, self.repl_exp_col, self.attrs_col,
        )  # fmt: skip
        columns = ", ".join(map(identifier, names))
        rows = await self.database.query(f"SELECT {columns} FROM {identifier(self.table_name)} ORDER BY id")
        plans: dict[int, list[Rule]] = {}
        for row in rows:
            rule = self._rule(row)
            if rule is not None:
                plans.setdefault(rule.plan, []).append(rule)
        for rules in plans.values():
            rules.sort(key=lambda rule: (rule.length or LONGEST, rule.priority))
        self.plans = plans
        self._reloaded_at = self.server.now()

    def _rule(self, row: tuple[Any, ...]) -> Rule | None:
        try:
            plan, priority, operator, length = (int(row[place] or 0) for place in (0, 1, 2, 4))
            match, subst, replacement, attributes = (text_of(row[place]) for place in (3, 5, 6, 7))
            pattern = re.compile(match) if operator == REGEX else None
            groups = re.compile(subst) if subst else None
            parts = tuple(self._parts(replacement))
            wanted = max((part for part in parts if isinstance(part, int)), default=0)
            if operator not in (EQUAL, REGEX, SHELL) or wanted > (groups.groups if groups else 0):
                raise ValueError("an operator or a group that is not there")
        except (ValueError, TypeError, re.error, ConfigError) as error:
            logger.error("dialplan: a row is left out: %s: %s", row, error)
            return None
        return Rule(
            plan, priority, operator, match, length, subst, replacement, attributes, pattern, groups, parts
        )

    def _parts(self, text: str) -> Iterable[int | Format]:
        for number, piece in enumerate(_GROUP.split(text)):
            if number % 2:
                yield int(piece)
            elif "$" in piece:
                yield self.server.format(piece)
            elif piece:
                yield _constant(piece)

    # From the script

    def _translated(self, ctx: Context, plan: str, text: str) -> tuple[int, str]:
        """The return code, and what became of the text."""
        rules = self.plans.get(int(plan)) if plan.strip().isdigit() else None
        if rules is None:
            return -2, ""
        found = self._find(rules, text)
        if found is None:
            return -1, ""
        try:
            result = found.translate(ctx, text)
        except ScriptError as error:
            logger.error("%s", error)
            return -1, ""
        if self.attributes is not None:
            self.attributes.set(ctx, found.attributes)
        return 1, result or ""

    @staticmethod
    def _find(rules: list[Rule], text: str) -> Rule | None:
        if len(text) > LONGEST:
            return None
        return next((rule for rule in rules if rule.fits(text)), None)

    @function("dp_translate", routes=ANY)
    def dp_translate(self, ctx: Context, plan: str, ends: Plain = "$rU/$rU") -> int:
        """Translate by a plan: `("1", "$var(in)/$var(out)")`, or the user of the R-URI.

        Without `/out` it is only matched. -1 when no rule matches, -2 when there is no such plan.
        """
        source, destination = self._variables(ends)
        value = source.get(ctx)
        if value is None:
            return -1
        code, result = self._translated(ctx, plan, str(value))
        if code > 0 and result and destination is not None:
            destination.set(ctx, result)
        return code

    def _variables(self, ends: str) -> tuple[Variable, Variable | None]:
        known = self._ends.get(ends)
        if known is None:
            source, _, destination = ends.partition("/")
            known = self._ends[ends] = (
                self.server.variable(source.strip()),
                self.server.variable(destination.strip()) if destination.strip() else None,
            )
        return known

    @function("dp_match", routes=ANY)
    def dp_match(self, ctx: Context, plan: str, text: str) -> int:
        """Whether a rule of a plan matches; its attributes are set."""
        return self._translated(ctx, plan, text)[0]

    @function("dp_replace", routes=ANY)
    def dp_replace(self, ctx: Context, plan: str, text: str, destination: Variable) -> int:
        """Translate a text into a variable."""
        code, result = self._translated(ctx, plan, text)
        if code > 0 and result:
            destination.set(ctx, result)
        return code

    @function("dp_reload", routes=ANY)
    async def dp_reload(self, ctx: Context) -> bool:
        """Read the rules again."""
        try:
            await self.load()
        except StoreError as error:
            logger.error("%s", error)
            return False
        return True

    # RPC

    @rpc("dialplan.reload", workers="all")
    async def rpc_reload(self) -> None:
        """Read the rules again."""
        if self.server.now() - self._reloaded_at < self.reload_delta:
            raise RpcError(500, "Ongoing reload")
        try:
            await self.load()
        except StoreError as error:
            raise RpcError(500, str(error)) from error

    def _asked(self, plan: int) -> list[Rule]:
        if plan not in self.plans:
            raise RpcError(500, "No information available for dpid")
        return self.plans[plan]

    @rpc("dialplan.dump")
    def rpc_dump(self, plan: int) -> dict[str, Any]:
        """The rules of a plan, in the order in which they are tried."""
        entries = [
            {
                "ENTRY": {
                    "PRIO": rule.priority, "MATCHOP": rule.operator, "MATCHEXP": rule.match,
                    "MATCHLEN": rule.length, "SUBSTEXP": rule.subst or NOTHING,
                    "REPLEXP": rule.replacement or NOTHING, "ATTRS": rule.attributes,
                }
            }
            for rule in self._asked(plan)
        ]  # fmt: skip
        return {"DPID": plan, "ENTRIES": entries}

    @rpc("dialplan.translate")
    def rpc_translate(self, plan: int, text: str) -> dict[str, str]:
        """What a plan makes of a text."""
        rule = self._find(self._asked(plan), text)
        if rule is None:
            raise RpcError(500, "No translation")
        from kamtool.server.listen import event_context

        try:
            result = rule.translate(event_context(self.server), text)
        except ScriptError as error:
            raise RpcError(500, "No translation") from error
        return {"Output": result or "", "Attributes": rule.attributes}


def _constant(text: str) -> Format:
    return lambda ctx: text
