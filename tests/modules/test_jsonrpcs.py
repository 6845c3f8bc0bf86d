"""jsonrpcs: requests as they are cut from a FIFO."""

import json

import pytest

from kamtool.modules.jsonrpcs import FifoRequests


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_request_may_come_in_many_lines_and_pieces(size):
    text = (
        json.dumps({"method": "core.version", "reply_name": "r1"}, indent=2)
        + "\n"
        + '{"method": "core.ps"}\n'
    )
    requests, found = FifoRequests(), []
    for start in range(0, len(text), size):
        found += requests.feed(text[start : start + size].encode())
    assert [request["method"] for request in found] == ["core.version", "core.ps"]


def test_nonsense_is_skipped_and_what_follows_is_understood():
    requests = FifoRequests()
    assert requests.feed(b"hello\n") == []
    assert requests.feed(b'{"broken: \n\n{"method": "core.ps"}') == [{"method": "core.ps"}]


def test_a_request_without_end_is_forgotten():
    requests = FifoRequests()
    for _ in range(20):
        assert requests.feed(b'{"' + b"x" * 65_536) == []
    assert len(requests._text) < 1 << 20
