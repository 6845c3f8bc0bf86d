"""Messages are made by calling a class, whatever stands behind the call."""

import pytest

from kamtool.sip.message import Request
from kamtool.speed import NATIVE, Index, direct
from tests.support.twins import INVITE, twin  # noqa: F401


@pytest.mark.parametrize(
    "how",
    [
        lambda: Request(INVITE),
        lambda: Request(INVITE, False),
        lambda: Request(INVITE, False, False),
        lambda: Request(INVITE, stream=False),
        lambda: Request(data=INVITE, salvage=True),
    ],
)
def test_a_request_is_made_however_it_is_called(how):
    made = how()
    assert (type(made), made.method, made.data) == (Request, "INVITE", INVITE)


@pytest.mark.parametrize("given", [(), (1,), ("x",), (INVITE, False, False, 4)])
def test_the_wrong_arguments_are_a_type_error(given):
    with pytest.raises(TypeError):
        Request(*given)
    with pytest.raises(TypeError):
        Request(INVITE, other=1)


def test_a_subclass_with_an_init_is_called_as_usual():
    class Own(Request):
        def __init__(self, data, stream=False):
            self.via_memo = "own"

    assert Own(INVITE).via_memo == "own"
    if NATIVE:  # the pure twin has an `__init__` itself, and leaves the class as it is
        with pytest.raises(TypeError, match="without an __init__"):
            direct(Own)
        with pytest.raises(TypeError, match="a kind of Index"):
            direct(dict)


@pytest.mark.parametrize(
    ("line", "known"),
    [(b"cALL-id", True), (b"i", True), (b"CSEQ", True), (b"to", True), (b"MAX-forwards", True),
     (b"tp", False), (b"maxMforwards", False), (b"cal\x0c-ID", None), (b"Call\rID", None)],
)  # fmt: skip
def test_a_name_is_known_in_any_case_and_in_no_other_way(twin, line, known):  # noqa: F811
    data = INVITE.replace(b"\r\n\r\n", b"\r\n" + line + b": x\r\n\r\n", 1)
    index = twin.Index(data, False, True)
    rows = [index.row(place) for place in range(index.row_count)]
    found = [row.id != 0 for row in rows if data[row.start :].startswith(line)]
    assert found == ([] if known is None else [known])


def test_the_classes_are_still_classes():
    assert issubclass(Request, Index)
    assert isinstance(Request(INVITE), Index)
