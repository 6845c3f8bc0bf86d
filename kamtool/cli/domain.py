"""`kamtool domain`: the domains that are ours, for a cfg with domain."""

from __future__ import annotations

from kamtool.cli.family import Column, Family, Row


def _check(row: Row) -> Row:
    domain = str(row["domain"]).lower().rstrip(".")
    if not domain or set(domain) & set(' @:;<>"\\,?/'):
        raise ValueError(f"{row['domain']!r} is no domain")
    return row | {"domain": domain, "did": row["did"] or None}


command = Family(
    "domain",
    "domain",
    (Column("domain", ("domain",)),),
    (Column("did", ("did",), "", "Its id in the table of attributes; by default the domain itself."),),
    "domain.reload",
    _check,
).command("Add, list and remove the domains that are ours.", "kamtool domain add example.com")
