"""Prices and sizes survive the way to integers and back, at every awkward step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.ticks import LotGrid, PriceGrid, plain

STEPS = [0.5, 0.1, 0.05, 0.01, 0.0001, 1e-5, 1e-8, 2.5, 100]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (100, "100"),
        (2_000_000, "2000000"),
        (0.1 + 0.2, "0.3"),
        (1e-8, "0.00000001"),
        (5.0, "5"),
        (-0.5, "-0.5"),
        (0, "0"),
        (0.0, "0"),
    ],
)
def test_a_size_is_written_without_exponent_or_idle_zeros(size: float, text: str) -> None:
    assert plain(size) == text


@pytest.mark.parametrize("step", STEPS)
@given(ticks=st.integers(1, 10**9))
def test_a_price_survives_the_round_trip_through_ticks(step: float, ticks: int) -> None:
    grid = PriceGrid.of(step)
    price = grid.price(ticks)
    assert grid.bid_ticks(price) == grid.nearest(price) == grid.ask_ticks(price) == ticks
    assert grid.contains(price)


@pytest.mark.parametrize("step", STEPS)
@given(ticks=st.integers(1, 10**6), part=st.floats(0.01, 0.99))
def test_bids_round_down_and_asks_round_up(step: float, ticks: int, part: float) -> None:
    grid = PriceGrid.of(step)
    between = (ticks + part) * step
    assert grid.bid_ticks(between) == ticks
    assert grid.ask_ticks(between) == ticks + 1
    assert not grid.contains(between)


@pytest.mark.parametrize(
    ("step", "price", "shown"),
    [(0.5, 50000, "50000.0"), (1e-8, 0.02075, "0.02075000"), (1e-5, 0.1 + 0.2, "0.30000")],
)
def test_a_price_is_shown_with_the_decimals_of_its_tick(
    step: float, price: float, shown: str
) -> None:
    assert PriceGrid.of(step).format(price) == shown


@pytest.mark.parametrize("step", [0, -1, float("nan"), float("inf")])
def test_a_step_that_is_no_step_is_refused(step: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        PriceGrid.of(step)


@pytest.mark.parametrize(
    ("lot", "qty", "nearest"), [(100, 149, 100), (100, 150, 200), (1, 7, 7), (0.001, 0.0129, 0.013)]
)
def test_a_size_goes_to_its_lot(lot: float, qty: float, nearest: float) -> None:
    grid = LotGrid.of(lot)
    assert grid.nearest(qty) == nearest
