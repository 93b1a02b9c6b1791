"""Net trades per side, and credit for what closes with a gain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.quoting.brake import TradeBrake


def trades(brake: TradeBrake, now_s: float = 0.0) -> tuple[float, float]:
    return brake.trades("Buy", 60, now_s), brake.trades("Sell", 60, now_s)


def test_part_of_an_order_is_part_of_a_trade() -> None:
    brake = TradeBrake()
    brake.add("Buy", 100, 25, 100, 0.0)
    brake.add("Buy", 100, 50, 100, 0.0)
    assert trades(brake) == (0.75, 0)


def test_trades_are_forgotten_in_their_time() -> None:
    brake = TradeBrake()
    brake.add("Buy", 100, 100, 100, 0.0)
    brake.add("Buy", 100, 100, 100, 30.0)
    assert [trades(brake, now_s)[0] for now_s in (30, 59.9, 60, 90)] == [2, 2, 1, 0]


@pytest.mark.parametrize(
    ("price", "left"),
    [(101, (0, 0)), (100, (1, 1)), (99, (1, 1))],  # better, even, worse than the buy
)
def test_only_an_opposite_trade_at_a_better_price_gives_credit_back(
    price: float, left: tuple[float, float]
) -> None:
    brake = TradeBrake()
    brake.add("Buy", 100, 100, 100, 0.0)
    brake.add("Sell", price, 100, 100, 1.0)
    assert trades(brake, 1.0) == left


def test_the_largest_gain_is_taken_first_and_the_rest_counts() -> None:
    brake = TradeBrake()
    brake.add("Sell", 105, 100, 100, 0.0)
    brake.add("Sell", 103, 100, 100, 0.0)
    brake.add("Buy", 104, 150, 150, 0.0)
    bought, sold = trades(brake)
    assert bought == pytest.approx(50 / 150)
    assert sold == 1  # the sell at 103 was none to close at 104


@given(
    st.lists(
        st.tuples(st.sampled_from(["Buy", "Sell"]), st.integers(90, 110), st.integers(1, 9)),
        max_size=30,
    )
)
def test_it_never_counts_more_than_was_traded_and_never_less_than_the_position_opened(
    fills: list[tuple[str, int, int]],
) -> None:
    brake = TradeBrake()
    for side, price, qty in fills:
        brake.add(side, price, qty, 1, 0.0)
    bought, sold = (sum(q for s, _, q in fills if s == side) for side in ("Buy", "Sell"))
    left = {side: sum(t.left for t in brake._trades[side]) for side in ("Buy", "Sell")}
    assert left["Buy"] - left["Sell"] == bought - sold
    assert left["Buy"] <= bought and left["Sell"] <= sold
