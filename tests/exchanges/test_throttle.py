"""The rate budget on a clock that moves by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.exchanges.throttle import RateBudget


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_bucket_empties_and_refills_steadily(clock: ManualClock) -> None:
    budget = RateBudget(clock, capacity=4, refill_per_s=2)
    assert [budget.take() for _ in range(5)] == [True] * 4 + [False]
    assert budget.wait_s() == 0.5
    clock.sleep(0.5)
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.sleep(100)
    assert [budget.take() for _ in range(5)] == [True] * 4 + [False]


def test_nothing_but_what_is_urgent_goes_while_an_answer_asks_to_wait(clock: ManualClock) -> None:
    budget = RateBudget(clock, capacity=10, refill_per_s=1)
    budget.learn({"retry-after": "5"})
    clock.sleep(4.9)
    assert not budget.take()
    clock.sleep(0.2)
    assert budget.take()


def test_the_reserve_is_for_urgent_calls(clock: ManualClock) -> None:
    budget = RateBudget(clock, capacity=10, refill_per_s=1, reserve=3)
    assert budget.take(7)
    assert not budget.take()
    assert budget.wait_s() == 1
    assert [budget.take(urgent=True) for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize("urgent", [False, True])
def test_a_call_larger_than_the_bucket_goes_when_it_is_full(
    clock: ManualClock, urgent: bool
) -> None:
    budget = RateBudget(clock, capacity=10, refill_per_s=1, reserve=2)
    assert budget.take(25, urgent)
    assert budget.wait_s(25, urgent) == 25
    clock.sleep(25)
    assert budget.take(25, urgent)


@pytest.mark.parametrize(
    "headers, passes",
    [
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "3"}, 3),
        ({"x-ratelimit-remaining": "0"}, 0),
        ({"x-ratelimit-limit": "5", "x-ratelimit-remaining": "99"}, 5),
        ({"x-ratelimit-remaining": "nonsense", "x-ratelimit-limit": "-3"}, 10),
        ({"x-ratelimit-limit": "0"}, 10),
        ({"x-ratelimit-remaining": "nan", "x-ratelimit-limit": "inf"}, 10),
        ({}, 10),
    ],
)
def test_answers_correct_the_bucket_but_never_give_back(
    clock: ManualClock, headers: dict[str, str], passes: int
) -> None:
    budget = RateBudget(clock, capacity=10, refill_per_s=1)
    budget.learn(headers)
    assert sum(budget.take() for _ in range(20)) == passes
    budget.learn({"x-ratelimit-remaining": "9"})  # of before we took them
    assert not budget.take()


@pytest.mark.parametrize(
    "headers, per_s",
    [
        ({"x-ratelimit-reset": "1600000030"}, 4.0),
        ({"x-ratelimit-reset": "1600000240"}, 0.5),
        ({"x-ratelimit-reset": "1600000240", "x-ratelimit-remaining": "111"}, 2.0),
        ({"x-ratelimit-reset": "1599999999"}, 2.0),
        ({"x-ratelimit-reset": "1999999999"}, 2.0),
        ({"x-ratelimit-reset": "soon"}, 2.0),
        ({"x-ratelimit-reset": "1600000030", "date": "today"}, 2.0),
        ({}, 2.0),
    ],
)
def test_the_refill_is_measured_by_when_the_exchange_is_full_again(
    clock: ManualClock, headers: dict[str, str], per_s: float
) -> None:
    budget = RateBudget(clock, capacity=120, refill_per_s=2)
    clock.sleep(3600)  # our clock is wrong; the exchange's own date counts
    date = "Sun, 13 Sep 2020 12:26:40 GMT"
    told = {"x-ratelimit-limit": "120", "x-ratelimit-remaining": "0", "date": date}
    budget.learn(told | headers)
    while budget.take():
        pass
    assert budget.wait_s() == pytest.approx(1 / per_s)


def test_a_block_holds_for_urgent_calls_too_and_is_never_shortened(clock: ManualClock) -> None:
    budget = RateBudget(clock, capacity=10, refill_per_s=1)
    budget.block_until(clock.now() + 5)
    budget.learn({"retry-after": "2"})
    budget.learn({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert budget.wait_s(urgent=True) == 5
    assert not budget.take(urgent=True)
    clock.sleep(5)
    assert budget.take()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4), st.booleans()), min_size=1, max_size=60)
)
def test_no_sequence_gets_more_than_the_bucket_and_its_refill(
    calls: list[tuple[float, int, bool]],
) -> None:
    clock = ManualClock()
    budget = RateBudget(clock, capacity=10, refill_per_s=2, reserve=2)
    started = clock.now()
    passed = 0
    for pause_s, cost, urgent in calls:
        clock.sleep(pause_s)
        wait_s = budget.wait_s(cost, urgent)
        taken = budget.take(cost, urgent)
        assert taken == (wait_s == 0)
        passed += cost if taken else 0
        assert passed <= 10 + 2 * (clock.now() - started) + 1e-3
