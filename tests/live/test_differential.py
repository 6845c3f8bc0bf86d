"""tests/live/differential: what kamtool sends is what Kamailio 5.6.3 sends, or it says why not."""

import asyncio
import json
import shutil

import pytest

from tests.live.differential.cfg import FAMILIES
from tests.live.differential.compare import ANSWERS, DEVIATIONS, difference
from tests.live.differential.reasons import REASONS
from tests.live.differential.scenarios import SCENARIOS
from tests.live.differential.servers import ask_kamailio, ask_kamtool

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("differential")]

THEIRS = json.loads(ANSWERS.read_text())
OURS = json.loads(DEVIATIONS.read_text())


@pytest.fixture(scope="module")
def played():
    """Every scenario played once; those of a family at the same time, so all take as long as the longest."""
    results = {}
    for family in FAMILIES:
        results |= asyncio.run(ask_kamtool(SCENARIOS, family))
    return results


def told_again(name):
    """A scenario by itself, on a server that has nothing else to do."""
    family = SCENARIOS[name][0]
    return asyncio.run(ask_kamtool({name: SCENARIOS[name]}, family))[name]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_what_leaves_is_what_leaves_kamailio(played, name):
    expected = OURS[name]["ours"] if name in OURS else THEIRS[name]
    if difference(expected, played[name]):
        # The scenarios have timers, and the machine may have been busy: alone it must be right.
        found = difference(expected, told_again(name))
        assert not found, found


def test_every_deviation_has_its_reason_and_is_one():
    assert set(OURS) == set(REASONS)
    for name, kept in OURS.items():
        assert kept["why"] == REASONS[name]
        assert difference(THEIRS[name], kept["ours"]), f"{name} does not deviate any more"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_installed_kamailio_still_answers_as_recorded(family, tmp_path):
    if not shutil.which("kamailio"):
        pytest.skip("Kamailio is not installed (Debian: kamailio)")
    mine = {name: value for name, value in SCENARIOS.items() if value[0] == family}
    for name, result in asyncio.run(ask_kamailio(mine, family, tmp_path)).items():
        if difference(THEIRS[name], result):
            again = asyncio.run(ask_kamailio({name: SCENARIOS[name]}, family, tmp_path))[name]
            found = difference(THEIRS[name], again)
            assert not found, f"{name}\n{found}"


QUIRKS = (
    "nobody_answers_a_message",
    "the_2xx_of_a_message_after_its_time",
    "a_provisional_answer_to_a_message",
    "an_unresolvable_next_hop",
)


@pytest.mark.parametrize("name", QUIRKS)
def test_with_the_quirks_it_is_so_where_an_rfc_says_otherwise(name):
    family = SCENARIOS[name][0]
    define = "#!define KAMTOOL_QUIRKS\n"
    found = asyncio.run(ask_kamtool({name: SCENARIOS[name]}, family, define))[name]
    assert not difference(THEIRS[name], found)
