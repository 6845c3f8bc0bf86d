"""Copies as rows of a database."""

from __future__ import annotations

from kamtool.modules.siptrace.copies import COLUMNS, Copy
from kamtool.store.database import Database


class Rows:
    """Writes copies, in batches and beside the calls; a row for each user who is traced."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._statements: dict[str, str] = {}

    def post(self, copy: Copy, users: tuple[str, ...], table: str) -> None:
        statement = self._statements.get(table)
        if statement is None:
            marks = ", ".join("?" * len(COLUMNS))
            statement = f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({marks})"
            self._statements[table] = statement
        for user in users or ("",):
            self.database.post(statement, copy.row(user))
