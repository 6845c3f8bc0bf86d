"""AVP stacks and XAVP records (answers of Kamailio 5.6.3)."""

import pytest

from kamtool.script.avp import Avps


@pytest.fixture
def avps():
    found = Avps()
    for value in ("a", "b", "c"):
        found.push("x", value)
    return found


def test_an_avp_shows_its_newest_value(avps):
    assert avps.top("x") == avps.get("x") == avps.get("x", 0) == "c"


def test_an_index_counts_from_the_newest_and_a_negative_one_is_of_no_use(avps):
    assert [avps.get("x", i) for i in (1, 2, 3)] == ["b", "a", None]
    assert [avps.get("x", i) for i in (-1, -2, -3, -4)] == [None, None, "c", None]


def test_a_star_shows_all_newest_first(avps):
    assert avps.get("x", "*") == "c, b, a"


def test_assigning_with_a_number_pushes_whatever_the_number(avps):
    avps.set("x", 1, "B")
    avps.set("x", 99, "C")
    assert avps.all("x") == ["C", "B", "c", "b", "a"]


def test_assigning_with_a_star_replaces_all(avps):
    avps.set("x", "*", "z")
    assert avps.all("x") == ["z"]


def test_null_removes_the_newest_one_value_or_all(avps):
    avps.set("x", 1, None)
    assert avps.all("x") == ["b", "a"]  # whatever the number, the newest goes
    avps.set("x", None, None)
    assert avps.all("x") == ["a"]
    avps.set("x", "*", None)
    avps.set("x", None, None)
    assert avps.top("x") is None
    assert avps.count("x") == 0


def test_a_number_and_its_text_name_different_avps():
    avps = Avps()
    avps.push(12, "number")
    avps.push("12", "text")
    assert (avps.top(12), avps.top("12")) == ("number", "text")


def test_an_xavp_without_an_index_makes_a_new_record_each_time():
    xavps = Avps().xavps
    xavps.set("a", None, "k", None, 1)
    xavps.set("a", None, "k", None, 2)
    assert (xavps.count("a"), xavps.get("a", None, "k"), xavps.get("a", 1, "k")) == (2, 2, 1)


def test_an_xavp_with_an_index_adds_to_the_record():
    xavps = Avps().xavps
    xavps.set("a", None, "k", None, 1)
    assert xavps.set("a", 0, "k", None, 2)
    assert xavps.set("a", 0, "other", None, "o")
    assert (xavps.count("a"), xavps.get("a", 0, "k"), xavps.get("a", 0, "k", 1)) == (1, 2, 1)
    assert xavps.set("a", 0, "k", 0, 9)
    assert (xavps.get("a", 0, "k", "*"), xavps.get("a", None, "other")) == ("9, 1", "o")


def test_null_removes_a_value_a_record_or_all_records():
    xavps = Avps().xavps
    for number in (1, 2, 3):
        xavps.set("a", None, "k", None, number)
    xavps.set("a", 1, None, None, None)
    assert [xavps.get("a", i, "k") for i in (0, 1)] == [3, 1]
    xavps.set("a", None, "k", None, None)
    assert xavps.get("a", 0, "k") is None
    xavps.set("a", "*", None, None, None)
    assert xavps.count("a") == 0


def test_an_xavp_of_one_value_has_no_fields():
    xavps = Avps().xavps
    xavps.set("s", None, None, None, "v")
    assert (xavps.get("s"), xavps.get("s", None, "k")) == ("v", None)


def test_there_is_no_place_where_there_is_no_record():
    assert not Avps().xavps.set("a", 0, "k", None, 1)
    assert not Avps().xavps.delete("a")


def test_an_xavi_ignores_case_and_an_xavu_holds_one_value():
    avps = Avps()
    avps.xavis.set("Name", None, "Field", None, 1)
    assert avps.xavis.get("NAME", None, "field") == 1
    avps.xavus.set("u", "k", 1)
    avps.xavus.set("u", "k", 2)
    avps.xavus.set("v", None, "scalar")
    assert (avps.xavus.get("u", "k"), avps.xavus.get("v"), avps.xavus.get("u", "nope")) == (2, "scalar", None)
    avps.xavus.set("u", "k", None)
    assert avps.xavus.get("u", "k") is None
