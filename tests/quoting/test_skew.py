"""The band of the inventory and the lean before funding."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.quoting.skew import funding_lean, place_in_band, price_lean, size_factor


@pytest.mark.parametrize(
    ("position", "bid", "ask"),
    [(-400, 2, 0), (-300, 2, 0), (-100, 1.5, 0.5), (100, 1, 1), (300, 0.5, 1.5), (900, 0, 2)],
)
def test_bids_are_double_at_the_low_edge_as_set_at_the_target_and_gone_at_the_high_edge(
    position: float, bid: float, ask: float
) -> None:
    place = place_in_band(position, target=100, half_range=400, worth=math.inf)
    assert (size_factor("Buy", place), size_factor("Sell", place)) == (bid, ask)


def test_the_band_is_no_wider_than_half_of_what_the_account_is_worth() -> None:
    assert place_in_band(50, 0, half_range=400, worth=200) == 0.5


@pytest.mark.parametrize(("position", "place"), [(-1, -1), (0, 0), (1, 1)])
def test_a_band_without_width_knows_too_much_and_too_little(position: float, place: float) -> None:
    assert place_in_band(position, 0, 400, worth=0) == place


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_the_multipliers_of_both_sides_make_two(
    position: float, target: float, half: float
) -> None:
    place = place_in_band(position, target, half, math.inf)
    assert -1 <= place <= 1
    assert size_factor("Buy", place) + size_factor("Sell", place) == 2
    assert price_lean(place, 0.001, 50_000) * place <= 0  # against the inventory


@pytest.mark.parametrize(
    ("rate", "left_s", "lean"),
    [
        (0.0001, 0, -5.0),  # longs pay: worth a funding less
        (0.0001, 300, -2.5),
        (0.0001, 600, 0.0),
        (0.0001, 9_000, 0.0),
        (0.0001, -1, 0.0),  # it is over, and the next is not known yet
        (-0.0002, 300, 5.0),
    ],
)
def test_quotes_lean_away_from_the_side_that_will_pay(
    rate: float, left_s: float, lean: float
) -> None:
    assert funding_lean(rate, left_s, 600, 1.0, 50_000) == pytest.approx(lean)
