"""Rows of the database become contacts of a table, a million of them at a start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import intern
from typing import Any

from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact
from kamtool.modules.usrloc.table import Table
from kamtool.store.times import LAST_JULIAN_DAY, UNIX_EPOCH

Read = Callable[[object, Sequence[Any], float], Contact | None]


def load(
    rows: list[tuple[Any, ...]], more: dict[int, tuple[Any, ...]], table: Table, use_domain: bool,
    offset: float, now: float, keep: Callable[[Contact], bool] | None, read: Read,
) -> int:  # fmt: skip
    """Add the valid contacts of these rows, as `Rows.select_short` finds them; how many there were.

    `more` has the rest of those that are more than plain. `read` is asked about every unusual row.
    """
    records, loaded = table.records, 0
    for row in rows:
        (number, ruid, user, domain, uri, received, expires, q, call_id, cseq, modified, cflags, agent,
         socket, methods, plain) = row  # fmt: skip
        if (
            plain
            and type(expires) is float
            and type(modified) is float
            and 0.0 < modified <= LAST_JULIAN_DAY
            and UNIX_EPOCH < expires <= LAST_JULIAN_DAY
            and type(q) is float
            and type(cseq) is int
            and type(cflags) is int
            and type(uri) is str
            and type(user) is str
            and type(ruid) is str
            and type(call_id) is str
            and type(agent) is str
            and (methods is None or type(methods) is int)
            and (received is None or type(received) is str)
            and (socket is None or type(socket) is str)
            and (domain is None or type(domain) is str)
            and user
            and ruid
            and ":" in uri
        ):
            expires_at = (expires - UNIX_EPOCH) * 86400.0 - offset
            if expires_at <= now:
                continue
            aor = f"{user}@{domain}" if use_domain and domain else user
            known = records.get(aor)
            contact = Contact(
                known[0].aor if known else aor,
                uri,
                ruid,
                expires_at,
                (modified - UNIX_EPOCH) * 86400.0 - offset,
                -1 if q < 0.0 else round(q * 1000.0),
                call_id,
                cseq,
                received or "",
                intern(agent),
                intern(socket or ""),
                0,
                ALL_METHODS if methods is None else methods,
                cflags,
                PLAIN,
            )
        else:
            _, path, instance, flags, reg_id, server_id = more.get(number) or (0, None, None, 0, 0, 0)
            whole = (
                ruid, user, domain, uri, received, path, expires, q, call_id, cseq, modified, flags, cflags,
                agent, socket, methods, instance, reg_id, server_id, 0,
            )  # fmt: skip
            unusual = read(number, whole, offset)
            if unusual is None or not (unusual.expires_at > now or unusual.expires_at == 0):
                continue
            contact = unusual
        if keep is None or keep(contact):
            table.insert(contact)
            loaded += 1
    return loaded
