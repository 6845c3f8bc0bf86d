"""`kamtool speeddial`: short numbers of users, for a cfg with speeddial."""

from __future__ import annotations

from kamtool.cli.family import Column, Family

command = Family(
    "speed_dial",
    "short number",
    (Column("owner", ("username", "domain")), Column("number", ("sd_username", "sd_domain"))),
    (
        Column("uri", ("new_uri",)),
        Column("first-name", ("fname",), "", "The first name of who is reached."),
        Column("last-name", ("lname",), "", "The last name."),
        Column("description", ("description",), "", "What it is."),
    ),
).command(
    "Add, list and remove the short numbers of users. A running server knows at once.",
    "kamtool speeddial add alice@example.com 12@example.com sip:bob@example.com",
)
