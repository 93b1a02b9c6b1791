"""Where the time goes: stages by a clock that is moved by hand, and quantiles of histograms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.model.latency import STAGES, Histogram, Latency


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


def figures(latency: Latency, stage: str) -> tuple[int, int]:
    """How many values a stage has, and the longest in ms."""
    found = latency.stages[stage]
    return found.count, round(found.longest_s * 1000)


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_that_of_the_values_and_at_most_a_step_more(
    values: list[float], part: float
) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    found = histogram.quantile_s(part)
    exceeding = sum(value > found + 1e-9 for value in values)
    assert exceeding <= (1 - part) * len(values) + 1e-9
    assert any(value <= found + 1e-9 and found <= value * 1.07 + 2e-7 for value in values)


def test_a_round_is_cut_into_its_stages(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    clock.sleep(0.010)
    latency.begin_round(moved_s=100.0)
    clock.sleep(0.020)
    latency.sending()
    for _ in range(2):
        clock.sleep(0.001)
        latency.written()
    clock.sleep(0.050)
    latency.answered()
    stages = ("wake", "decide", "send", "acknowledge", "tick to order")
    assert [figures(latency, stage) for stage in stages] == [
        (1, 10), (1, 20), (1, 2), (1, 50), (1, 31),
    ]  # fmt: skip


def test_a_second_batch_of_a_round_is_no_second_decision(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    latency.begin_round(100.0)
    for _ in range(2):
        latency.sending()
        latency.written()
        clock.sleep(0.005)
        latency.answered()
    counts = {stage: found.count for stage, found in latency.stages.items() if found.count}
    assert counts == {"wake": 1, "decide": 1, "send": 2, "acknowledge": 2, "tick to order": 1}


def test_what_is_sent_between_rounds_belongs_to_none(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    latency.begin_round(100.0)
    latency.end_round()
    latency.written()  # by another thread
    latency.sending()
    latency.written()
    latency.answered()
    counts = {stage: found.count for stage, found in latency.stages.items() if found.count}
    assert counts == {"wake": 1, "send": 1, "acknowledge": 1}


def test_a_wait_that_was_meant_is_no_delay(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    clock.sleep(1.0)
    latency.end_pause()
    clock.sleep(0.003)
    latency.begin_round(moved_s=100.5)
    assert figures(latency, "wake") == (1, 3)


def test_without_a_word_of_the_sockets_the_whole_way_is_the_answers(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    latency.sending()
    clock.sleep(0.007)
    latency.answered()
    assert (figures(latency, "send"), figures(latency, "acknowledge")) == ((0, 0), (1, 7))


def test_a_timed_step_counts_even_when_it_fails(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)

    def step(what: int) -> float:
        clock.sleep(0.002)
        return 1 / what

    timed = latency.timed("parse", step)
    assert timed(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        timed(0)
    assert figures(latency, "parse") == (2, 2)


def test_the_table_has_a_line_a_stage_and_fits_80_columns(clock: ManualClock) -> None:
    latency = Latency(clock.monotonic)
    for stage in STAGES[:-1]:
        for _ in range(1000):
            latency.stages[stage].add(59.9)
    lines = latency.lines()
    assert lines[0].split() == ["Latency,", "us", "count", "p50", "p90", "p99", "max"]
    assert [line[2:16].strip() for line in lines[1:]] == list(STAGES)
    assert lines[1].split()[1:] == ["1,000"] + ["59,900,000.0"] * 4
    assert lines[-1].split()[-1] == "0"
    assert max(map(len, lines)) <= 80
