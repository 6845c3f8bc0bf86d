"""topoh masks and unmasks whatever comes, in C as in Python."""

from contextlib import suppress
from importlib import import_module

from kamtool.modules.topoh.hooks import read
from tests.modules.test_topoh import masks
from tests.modules.test_topoh_quick import SEEDS


def seeds():
    return list(SEEDS)


def pair(call_id):
    slow = masks(call_id=call_id)
    slow.is_ours = lambda item: b"192.168.178.26" in item.partition(b";")[0]
    marks = slow.marks
    with suppress(ImportError):
        # Also where KAMTOOL_PURE forbids it to others: the fuzzer sees the coverage of Python alone.
        return slow, import_module("kamtool.speed._masking").QuickMasks(
            slow.code.letters, marks.host, marks.uri_param, marks.via_param, marks.branch_prefix,
            marks.call_id_prefix, call_id, slow.is_ours, {},
        )  # fmt: skip
    return slow, None


PAIRS = (pair(False), pair(True))


def run(data):
    msg = read(data)
    for slow, quick in PAIRS:
        for way in ("arrived", "leaving"):
            made = None if msg is None else getattr(slow, way)(msg)
            fast = None if quick is None else getattr(quick, way)(data)
            if fast is not None and msg is not None and msg.data == data:
                assert fast == made, way
