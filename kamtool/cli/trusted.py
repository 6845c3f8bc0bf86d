"""`kamtool trusted`: peers that are trusted, for a cfg that asks allow_trusted()."""

from __future__ import annotations

from kamtool.cli.family import Column, Family, Row
from kamtool.errors import StoreError
from kamtool.modules.permissions.trusted import read_rows


def _check(row: Row) -> Row:
    stored = row | {name: row[name] or None for name in ("from_pattern", "ruri_pattern", "tag")}
    try:
        read_rows([(1, *(stored[name] for name in stored))], "trusted")
    except StoreError as error:
        raise ValueError(str(error).removeprefix("trusted: row 1: ")) from error
    return stored


command = Family(
    "trusted",
    "peer",
    (Column("source", ("src_ip",)), Column("transport", ("proto",))),
    (
        Column("from", ("from_pattern",), "", "A basic regular expression that From must match."),
        Column("ruri", ("ruri_pattern",), "", "One that the R-URI must match."),
        Column("tag", ("tag",), "", "What peer_tag_avp gets."),
        Column("priority", ("priority",), 0, "The highest is tried first."),
    ),
    "permissions.trustedReload",
    _check,
).command("Add, list and remove trusted peers.", "kamtool trusted add 192.0.2.7 udp --from '^sip:office@'")
