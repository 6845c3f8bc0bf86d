"""What fuzzing found is fed again to every target: seconds, and no fuzzer needed."""

import sys

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS, module_of

MOST_BYTES = 1_000_000


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_inputs_meet_what_is_promised(target):
    if target in ("kernel", "scanners"):
        pytest.importorskip("kamtool.speed._kernel", reason="the kernel is not built")
    module = module_of(target)
    kept = corpus.read(target)
    assert kept, f"python -m tests.fuzz {target} --keep"
    for data in (*module.seeds(), *kept):
        try:
            module.run(data)
        except Exception as error:
            raise AssertionError(f"{target} fails for {data!r}: {error!r}") from error


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in corpus.FOLDER.iterdir()) < MOST_BYTES


def test_every_target_has_its_corpus_and_no_other():
    assert sorted(path.stem for path in corpus.FOLDER.iterdir()) == sorted(TARGETS)


def test_nothing_of_this_needs_the_fuzzer():
    assert "atheris" not in sys.modules
