"""What all parts of htable share: the tables."""

from __future__ import annotations

from kamtool.errors import ScriptError
from kamtool.module import Host
from kamtool.modules.htable.table import Table


class Tables:
    """The tables by name."""

    server: Host
    htables: dict[str, Table]

    def table(self, name: str) -> Table:
        """The table `name`. Raises ScriptError."""
        table = self.htables.get(name)
        if table is None:
            raise ScriptError(f"there is no htable {name!r}")
        return table

    def put(self, table: Table, key: str, value: int | str) -> None:
        """Store a value. Raises ScriptError when the table is full."""
        if not table.set(key, value):
            raise ScriptError(f"htable {table.name!r} is full: `memory_limit` is reached")
