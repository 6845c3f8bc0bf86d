"""Histograms, schedules, limits, targets: the arithmetic of a load test."""

import base64
import random
import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import UsageError
from kamtool.tools.stress.histogram import Histogram, bucket_of, highest_of, lowest_of
from kamtool.tools.stress.knee import Probe, find_max
from kamtool.tools.stress.report import shown
from kamtool.tools.stress.schedule import Load, gathered, intended, parse_ramp, parse_rate, parse_time
from kamtool.tools.stress.target import parse_target, permit
from kamtool.tools.stress.threshold import compare, parse_threshold


@given(st.floats(min_value=0, max_value=3600))
def test_a_bucket_holds_its_value_to_a_thousandth(seconds):
    bucket = bucket_of(seconds)
    micro = int(seconds * 1e6 + 0.5)
    assert lowest_of(bucket) <= micro <= highest_of(bucket)
    assert highest_of(bucket) - lowest_of(bucket) <= max(0, micro / 1024)


@given(st.lists(st.floats(min_value=0, max_value=4000), min_size=1, max_size=60))
def test_adding_at_once_counts_as_one_by_one(values):
    histogram = Histogram()
    histogram.add(values)
    one_by_one = Histogram()
    for value in values:
        one_by_one.merge(Histogram({bucket_of(value): 1}, value))
    assert histogram.counts == one_by_one.counts
    assert histogram.total == len(values)


@given(
    st.lists(st.floats(min_value=1e-6, max_value=60), min_size=1, max_size=200), st.sampled_from((50, 90, 99))
)
def test_a_percentile_is_that_of_the_sorted_list(values, percent):
    histogram = Histogram()
    histogram.add(values)
    exact = sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=1e-3, abs=1e-6)


def decoded(text):
    """The counts in a histogram's compressed V2 form, read by the specification."""
    data = base64.b64decode(text)
    cookie, length = struct.unpack_from(">ii", data)
    assert (cookie & ~0xF0, length) == (0x1C849304 & ~0xF0, len(data) - 8)
    plain = zlib.decompress(data[8:])
    cookie, size, _, digits, lowest, _, ratio = struct.unpack_from(">iiiiqqd", plain)
    assert (digits, lowest, ratio, size) == (3, 1, 1.0, len(plain) - 40)
    counts, at, place = {}, 40, 0
    while at < len(plain):
        value = shift = 0
        for _ in range(9):
            octet = plain[at]
            at += 1
            value |= (octet if shift == 56 else octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        number = (value >> 1) ^ -(value & 1)
        if number < 0:
            place -= number
        else:
            counts[place] = number
            place += 1
    return counts


@given(st.dictionaries(st.integers(0, 22000), st.integers(1, 2**40), max_size=30))
def test_the_encoded_form_holds_the_counts(counts):
    assert decoded(Histogram(counts).encode()) == counts


def test_a_constant_rate_is_even_and_a_poisson_one_is_not():
    first = intended(Load(rate=100), random.Random(1))
    assert [round(next(first), 6) for _ in range(3)] == [0, 0.01, 0.02]
    chances = intended(Load(rate=100, poisson=True), random.Random(1))
    times = [next(chances) for _ in range(10_000)]
    assert times[-1] == pytest.approx(100, rel=0.05)
    gaps = sorted(b - a for a, b in pairwise(times))
    assert gaps[len(gaps) // 2] == pytest.approx(0.01 * 0.693, rel=0.1), (
        "the median gap of a Poisson process is ln 2 of the mean"
    )


def test_a_ramp_adds_up_to_its_mean_rate_and_then_stays():
    times = []
    for at in intended(Load(rate=100, to_rate=300, ramp=10.0), random.Random(1)):
        times.append(at)
        if at > 12:
            break
    assert sum(at <= 10 for at in times) == pytest.approx(2000, abs=2)
    assert sum(10 < at <= 11 for at in times) == pytest.approx(300, abs=2)


@pytest.mark.parametrize("rate", [1000, 1234.5, 7000, 48_000])
@pytest.mark.parametrize("more", [{}, {"poisson": True}, {"to_rate": 9000, "ramp": 1.0}])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_on_a_grid_each_call_begins_at_the_first_tick_after_its_time(rate, more, shift):
    load, grid = Load(rate=rate, **more), 0.002
    times, begun = intended(load, random.Random(1), shift), 0
    for at, count in gathered(load, random.Random(1), shift, grid):
        assert at == pytest.approx(round(at / grid) * grid)
        for _ in range(count):
            assert at - grid - 1e-6 < next(times) <= at + 1e-6
        begun += count
        if begun > 2000:
            break


def test_the_shares_of_several_workers_are_the_whole():
    load = Load(rate=1000, calls=101, users=7)
    shares = [load.share(part, 3) for part in range(3)]
    assert sum(one.calls for one in shares) == 101
    assert sum(one.users for one in shares) == 7
    assert sum(one.rate for one in shares) == pytest.approx(1000)


def test_rates_and_times_as_people_write_them():
    assert [parse_rate(text) for text in ("500/s", "2k/s", "30/m", "7")] == [500, 2000, 0.5, 7]
    assert [parse_time(text) for text in ("60s", "50ms", "2m", "1h")] == [60, 0.05, 120, 3600]
    assert parse_ramp("100:2000:30s") == (100, 2000, 30)
    for wrong in ("", "0/s", "fast", "-1/s", "1/y"):
        with pytest.raises(UsageError):
            parse_rate(wrong)


REPORT = {
    "calls": {"started": 1000, "failed": 2, "succeeded": 998, "due": 1000},
    "messages": {"repeated": 5},
    "rate": 99.5,
    "lag": {"p99": 0.4},
    "generator": {"busy": 0.25},
    "measures": {
        "invite": {"response": {"p50": 5.0, "p99": 60.0, "max": 80.0}, "service": {"p50": 4.0, "p99": 40.0}}
    },
}


@pytest.mark.parametrize(
    ("text", "crossed"),
    [
        ("p99(invite)>50ms", True), ("p99(invite)>0.07s", False), ("p99(invite,service)>50ms", False),
        ("p99.0(invite)>50ms", True), ("errors>0.1%", True), ("errors>0.5%", False), ("errors>1", True),
        ("rate<100/s", True), ("lag>1ms", False), ("cpu>20", True), ("p99(nothing)>1s", True),
    ],
)  # fmt: skip
def test_a_limit_is_crossed_when_it_says_so(text, crossed):
    assert parse_threshold(text).crossed(REPORT) is crossed


@pytest.mark.parametrize(
    "text", ["p99(invite)", "p98(invite)>1ms", "speed>1", "errors>many", "p99(invite)>fast"]
)
def test_a_limit_that_means_nothing_is_refused(text):
    with pytest.raises(UsageError):
        parse_threshold(text)


def test_a_run_slower_than_its_baseline_crosses_and_noise_does_not():
    slower = {**REPORT, "measures": {"invite": {"response": {"p50": 5.3, "p99": 70.0}}}}
    assert not any(one["crossed"] for one in compare(REPORT, REPORT, 0.1))
    assert [one["crossed"] for one in compare(slower, REPORT, 0.1)] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1", "udp:127.0.0.1:5060"), ("127.0.0.1:5070", "udp:127.0.0.1:5070"),
        ("tls:127.0.0.1", "tls:127.0.0.1:5061"),
        ("sip:bob@127.0.0.1:5062;transport=tcp", "tcp:127.0.0.1:5062"), ("[::1]:5063", "udp:[::1]:5063"),
        ("sips:127.0.0.1", "tls:127.0.0.1:5061"),
    ],
)  # fmt: skip
def test_a_target_is_read(text, shown):
    assert str(parse_target(text)) == shown


@pytest.mark.parametrize(
    "text", ["", ":5060", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "sctp:127.0.0.1"]
)
def test_what_is_no_target_is_refused(text):
    with pytest.raises(UsageError):
        parse_target(text)


def test_another_machine_is_only_loaded_by_its_owner_and_within_bounds():
    there = parse_target("192.0.2.1")
    with pytest.raises(UsageError, match="not this machine"):
        permit(there, (), Load(rate=1))
    permit(there, ("192.0.2.1",), Load(rate=1))
    with pytest.raises(UsageError, match="more than"):
        permit(there, ("192.0.2.1",), Load(rate=50_000))
    with pytest.raises(UsageError, match="more than"):
        permit(parse_target("127.0.0.1"), (), Load(rate=1e6))
    with pytest.raises(UsageError, match="longer than"):
        permit(parse_target("127.0.0.1"), (), Load(duration=1e9))


def test_the_knee_is_found_to_a_twentieth():
    def run(rate):
        return Probe(rate, 0.01 if rate <= 730 else 5.0, 0.0, True)

    best, probes = find_max(run, 0.05, 100, 50_000)
    assert 690 <= best <= 730
    assert len(probes) < 12


def test_a_target_that_never_keeps_the_limit_has_no_knee():
    best, probes = find_max(lambda rate: Probe(rate, 9.0, 0.0, True), 0.05, 100, 50_000)
    assert best == 0.0
    assert len(probes) < 10


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.004, "0.00"),
        (7.123, "7.12"),
        (99.994, "99.99"),
        (101.26, "101.3"),
        (1010.35, "1,010"),
        (12e4, "120,000"),
    ],
)
def test_a_table_has_room_for_long_times(milliseconds, text):
    assert shown(milliseconds) == text
