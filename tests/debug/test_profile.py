"""The profile: sums that fit the wall time, and files that other tools read."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from kamtool.debug.offline.server import Offline
from kamtool.debug.profile.flame import flame
from kamtool.debug.profile.record import Profile
from kamtool.debug.profile.speedscope import speedscope
from kamtool.debug.watching import Watching
from kamtool.errors import UsageError
from kamtool.script import load
from tests.debug.test_coverage import CFG, line_of
from tests.debug.test_story import ALICE, request


def measured():
    offline = Offline(load(CFG, name="edge.cfg"))
    Watching(offline.server)
    offline.start()
    offline.rpc("debug.profile", ["on"])
    for n in range(50):
        offline.receive(request("OPTIONS", n=n + 1), offline.flow(ALICE))
    facts = json.loads(json.dumps(offline.rpc("debug.profile", ["off"])))
    assert not offline.server.program.actions
    offline.stop()
    return Profile.of(facts)


@pytest.fixture
def profile():
    return measured()


def test_every_statement_of_every_message_is_in_it(profile):
    lines = {row["line"]: row for row in profile.by("line")}
    assert profile.runs == 50
    assert lines[f"edge.cfg:{line_of('sl_send')} sl_send_reply"]["runs"] == 50
    assert {row["route"] for row in profile.by("route")} == {"request_route", "route[ANSWER]"}
    assert sum(row["runs"] for row in profile.by("function")) == sum(c for _, c in profile.stacks.values())
    assert 0 < profile.total_ns <= profile.wall_ns


def test_the_statements_add_up_to_what_the_routes_took():
    """Within 5 % as measured. A busy machine may interrupt in between: then once more, up to twenty times."""
    for _ in range(20):
        profile = measured()
        assert profile.total_ns <= profile.wall_ns
        if 0.8 * profile.wall_ns <= profile.total_ns:
            return
    pytest.fail(f"{profile.total_ns} of {profile.wall_ns} ns")


def test_speedscope_and_svg_hold_the_same_time(profile):
    made = speedscope(profile, "test")
    (only,) = made["profiles"]
    assert sum(only["weights"]) == profile.total_ns == only["endValue"]
    assert max(max(sample) for sample in only["samples"]) == len(made["shared"]["frames"]) - 1
    svg = ElementTree.fromstring(flame(profile, "a <title>"))
    titles = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0].startswith("all messages")
    assert any(f"sl_send_reply edge.cfg:{line_of('sl_send')}" in title for title in titles)


def test_what_is_no_profile_is_refused():
    with pytest.raises(UsageError, match="no profile"):
        Profile.of({"format": "else"})
