"""The control socket answers any request with JSON, and fails at none; the FIFO finds objects in any text."""

import asyncio
import json

from kamtool.modules.jsonrpcs import FifoRequests, _with_id
from kamtool.server.control import INTERNAL_ERROR, answer
from kamtool.server.rpc import RpcTable
from tests.fuzz.pieces import cuts

TABLE = RpcTable()


def _add(one: int, other: str = "", *more: int) -> list:
    return [one, other, *more]


TABLE.register("core.add", _add)
TABLE.register("core.echo", lambda *values: list(values))


def seeds():
    return [
        b"\7" + text for text in (
            b'{"jsonrpc": "2.0", "method": "core.add", "params": [1, "2", 3], "id": 1}',
            b'{"method": "core.add", "params": {"one": "1", "other": 2}, "id": "a"}', b"[]", b"null",
            b'[{"method": "core.echo", "params": [{"a": [1.5, true, null]}], "id": 2}, {"method": "x"}]',
            b'{"method": "x"}\n\n{"method": "core.echo", "id": "\\ud800"}', b"{" * 50, b"1" * 4301,
            b'{"id": ' + b"9" * 4301 + b"}", b'{"method": "core.add", "params": [1e999], "id": 1}',
        )
    ]  # fmt: skip


def run(data):
    data, pieces = cuts(data)
    steps = answer(TABLE, data)
    said = asyncio.run(steps) if data[:1] == b"\0" else _stepped(steps)
    if said is not None:
        for each in _each(json.loads(said)):
            assert each.get("error", {}).get("code") != INTERNAL_ERROR, (data, said)
    _with_id(data)
    cutter = FifoRequests()
    for piece in pieces:
        for request in cutter.feed(piece):
            assert isinstance(request, dict)


def _each(said):
    return said if isinstance(said, list) else [said]


def _stepped(steps):
    """What a coroutine that never waits returns."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
