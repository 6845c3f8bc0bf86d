"""sqlops: SQL queries from the script."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from kamtool.errors import ConfigError, ScriptError, StoreError
from kamtool.module import ANY, Host, Module, Param, Plain, Value, Variable, function, pv, transformation
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.sqlops.result import EMPTY, Key, Result, key, value_of
from kamtool.modules.sqlops.statement import statement
from kamtool.modules.sqlops.uses import Use, uses, variables_in
from kamtool.script.avp import Record
from kamtool.script.values import length, to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.sqlops")

FAILED, ROWS, NO_ROWS, IGNORED = -1, 1, 2, 3
"""The return codes: an error, at least one row, no row, rows that nobody wanted."""


class Outcome(NamedTuple):
    """What a query gave: its result, and how many rows it read or changed."""

    result: Result
    touched: int


class Sqlops(Module):
    """Send SQL queries to databases and read their results.

    A query returns 1 when there are rows, 2 when there are none (so it is after INSERT, UPDATE and DELETE),
    3 when there are rows and no result to keep them, and -1 when it failed. Put what a message brought into
    a query as `$(var(x){sql.val})`, quoted and escaped. SQLite knows no escapes; here it is given the texts
    as they were meant: `'o\\'x'` is o'x, and `'a\\\\b'` is a\\b.

    Each query is one statement and a transaction of its own. A message keeps the results it asked for; one
    that asked for none sees the latest of that name.
    """

    name = "sqlops"

    sqlcon = Param("", "a connection and its database: `ca=>sqlite:////var/lib/kamtool/k.db`", repeat=True)
    sqlres = Param("", "accepted: a result has a name as soon as a query gives it one", repeat=True)
    tr_buf_size = Param(2048, "octets; `{sql.val}` escapes texts shorter than half of it")
    log_buf_size = Param(1024, "the most characters of a query that the log shows")
    connect_mode = Param(0, "1: start although a database cannot be opened, and try again at each query")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.connections: dict[str, str] = {}
        self._databases: dict[str, Database] = {}
        self._results: dict[str, Result] = {}
        self._counts: dict[str, int] = {}
        self._keys: dict[str, Key] = {}
        self._lists: dict[str, list[Variable]] = {}

    # Start

    async def start(self) -> None:
        """Open the databases and look at what the routes name. Raises ConfigError or StoreError."""
        self._connections()
        for name, url in self.connections.items():
            await self._connect(name, url)
        script: Any = getattr(self.server, "script", None)
        if script is not None and hasattr(script, "routes"):
            for use in uses(script):
                self._check(use, script.scope)

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The connections are urls with names, and what the routes name exists."""
        self._connections()
        for use in uses(script):
            try:
                self._check(use, script.scope)
            except ConfigError as error:
                yield error

    def _connections(self) -> None:
        for entry in self.__dict__["sqlcon"]:
            name, arrow, url = (part.strip() for part in entry.partition("=>"))
            if not (name and arrow and url):
                raise ConfigError(
                    f"sqlops: sqlcon {entry!r} is no name=>url", code="KT1201",
                    hint='modparam("sqlops", "sqlcon", "ca=>sqlite:////var/lib/kamtool/kamtool.db")',
                )  # fmt: skip
            if name in self.connections:
                raise ConfigError(f"sqlops: there are two connections {name!r}", code="KT1201")
            self.connections[name] = url

    async def _connect(self, name: str, url: str) -> None:
        try:
            self._databases[name] = await open_database(self.server, url, "sqlops")
        except StoreError as error:
            if not self.connect_mode:
                raise
            logger.error("connection %s: %s", name, error)

    def _check(self, use: Use, scope: Any) -> None:
        """Raises ConfigError for what Kamailio refuses to start with as well."""
        try:
            if use.what == "$dbr":
                self._key(use.text)
            elif use.what == "variables":
                for reference in variables_in(use.text):
                    if not scope.pvs[reference.name][1].setter:
                        raise ConfigError(f"sqlops: {reference.text} is read-only", code="KT1201")
                self._list(use.text)
            elif use.text not in self.connections:
                known = ", ".join(self.connections) or "none"
                raise ConfigError(
                    f"sqlops: there is no connection {use.text!r}", code="KT1201",
                    hint=f"modparam sqlcon names: {known}",
                )  # fmt: skip
        except ConfigError as error:
            raise ConfigError(error.message, use.span, hint=error.hint, code=error.code) from error

    # Queries

    @function("sql_query", routes=ANY)
    async def sql_query(
        self, ctx: Context, connection: Plain, query: str, result: Plain | None = None
    ) -> int:
        """Send a query; `$dbr(result=>…)` reads what it gave."""
        outcome = await self._run(ctx, connection, query)
        if result is not None:
            self._keep(ctx, result, EMPTY if outcome is None else outcome.result)
        if outcome is None:
            return FAILED
        if not outcome.result.rows:
            return NO_ROWS
        return IGNORED if result is None else ROWS

    @function("sql_xquery", routes=ANY)
    async def sql_xquery(self, ctx: Context, connection: Plain, query: str, result: str) -> int:
        """Send a query; each row becomes an XAVP `result`, the first on top: `$xavp(result=>column)`."""
        outcome = await self._run(ctx, connection, query)
        if outcome is None:
            return FAILED
        columns, rows = outcome.result.columns, outcome.result.rows
        for row in reversed(rows):
            record = Record()
            for column, cell in zip(columns, row, strict=True):
                values = record.fields.setdefault(column, [])
                if (value := value_of(cell)) is not None:
                    values.append(value)
            ctx.avps.xavps.push(result, record)
        return ROWS if rows else NO_ROWS

    @function("sql_pvquery", routes=ANY)
    async def sql_pvquery(self, ctx: Context, connection: Plain, query: str, result: Plain) -> int:
        """Send a query and assign its columns to variables: `$var(a);$avp(b)`.

        It goes from the last row to the first. An AVP is left alone by a NULL.
        """
        try:
            variables = self._list(result)
        except ConfigError as error:
            raise ScriptError(error.message) from error
        outcome = await self._run(ctx, connection, query)
        if outcome is None:
            return FAILED
        for row in reversed(outcome.result.rows):
            for place, cell in enumerate(row):
                if place == len(variables):
                    logger.error("sql_pvquery: %r names nothing for column %d", result, place + 1)
                    return FAILED
                value, variable = value_of(cell), variables[place]
                if value is not None or not variable.text.startswith(("$avp(", "$(avp(")):
                    variable.set(ctx, value)
        return ROWS if outcome.result.rows else NO_ROWS

    @function("sql_query_async", routes=ANY)
    def sql_query_async(self, ctx: Context, connection: Plain, query: str) -> int:
        """Send a query that writes, and do not wait: what becomes of it is told by the log alone."""
        try:
            self._database(connection).post(statement(query).sql)
        except (ScriptError, StoreError) as error:
            self._refuse(connection, query, error)
            return FAILED
        return ROWS

    @function("sql_result_free", routes=ANY)
    def sql_result_free(self, ctx: Context, result: Plain) -> int:
        """Forget a result."""
        own = ctx.scratch.get("sqlops.results", {}).get(result)
        if own is None or self._results.get(result) is own:
            self._results.pop(result, None)
        ctx.scratch.setdefault("sqlops.results", {})[result] = EMPTY
        return 1

    async def _run(self, ctx: Context, connection: str, query: str) -> Outcome | None:
        """The outcome of a query, None when it failed; the log says why."""
        try:
            if connection in self.connections and connection not in self._databases:
                await self._connect(connection, self.connections[connection])
            outcome = await self._send(self._database(connection), query)
        except (ScriptError, StoreError, ValueError, OverflowError) as error:
            self._refuse(connection, query, error)
            outcome = None
        count = 0 if outcome is None else outcome.touched
        ctx.scratch.setdefault("sqlops.counts", {})[connection] = self._counts[connection] = count
        return outcome

    async def _send(self, database: Database, query: str) -> Outcome:
        """Raises ScriptError, StoreError or ValueError."""
        made = statement(query)
        if made.reads:
            try:
                columns, rows = await database.table(made.sql)
            except StoreError as error:
                if not _is_write(error):
                    raise
            else:
                return Outcome(Result(columns, rows) if rows else EMPTY, len(rows))
        return Outcome(EMPTY, await database.write(made.sql))

    def _database(self, connection: str) -> Database:
        found = self._databases.get(connection)
        if found is None:
            raise StoreError(
                "the database is not open" if connection in self.connections else "no such connection"
            )
        return found

    def _refuse(self, connection: str, query: str, error: Exception) -> None:
        shown = query[: self.log_buf_size]
        logger.error("%s: %s, in %r%s", connection, error, shown, "…" if shown != query else "")

    # Results

    def _keep(self, ctx: Context, name: str, result: Result) -> None:
        # Other messages run while this one waits for a query: what they read must not come between its rows.
        ctx.scratch.setdefault("sqlops.results", {})[name] = self._results[name] = result

    def _key(self, text: str) -> Key:
        """The inside of a `$dbr(…)`, parsed once. Raises ConfigError."""
        found = self._keys.get(text)
        if found is None:
            found = self._keys[text] = key(text, self.server.variable)
        return found

    def _list(self, text: str) -> list[Variable]:
        """The variables of a list, compiled once. Raises ConfigError."""
        found = self._lists.get(text)
        if found is None:
            found = [self.server.variable(reference.text) for reference in variables_in(text)]
            self._lists[text] = found
        return found

    @pv("dbr", inner_required=True)
    def dbr(self, ctx: Context, inner: Plain) -> Value:
        """Of a result: `res=>rows`, `res=>cols`, the value `res=>[row,column]`, a name `res=>colname[n]`."""
        try:
            wanted = self._key(inner)
        except ConfigError as error:
            raise ScriptError(error.message) from error
        own = ctx.scratch.get("sqlops.results", {}).get(wanted.result)
        return wanted.read(ctx, own if own is not None else self._results.get(wanted.result, EMPTY))

    @pv("sqlrows", inner_required=True)
    def sqlrows(self, ctx: Context, inner: Plain) -> Value:
        """How many rows the last query of a connection read or changed."""
        own = ctx.scratch.get("sqlops.counts", {})
        return own[inner] if inner in own else self._counts.get(inner)

    # Transformations

    @transformation("sql.val")
    def sql_val(self, value: Value) -> Value:
        """A number as it is, a text quoted and escaped; NULL when undefined."""
        return self._quoted(value, "NULL")

    @transformation("sql.val.int")
    def sql_val_int(self, value: Value) -> Value:
        """As `sql.val`; 0 when undefined."""
        return self._quoted(value, "0")

    @transformation("sql.val.str")
    def sql_val_str(self, value: Value) -> Value:
        """As `sql.val`; an empty text when undefined."""
        return self._quoted(value, "''")

    def _quoted(self, value: Value, undefined: str) -> Value:
        if value is None:
            return undefined
        if type(value) is int:
            return str(value)
        if length(value) > self.tr_buf_size // 2 - 1:
            logger.error("sql.val: %d octets are more than tr_buf_size allows", length(value))
            return None
        text = re.sub(r"(['\"\\])", r"\\\1", to_str(value)).replace("\0", "\\0")
        return f"'{text}'"


def _is_write(error: StoreError) -> bool:
    """Whether a reader refused a statement because it writes: a WITH … INSERT, a PRAGMA."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY
