"""topos: what each side of a dialog sees is what it sees through Kamailio 5.6.3, or the reason is here."""

import json
from pathlib import Path

import pytest

from tests.live.hidden.plays import PLAYS, played
from tests.live.hidden.servers import Running

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("hidden")]

ANSWERS = Path(__file__).with_name("answers.json")
THEIRS = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
WITHOUT_CONTACT = ("ACK ", "INFO ", "MESSAGE ")


def as_ours(name, messages):
    """What Kamailio shows, but for what kamtool does otherwise on purpose."""
    result = [list(message) for message in messages]
    for message in result:
        if message[1].startswith(WITHOUT_CONTACT) and name != "a_dialog_that_was_opened_without_us":
            # Kamailio puts a Contact into requests that had none; RFC 3428 §4 and RFC 6086 forbid it.
            message[2:] = [line for line in message[2:] if not line.startswith("Contact:")]
    if name == "a_call_with_reinvites_and_a_bye_of_the_callee":
        # UPDATE changes the remote target as INVITE does (RFC 3311 §5.1).
        result[-2] = [line.replace("x=3", "x=4") for line in result[-2]]
    if name == "two_ring":
        # Two dialogs (RFC 3261 §12.1): who rings first must be reached by an alias of its own.
        result[-1] = [line.replace("atpsh-1", "atpsh-2") for line in result[-1]]
    return result


@pytest.fixture(scope="module")
def ours():
    with Running(kamailio=False) as server:
        return played(server)


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_each_side_sees_what_it_sees_through_kamailio(ours, name):
    assert ours[name] == as_ours(name, THEIRS[name])


def test_every_play_is_recorded():
    assert set(THEIRS) == set(PLAYS)
    assert all(THEIRS.values())
