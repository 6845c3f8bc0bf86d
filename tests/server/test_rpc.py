"""The table of RPC: names, arguments, refusals."""

import pytest

from kamtool.errors import RpcError, StoreError
from kamtool.server.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcTable


class Methods:
    def add(self, table: str, aor: str, expires: int = 0, flag: "int | None" = None):
        """Add a contact."""
        return [table, aor, expires, flag]

    async def wait(self):
        return "waited"

    def words(self, *words: str):
        return list(words)

    def broken(self):
        raise StoreError("the disk is full")

    def refused(self):
        raise RpcError(404, "no such contact")

    def anything(self, value):
        return value


@pytest.fixture
def table():
    table, methods = RpcTable(), Methods()
    for name in ("add", "wait", "words", "broken", "refused", "anything"):
        table.register(f"ul.{name}", getattr(methods, name))
    return table


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (["location", "alice"], ["location", "alice", 0, None]),
        (["location", 5, "60", "7"], ["location", "5", 60, 7]),
        ({"aor": "alice", "table": "location"}, ["location", "alice", 0, None]),
        ({"aor": "alice", "table": "location", "flag": 1}, ["location", "alice", 0, 1]),
        ({"x": "location", "y": "alice"}, ["location", "alice", 0, None]),
    ],
    ids=["as they are", "brought into shape", "by name", "a gap", "invented names"],
)
async def test_arguments_reach_the_method_in_its_shape(table, given, received):
    assert await table.call("ul.add", given) == received


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["location"], "aor is missing"),
        (["a", "b", 1, 2, 3], "5 arguments are too many"),
        (["a", "b", "soon"], "expires must be a number, not 'soon'"),
        ([{"a": 1}, "b"], "table must be text"),
        ({"aor": "alice"}, "table is missing"),
    ],
)
async def test_wrong_arguments_are_refused_with_the_usage(table, given, told):
    with pytest.raises(RpcError) as refusal:
        await table.call("ul.add", given)
    assert refusal.value.code == INVALID_PARAMS
    assert told in refusal.value.message
    assert "ul.add TABLE AOR [EXPIRES] [FLAG]" in refusal.value.message


async def test_an_unknown_method_is_refused_with_its_near_match(table):
    with pytest.raises(RpcError, match=r"did you mean 'ul\.words'") as refusal:
        await table.call("ul.word")
    assert refusal.value.code == METHOD_NOT_FOUND


async def test_async_methods_lists_of_words_and_untyped_values(table):
    assert await table.call("ul.wait") == "waited"
    assert await table.call("ul.words", ["a", 5, "c"]) == ["a", "5", "c"]
    assert await table.call("ul.anything", [{"a": [1]}]) == {"a": [1]}


async def test_what_a_method_refuses_keeps_its_code_and_an_expected_error_is_told(table):
    with pytest.raises(RpcError, match="no such contact") as refusal:
        await table.call("ul.refused")
    assert refusal.value.code == 404
    with pytest.raises(RpcError, match="the disk is full") as refusal:
        await table.call("ul.broken")
    assert refusal.value.code == 500


async def test_a_later_registration_takes_the_place_of_an_earlier(table):
    table.register("ul.wait", lambda: "changed")
    assert await table.call("ul.wait") == "changed"
    assert table.names().count("ul.wait") == 1
