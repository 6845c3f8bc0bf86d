"""Loading a table: the quick way makes the contacts that the careful one makes, of any row."""

import sqlite3
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool.modules.usrloc.loading import load
from kamtool.modules.usrloc.rows import FIELDS, Rows
from kamtool.modules.usrloc.table import Table
from kamtool.store.times import to_julian

OFFSET, NOW = 1_700_000_000.0, 1000.0
COLUMNS = {field: field for field in FIELDS}
FACTS = (
    "aor", "uri", "ruid", "expires_at", "modified_at", "q", "call_id", "cseq", "received", "user_agent",
    "socket", "connection", "methods", "cflags", "details",
)  # fmt: skip

texts = st.one_of(st.text(max_size=6), st.binary(max_size=6), st.none())
numbers = st.one_of(st.integers(-3, 1 << 40), st.none(), st.sampled_from(["", "x", 0.5]))
moments = st.one_of(
    st.floats(-10, 5000).map(lambda left: to_julian(OFFSET + NOW + left)),
    st.sampled_from(
        [to_julian(0), 0, 1, -1.0, 1e300, int(OFFSET) + 2000, "2030-05-28 21:32:15", "soon", None]
    ),
)
uris = st.sampled_from(["sip:a@10.0.0.1", "sips:é@h", "tel:+1", "no uri", "", None, b"sip:\xff@h", 7])
users = st.one_of(st.sampled_from(["alice", "bob", ""]), texts)
plain = st.sampled_from([None, None, "", 0, 1, "x"])


@st.composite
def table_rows(draw):
    drawn = {
        "ruid": draw(st.one_of(st.text(min_size=1, max_size=4), texts)), "user": draw(users),
        "domain": draw(st.one_of(st.sampled_from(["", "h"]), texts)), "contact": draw(uris),
        "received": draw(texts), "path": draw(plain), "expires": draw(moments),
        "q": draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0, -1, 1, None, "x"])), "callid": draw(texts),
        "cseq": draw(numbers), "last_modified": draw(moments), "flags": draw(plain), "cflags": draw(numbers),
        "user_agent": draw(texts), "socket": draw(texts), "methods": draw(numbers), "instance": draw(plain),
        "reg_id": draw(st.sampled_from([0, 0, 0, 1, None])), "server_id": draw(st.sampled_from([0, 0, 0, 5])),
        "connection_id": draw(st.sampled_from([-1, 0, 7, None])),
    }  # fmt: skip
    return tuple(drawn[field] for field in FIELDS)


def ordinary(number):
    ends, now = to_julian(OFFSET + NOW + 60), to_julian(OFFSET + NOW)
    return (
        f"r{number}", f"u{number // 2}", None, f"sip:u{number}@h", None, None, ends, -1.0, "c", 1, now, 0, 0,
        "phone", "udp:h:1", None, None, 0, 0, -1,
    )  # fmt: skip


def both_ways(stored, use_domain):
    """What the quick and the careful way make of the same rows, and what the quick one asked about."""
    rows, asked = Rows("t", COLUMNS, use_domain), []

    def read(number, row, offset):
        asked.append(number)
        try:
            return rows.contact(row, offset)
        except (TypeError, ValueError, OverflowError):
            return None

    with closing(sqlite3.connect(":memory:")) as file:
        file.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(FIELDS)})")
        file.executemany(f"INSERT INTO t VALUES (NULL{', ?' * len(FIELDS)})", stored)
        short = file.execute(rows.select_short, (0, 1000)).fetchall()
        more = {row[0]: row for row in file.execute(rows.select_more, (0, 1000))}
        whole = file.execute(rows.select_page, (0, 1000)).fetchall()
    quick, careful = Table("quick"), Table("careful")
    count = load(short, more, quick, use_domain, OFFSET, NOW, None, read)
    assert count == quick.count
    seen = list(asked)
    for number, *row in whole:
        contact = read(number, row, OFFSET)
        if contact is not None and contact.is_valid(NOW):
            contact.connection = 0
            careful.insert(contact)
    return facts(quick), facts(careful), seen


def facts(table):
    return [(aor, [[getattr(c, name) for name in FACTS] for c in cs]) for aor, cs in table.records.items()]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(table_rows(), max_size=6), st.booleans())
def test_any_rows_become_the_same_contacts(stored, use_domain):
    quick, careful, _ = both_ways(stored, use_domain)
    assert quick == careful


def test_ordinary_rows_take_the_quick_way():
    quick, careful, asked = both_ways([ordinary(number) for number in range(10)], False)
    assert quick == careful
    assert [len(contacts) for _, contacts in quick] == [2] * 5
    assert asked == []


def test_a_row_with_a_path_among_ordinary_ones_keeps_it_and_its_place():
    stored = [ordinary(number) for number in range(4)]
    place = FIELDS.index("path")
    stored[1] = (*stored[1][:place], "<sip:edge;lr>", *stored[1][place + 1 :])
    quick, careful, asked = both_ways(stored, False)
    assert quick == careful
    assert asked == [2]
    paths = [contact[FACTS.index("details")].path for _, contacts in quick for contact in contacts]
    assert paths == ["", "<sip:edge;lr>", "", ""]
