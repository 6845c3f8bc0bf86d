"""No lost call, no growth, nothing left: a minute for every day, half an hour with --soak."""

import pytest

from tests.live.soak.memory import Sample, allowed, growth
from tests.live.soak.run import Load, soak

MINUTE = Load(60, 50, 10)
"""Small enough to run beside other tests: a tenth of the long run's rate, some 5 % of a core."""
HALF_AN_HOUR = Load(1800, 500, 50)


def climbing(load, per_call):
    """The samples of a server that leaves so many bytes of each call behind."""
    return [Sample(at, 80e6 + per_call * load.rate * at) for at in range(0, int(load.seconds), 2)]


@pytest.mark.parametrize(
    ("load", "per_call", "is_seen"),
    [
        (MINUTE, 6000, True),  # a transaction with its messages
        (MINUTE, 0, False),
        (HALF_AN_HOUR, 150, True),  # a string in a dictionary
        (HALF_AN_HOUR, 8, False),
    ],
)
def test_a_leak_would_be_seen(load, per_call, is_seen):
    grown, seconds = growth(climbing(load, per_call), load.warm)
    assert (grown > allowed(seconds, load.rate)) is is_seen


def test_what_is_needed_once_is_no_leak():
    samples = [Sample(at, 90e6 if at > 25 else 60e6) for at in range(60)]
    grown, _ = growth(samples, MINUTE.warm)
    assert grown == 0


@pytest.mark.live
@pytest.mark.timeout(300)
def test_a_minute_of_calls_and_registrations_leaves_nothing_behind(tmp_path):
    found = soak(MINUTE, tmp_path)
    assert not found.amiss(), found.told()


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("workers", [1, 2])
def test_half_an_hour_of_calls_and_registrations_leaves_nothing_behind(tmp_path, workers):
    found = soak(Load(HALF_AN_HOUR.seconds, HALF_AN_HOUR.rate, HALF_AN_HOUR.registrations, workers), tmp_path)
    assert not found.amiss(), found.told()
