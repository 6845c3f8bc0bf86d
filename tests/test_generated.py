"""man/ and completions/ say what the commands and modules declare."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kamtool import module
from kamtool.cli.docs import pages
from kamtool.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = dict(pages(cli))


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_file_is_up_to_date(name):
    path = ROOT / name
    text = path.read_text() if path.exists() else "it is missing"
    assert text == PAGES[name], f"{name} is stale: run `kamtool docs --write`"


def test_nothing_else_stands_among_the_generated_files():
    present = {
        str(path.relative_to(ROOT)) for folder in ("man", "completions") for path in (ROOT / folder).iterdir()
    }
    assert present == set(PAGES)


@pytest.mark.parametrize("name", module.available())
def test_everything_a_module_offers_is_explained(name):
    declared = module.declaration(module.find(name))
    assert declared.doc, f"module {name} has no docstring"
    silent = [key for key, param in declared.params.items() if not param.doc]
    for kind in (declared.functions, declared.pvs, declared.transformations, declared.rpcs):
        silent += [key for key, entry in kind.items() if not entry.doc]
    assert not silent, f"module {name}: no word about {silent}"


def test_man_reads_every_page_without_complaint():
    if not shutil.which("groff"):
        pytest.skip("groff is not installed (Debian: groff-base)")
    pages = [str(ROOT / name) for name in PAGES if name.startswith("man/")]
    words = ["groff", "-man", "-Tutf8", "-ww", "-z", *pages]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
