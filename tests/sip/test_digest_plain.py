"""The quick way through digest parameters agrees with the careful one."""

from hypothesis import given
from hypothesis import strategies as st

from kamtool.sip.digest import _any_params
from kamtool.speed import split_credentials

PIECES = st.sampled_from(["a", "nc", "=", '"', ",", " ", "\\", "\t", "é", '="v"', ", realm="])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_the_quick_way_accepts_the_careful_one_reads_the_same(text):
    quick = split_credentials(text)
    if quick is not None:
        assert quick == _any_params(text)
