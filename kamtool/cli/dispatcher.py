"""`kamtool dispatcher`: gateways by set, for a cfg with dispatcher."""

from __future__ import annotations

from kamtool.cli.family import Column, Family, Row
from kamtool.modules.dispatcher.destination import destination


def _check(row: Row) -> Row:
    destination(str(row["destination"]), int(row["flags"]), int(row["priority"]), str(row["attrs"]))
    return row | {"setid": int(row["setid"])}


command = Family(
    "dispatcher",
    "destination",
    (Column("set", ("setid",)), Column("uri", ("destination",))),
    (
        Column("flags", ("flags",), 0, "A sum: 1 inactive, 2 trying, 4 disabled, 8 probing."),
        Column("priority", ("priority",), 0, "The highest is first."),
        Column("attrs", ("attrs",), "", "Attributes: `weight=50;duid=a`."),
        Column("description", ("description",), "", "What it is."),
    ),
    "dispatcher.reload",
    _check,
).command("Add, list and remove gateways.", "kamtool dispatcher add 1 sip:192.0.2.7:5060 --attrs weight=50")
