"""`kamtool group`: groups of users, for a cfg that asks is_user_in()."""

from __future__ import annotations

from kamtool.cli.family import Column, Family

command = Family(
    "grp", "member", (Column("user", ("username", "domain")), Column("group", ("grp",)))
).command(
    "Add, list and remove members of groups. A running server knows at once.",
    "kamtool group add alice@example.com long-distance",
)
