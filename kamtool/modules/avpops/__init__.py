"""avpops: operations on AVPs, and AVPs kept in a database."""

from __future__ import annotations

import logging
from functools import lru_cache

from kamtool.errors import ConfigError, ParseError, ScriptError, StoreError
from kamtool.module import (
    ANY,
    ONSEND_ROUTE,
    Host,
    Module,
    Param,
    Plain,
    Substitution,
    Value,
    Variable,
    function,
)
from kamtool.modules.avpops.parts import Names, computed, holds, key_of, names_of, operation_of
from kamtool.modules.avpops.preferences import Preferences
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.sqlops.statement import statement
from kamtool.script.avp import Scalar
from kamtool.script.context import Branch, Context
from kamtool.script.substitution import SedSubstitution, compile_substitution
from kamtool.script.values import to_int, to_str
from kamtool.store.databases import require_version

logger = logging.getLogger("kamtool.modules.avpops")


@lru_cache(maxsize=256)
def _compiled(text: str) -> SedSubstitution:
    return compile_substitution(text)


VERSION = 2
OK, FAILED, NO_ROWS = 1, -1, -2


class Avpops(Preferences, Module):
    """Copy, test, change and delete AVPs, and keep them per user in the table `usr_preferences`.

    Arguments are texts such as `$avp(a)/$avp(b)/gd`: a source, a destination, flags. `g` means all values of
    an AVP, not only the newest, `d` that the source is deleted, `n` and `s` number and text.
    """

    name = "avpops"
    tables = ("usr_preferences",)

    db_url = Param("", "the database; without one only the functions on AVPs work")
    avp_table = Param("usr_preferences", "the table of avp_db_load(), avp_db_store() and avp_db_delete()")
    use_domain = Param(0, "1: a user is found by name and domain")
    uuid_column = Param("uuid", "the column of a user's id")
    username_column = Param("username", "the column of the user name")
    domain_column = Param("domain", "the column of the domain")
    attribute_column = Param("attribute", "the column of the AVP's name")
    value_column = Param("value", "the column of its value")
    type_column = Param("type", "the column of its type: 0 text, 1 number; 2 and 3 with a number for a name")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database = None
        self._variables: dict[str, Variable] = {}

    async def start(self) -> None:
        """Open the database. Raises ConfigError or StoreError."""
        if self.db_url:
            self.database = await open_database(self.server, self.db_url, "avpops")
            await require_version(self.database, self.avp_table, VERSION)

    def variable(self, text: str) -> Variable:
        """A variable named in an argument, compiled once. Raises ScriptError."""
        found = self._variables.get(text)
        if found is None:
            try:
                found = self._variables[text] = self.server.variable(text)
            except ConfigError as error:
                raise ScriptError(error.message) from error
        return found

    def _values(self, ctx: Context, names: Names) -> list[Scalar]:
        """The values meant, newest first: of an AVP with `g` all, else one."""
        if names.source.startswith(("$avp(", "s:", "i:")):
            values = ctx.avps.all(key_of(names.source))
            return values if "g" in names.flags else values[:1]
        value = self.variable(names.source).get(ctx)
        return [] if value is None else [value]

    # On AVPs

    @function("is_avp_set", routes=ANY & ~ONSEND_ROUTE)
    def is_avp_set(self, ctx: Context, name: Plain) -> bool:
        """Whether an AVP has a value; `/n` one that is a number, `/s` a text, `/e` an empty one."""
        names = names_of(name)
        value = ctx.avps.top(key_of(names.source))
        if value is None:
            return False
        if "e" in names.flags:
            return value in ("", 0)
        if "n" in names.flags:
            return type(value) is int
        return "s" not in names.flags or type(value) is str

    @function("avp_delete", routes=ANY & ~ONSEND_ROUTE)
    def avp_delete(self, ctx: Context, name: Plain) -> bool:
        """Delete the newest value of an AVP, `/g` all; false when there is none."""
        names = names_of(name)
        key = key_of(names.source)
        if ctx.avps.top(key) is None:
            return False
        ctx.avps.set(key, "*" if "g" in names.flags else 0, None)
        return True

    @function("avp_copy", routes=ANY & ~ONSEND_ROUTE)
    def avp_copy(self, ctx: Context, source: Plain, destination: Plain) -> bool:
        """Copy the newest value of an AVP, `/g` all; `/d` moves, `/n` makes numbers, `/s` texts."""
        names = names_of(destination)
        old, new = key_of(source), key_of(names.source)
        values = ctx.avps.all(old)
        if not values:
            return False
        chosen = values if "g" in names.flags else values[:1]
        if "d" in names.flags:
            ctx.avps.set(old, "*" if "g" in names.flags else 0, None)
        for value in chosen:
            ctx.avps.push(new, _converted(value, names.flags))
        return True

    @function("avp_subst", routes=ANY & ~ONSEND_ROUTE)
    def avp_subst(self, ctx: Context, name: Plain, change: Substitution) -> bool:
        """Change a text: `avp_subst("$avp(a)/$avp(b)/g", "/regex/replacement/")`; false when nothing matched.

        Without a destination the result stands in place of all values of the AVP.
        """
        names = names_of(name)
        results = []
        for value in self._values(ctx, names):
            changed = change.apply(ctx, to_str(value))
            if changed is not None:
                results.append(changed)
        if not results:
            return False
        key = key_of(names.source)
        if names.destination is None:
            ctx.avps.set(key, "*", None)
        elif "d" in names.flags:
            ctx.avps.set(key, "*" if "g" in names.flags else 0, None)
        for text in results:
            ctx.avps.push(key if names.destination is None else key_of(names.destination), text)
        return True

    @function("avp_subst_pv", routes=ANY & ~ONSEND_ROUTE)
    def avp_subst_pv(self, ctx: Context, name: Variable, change: str) -> bool:
        """Change the text of any variable, as avp_subst(); the expression too may come from variables."""
        value = name.get(ctx)
        try:
            changed = None if value is None else _compiled(change).apply(ctx, to_str(value))
        except ConfigError as error:
            logger.error("avp_subst_pv: %s", error)
            return False
        if changed is None:
            return False
        name.set(ctx, changed)
        return True

    def _operand(self, ctx: Context, variable: str, operand: Value) -> Value:
        return self.variable(variable).get(ctx) if variable else operand

    @function("avp_check", routes=ANY & ~ONSEND_ROUTE)
    def avp_check(self, ctx: Context, name: Plain, test: Plain) -> bool:
        """Compare: `avp_check("$avp(n)", "gt/i:6")`; `/g` behind it asks any value, `/i` ignores case.

        Operators: eq, ne, lt, le, gt, ge, re (a regular expression), fm (`*` and `?`), and, or, xor.
        """
        asked = operation_of(test)
        operand = self._operand(ctx, asked.variable, asked.operand)
        values = self._values(ctx, Names(names_of(name).source, None, asked.flags))
        return any(holds(value, asked.operator, operand, fold="i" in asked.flags) for value in values)

    @function("avp_op", routes=ANY & ~ONSEND_ROUTE)
    def avp_op(self, ctx: Context, name: Plain, operation: Plain) -> bool:
        """Compute with every number of an AVP: `avp_op("$avp(n)/$avp(b)", "add/i:3")`.

        The results are pushed, also where no destination is named. Operators: add, sub, mul, div, mod, and,
        or, xor, not.
        """
        names, asked = names_of(name), operation_of(operation)
        operand = to_int(self._operand(ctx, asked.variable, asked.operand))
        key = key_of(names.source)
        numbers = [value for value in ctx.avps.all(key) if type(value) is int]
        target = key if names.destination is None else key_of(names.destination)
        for number in numbers:
            ctx.avps.push(target, computed(number, asked.operator, operand))
        return bool(numbers)

    @function("avp_pushto", routes=ANY & ~ONSEND_ROUTE)
    def avp_pushto(self, ctx: Context, destination: Plain, source: Plain) -> bool:
        """Put a value into `$ru`, `$ru/username`, `$ru/domain`, `$du`, or as a branch into `$br`.

        With `/g` the newest goes into `$ru`, the others become branches.
        """
        place, _, part = destination.partition("/")
        values = [to_str(value) for value in self._values(ctx, names_of(source))]
        if not values:
            return False
        first, *others = values
        if place == "$ru":
            named = {"": "$ru", "username": "$rU", "domain": "$rd"}.get(part)
            if named is None:
                raise ScriptError(f"avp_pushto: {destination!r} is no part of the R-URI")
            self.variable(named).set(ctx, first)
        elif place == "$du":
            ctx.dst_uri = first
        elif place == "$br":
            ctx.add_branch(Branch(first))
        else:
            raise ScriptError(f"avp_pushto: {destination!r} is none of $ru, $du and $br")
        for uri in others if place != "$du" else ():
            ctx.add_branch(Branch(uri))
        return True

    @function("avp_print", routes=ANY & ~ONSEND_ROUTE)
    def avp_print(self, ctx: Context) -> int:
        """Write all AVPs of this message to the log."""
        for key, values in ctx.avps.named.items():
            logger.info("avp %s: %s", key, ", ".join(map(repr, reversed(values))))
        return OK

    # In the database

    @function("avp_db_load", routes=ANY & ~ONSEND_ROUTE)
    def avp_db_load(self, ctx: Context, user: Plain, name: Plain) -> bool:
        """Read a user's AVP, or `*` all, from the table: `avp_db_load("$fu", "$avp(foo)")`.

        `$fu/username` and `$fu/domain` take only that part; a variable that is no URI is the user's uuid.
        """
        try:
            return self.read(ctx, user, name) > 0
        except (ParseError, StoreError) as error:
            logger.error("avp_db_load: %s", error)
            return False

    @function("avp_db_store", routes=ANY & ~ONSEND_ROUTE)
    async def avp_db_store(self, ctx: Context, user: Plain, name: Plain) -> bool:
        """Write the values of an AVP into the table; false when it has none."""
        try:
            return await self.store(ctx, user, name) > 0
        except (ParseError, StoreError) as error:
            logger.error("avp_db_store: %s", error)
            return False

    @function("avp_db_delete", routes=ANY & ~ONSEND_ROUTE)
    async def avp_db_delete(self, ctx: Context, user: Plain, name: Plain) -> bool:
        """Delete a user's AVP, or `*` all, from the table."""
        try:
            await self.erase(ctx, user, name)
        except (ParseError, StoreError) as error:
            logger.error("avp_db_delete: %s", error)
            return False
        return True

    @function("avp_db_query", routes=ANY & ~ONSEND_ROUTE)
    async def avp_db_query(self, ctx: Context, query: str, results: Plain = "") -> int:
        """Send a query; its columns are pushed to AVPs, `"$avp(a);$avp(b)"`, else `$avp(i:1)` and on.

        1 there are rows, -2 there are none, -1 it failed. The first row is on top; NULL is left out.
        """
        targets = [key_of(part) for part in results.split(";") if part.strip()]
        try:
            database = self.opened()
            made = statement(query)
            rows = await database.query(made.sql) if made.reads else []
            if not made.reads:
                await database.write(made.sql)
        except (ScriptError, StoreError) as error:
            logger.error("avp_db_query: %s, in %r", error, query[:200])
            return FAILED
        for row in reversed(rows):
            for place, cell in enumerate(row):
                key = place + 1 if not targets else targets[place] if place < len(targets) else None
                if cell is not None and key is not None:
                    ctx.avps.push(key, cell if isinstance(cell, int | str) else str(cell))
        return OK if rows else NO_ROWS


def _converted(value: Scalar, flags: str) -> Scalar:
    if "n" in flags:
        return to_int(value)
    return to_str(value) if "s" in flags else value
