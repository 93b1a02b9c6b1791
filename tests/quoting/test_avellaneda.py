"""The model's arithmetic against its formulas, and its estimators against known markets."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.quoting.avellaneda import Arrivals, Market, rolling, stationary
from market_maker.quoting.volatility import Volatility

MARKET = Market(sigma=2.0, a=1.5, k=0.3)


@pytest.mark.parametrize("q", [-3.0, 0.0, 2.0])
def test_the_rolling_form_is_that_of_avellaneda_and_stoikov(q: float) -> None:
    terms = rolling(q, 0.1, 60.0, MARKET)
    assert terms.reservation == pytest.approx(-q * 0.1 * 4.0 * 60.0)
    spread = 0.1 * 4.0 * 60.0 + 2 / 0.1 * math.log(1 + 0.1 / 0.3)
    assert terms.bid_depth + terms.ask_depth == pytest.approx(spread)


@pytest.mark.parametrize("q", [-3.0, 0.0, 2.0])
def test_the_stationary_form_is_that_of_gueant_lehalle_and_fernandez_tapia(q: float) -> None:
    g, (sigma, a, k) = 0.1, MARKET
    c1 = math.log(1 + g / k) / g
    c2 = math.sqrt(sigma**2 * g / (2 * k * a) * (1 + g / k) ** (1 + k / g))
    terms = stationary(q, g, MARKET)
    assert terms.bid_depth - terms.reservation == pytest.approx(c1 + (2 * q + 1) / 2 * c2)
    assert terms.ask_depth + terms.reservation == pytest.approx(c1 - (2 * q - 1) / 2 * c2)


@given(
    q=st.floats(-50, 50),
    gamma=st.floats(1e-4, 10),
    sigma=st.floats(0.01, 100),
    a=st.floats(0.01, 100),
    k=st.floats(0.01, 10),
)
def test_both_forms_lean_against_the_inventory_and_keep_a_spread(
    q: float, gamma: float, sigma: float, a: float, k: float
) -> None:
    market = Market(sigma, a, k)
    for terms in (rolling(q, gamma, 30.0, market), stationary(q, gamma, market)):
        assert terms.bid_depth > 0 and terms.ask_depth > 0
        assert terms.reservation * q <= 0


def test_sigma_is_found_in_a_walk_of_known_volatility() -> None:
    rng, volatility, mid = random.Random(1), Volatility(1.0, 5_000), 100_000.0
    for second in range(5_000):
        mid += rng.gauss(0, 3.0)
        volatility.sample(float(second), mid)
    assert volatility.sigma == pytest.approx(3.0, rel=0.05)


def test_samples_within_a_second_and_after_a_gap_count_for_nothing() -> None:
    volatility = Volatility(0.1, 10)
    for now_s, mid in ((0.0, 1.0), (0.5, 99.0), (1.0, 2.0), (60.0, 500.0), (61.0, 501.0)):
        volatility.sample(now_s, mid)
    assert (len(volatility), volatility.sigma) == (2, 1.0)


def test_prints_of_one_time_and_side_are_one_arrival_to_the_worst_price() -> None:
    arrivals = Arrivals(10)
    for price in (101, 102, 105):
        arrivals.add(0.0, "t1", "Buy", price, 100.0)
    arrivals.add(1.0, "t1", "Sell", 99, 100.0)
    arrivals.add(2.0, "t2", "Sell", 97, 100.0)
    assert [sweep.depth for sweep in arrivals._sweeps] == [5, 1, 3]


def test_a_and_k_are_found_where_they_are_known() -> None:
    rng, arrivals, now_s = random.Random(2), Arrivals(20_000), 0.0
    a, k = 2.0, 0.4
    for number in range(20_000):
        now_s += rng.expovariate(2 * a)  # both sides
        side = rng.choice(["Buy", "Sell"])
        depth = rng.expovariate(k)
        price = 1000 + depth if side == "Buy" else 1000 - depth
        if depth < 8:
            arrivals.add(now_s, str(number), side, price, 1000.0)
    fitted = arrivals.fit()
    assert fitted is not None
    assert fitted[1] == pytest.approx(k, rel=0.35)


def test_time_in_which_the_feed_was_in_doubt_makes_no_arrivals_rarer() -> None:
    fits = []
    for doubt_s in (0.0, 3_600.0):
        arrivals, now_s = Arrivals(100), 0.0
        for number in range(40):
            if number == 20:
                arrivals.pause(now_s)
                arrivals.pause(now_s + 1)  # it goes on
                now_s += doubt_s
            arrivals.add(now_s, str(number), "Buy", 100 + number % 7 + 0.5, 100.0)
            now_s += 1.0
        fits.append(arrivals.fit())
    assert fits[0] is not None and fits[1] == pytest.approx(fits[0], rel=0.05)


def test_the_fit_is_that_of_the_definition_and_follows_new_arrivals() -> None:
    arrivals = Arrivals(100)
    for second, depth in enumerate((1.0, 1.0, 2.0, 1.0, 3.0, -1.0)):
        arrivals.add(float(second), str(second), "Sell", 100 - depth, 100.0)
    a, k = arrivals.fit() or (0.0, 0.0)
    # Over 5 s and two sides, 5, 2 and 1 arrivals reach 1, 2 and 3 ticks.
    rates = [math.log(n / 10) for n in (5, 2, 1)]
    assert k == pytest.approx((rates[0] - rates[2]) / 2)
    assert math.log(a) == pytest.approx(sum(rates) / 3 + 2 * k)
    arrivals.add(6.0, "6", "Sell", 97.0, 100.0)
    assert arrivals.fit() != (a, k)


@pytest.mark.parametrize("depths", [[], [1.0], [1.0, 1.0], [-1.0, -2.0]])
def test_depths_that_tell_nothing_give_no_fit(depths: list[float]) -> None:
    arrivals = Arrivals(10)
    for second, depth in enumerate(depths):
        arrivals.add(float(second), str(second), "Buy", 100 + depth, 100.0)
    assert arrivals.fit() is None
