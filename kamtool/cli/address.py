"""`kamtool address`: addresses that need no password, for a cfg with permissions."""

from __future__ import annotations

from kamtool.cli.family import Column, Family, Row
from kamtool.modules.permissions.addresses import WIDTH, entry_of, packed


def _check(row: Row) -> Row:
    address, slash, mask = str(row["ip_addr"]).partition("/")
    width = WIDTH.get(len(packed(address)), 32)
    bits = int(mask) if slash else int(row["mask"]) or width
    entry_of(int(row["grp"]), address, bits, int(row["port"]), row["tag"] or None)
    return row | {"grp": int(row["grp"]), "ip_addr": address, "mask": bits, "tag": row["tag"] or None}


command = Family(
    "address",
    "address",
    (Column("group", ("grp",)), Column("address", ("ip_addr",))),
    (
        Column("mask", ("mask",), 0, "The length of the prefix; 192.0.2.0/24 says the same."),
        Column("port", ("port",), 0, "Only this source port; 0 is any."),
        Column("tag", ("tag",), "", "What peer_tag_avp gets."),
    ),
    "permissions.addressReload",
    _check,
).command("Add, list and remove addresses by group.", "kamtool address add 1 192.0.2.0/24 --tag office")
