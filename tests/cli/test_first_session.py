"""The debugging session that the README shows is what happens today."""

import pytest

from tests.support import first_session

pytestmark = pytest.mark.live
AGAIN = "`python -m tests.support.first_session` writes it anew"


def test_the_first_debugging_session_of_the_readme_is_a_real_one(tmp_path, free_port):
    rows = first_session.played(tmp_path, free_port())
    readme = (first_session.ROOT / "README.md").read_text()
    assert first_session.in_readme(readme) == first_session.transcript(rows), AGAIN
    assert first_session.PICTURE.read_text() == first_session.picture(rows), AGAIN
    assert "(docs/first-session.svg)" in readme
