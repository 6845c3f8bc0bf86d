"""What a script did for a message, as octets and back."""

import contextlib
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.tools.trace.frames import facts, read_facts

TEXT = st.text(max_size=30)


@given(
    st.integers(0, 999), TEXT, TEXT, st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 999)), TEXT
)
def test_facts_come_as_they_were_told(status, call_id, method, path, replied, error):
    octets = array("I", path).tobytes()
    said = read_facts(facts(status, call_id.encode(), method, octets, replied, error))
    assert (said.status, said.call_id, said.method, said.error) == (status, call_id, method, error)
    assert (list(said.path), list(said.replied)) == (path, replied)


def test_facts_too_long_for_their_frame_are_cut_and_cut_frames_are_refused():
    said = read_facts(facts(200, b"c" * 70_000, "M" * 70_000, b"", [200] * 5000, ""))
    assert (len(said.call_id), len(said.method), len(said.replied)) == (65_535, 65_535, 1000)
    whole = facts(200, b"call", "INVITE", bytes(8), [180], "")
    for size in range(len(whole)):
        with pytest.raises((struct.error, ValueError)):
            read_facts(whole[:size])


@given(st.binary(max_size=60))
def test_any_octets_are_facts_or_are_refused(octets):
    with contextlib.suppress(struct.error, ValueError):
        read_facts(octets)
