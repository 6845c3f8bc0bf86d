"""`kamtool alias`: other names of users, for a cfg with alias_db."""

from __future__ import annotations

from kamtool.cli.family import Column, Family

command = Family(
    "dbaliases",
    "alias",
    (Column("alias", ("alias_username", "alias_domain")), Column("user", ("username", "domain"))),
).command(
    "Add, list and remove aliases. A running server knows at once.",
    "kamtool alias add sales@example.com alice@example.com",
)
