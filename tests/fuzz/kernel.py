"""The kernel and its pure twin say the same of any message."""

from kamtool.speed import _kernel, pure
from tests.fuzz.messages import seeds as _messages
from tests.support.twins import facts


def seeds():
    return [bytes([how]) + data for data in _messages() for how in (0, 1)]


def run(data):
    how, data = data[:1] or b"\0", data[1:]
    stream, salvage = bool(how[0] & 1), bool(how[0] & 2)
    assert facts(pure, data, stream, salvage) == facts(_kernel, data, stream, salvage)
    head_end = pure.end_of_head(data, how[0])
    assert _kernel.end_of_head(data, how[0]) == head_end
    assert _kernel.body_length(data, how[0], head_end) == pure.body_length(data, how[0], head_end)
