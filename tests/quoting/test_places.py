"""Which resting orders keep their place in the queue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.places import Rests, is_worth_keeping, keep_places

GRID = PriceGrid.of(0.5)


def resting(side: str, price: float, name: str = "a", qty: int = 100) -> Row:
    return {"orderID": name, "side": side, "price": price, "leavesQty": qty}


def wish(side: str, price: float, qty: int = 100) -> Row:
    return {"side": side, "price": price, "orderQty": qty}


@pytest.mark.parametrize(
    ("ratio", "gain", "stays"),
    [
        (0.0, 3, True),  # at the front, worth 4 ticks
        (0.0, 4, False),
        (0.5, 1, True),  # in the middle, worth 2
        (0.5, 2, False),
        (1.0, 0.5, False),  # at the back or unknown, worth nothing
    ],
)
def test_an_order_stays_while_its_place_is_worth_more_than_the_move(
    ratio: float, gain: float, stays: bool
) -> None:
    assert is_worth_keeping(ratio, gain, worth_ticks=4) is stays
    assert not is_worth_keeping(ratio, gain, worth_ticks=0)


def test_an_order_rests_from_when_it_is_first_seen_at_its_price() -> None:
    rests = Rests()
    assert rests.look([resting("Buy", 100.0), {"side": "Buy", "price": 99.0}], 10.0) == {"a": 0}
    assert rests.look([resting("Buy", 100.0)], 14.0) == {"a": 4}
    assert rests.look([resting("Buy", 99.5)], 16.0) == {"a": 0}
    assert rests.look([], 17.0) == {}
    assert rests.look([resting("Buy", 99.5)], 18.0) == {"a": 0}


def test_a_kept_order_has_its_price_and_the_wanted_size() -> None:
    wanted = [wish("Buy", 99.0, 300), wish("Sell", 101.0)]
    working = [resting("Buy", 99.5), resting("Sell", 101.5, "b")]
    kept = keep_places(wanted, working, lambda order, ticks: order["orderID"] == "a", GRID)
    assert kept == [wish("Buy", 99.5, 300), wish("Sell", 101.0)]


def test_orders_at_a_wanted_price_are_left_out_of_the_comparison() -> None:
    wanted = [wish("Buy", 99.5), wish("Buy", 99.0)]
    working = [resting("Buy", 99.5), resting("Buy", 98.0, "b")]
    seen: list[tuple[str, float]] = []
    keep_places(wanted, working, lambda o, t: bool(seen.append((o["orderID"], t))), GRID)
    assert seen == [("b", 2)]


def test_nothing_stays_where_own_quotes_would_meet() -> None:
    wanted = [wish("Buy", 98.0), wish("Sell", 99.0)]  # the market has fallen
    working = [resting("Buy", 99.5)]
    assert keep_places(wanted, working, lambda *_: True, GRID) == wanted


LEVELS = st.lists(st.integers(1, 40), max_size=6, unique=True)


@given(LEVELS, LEVELS, LEVELS, LEVELS, st.randoms(use_true_random=False))
def test_kept_quotes_never_cross_and_no_two_are_at_one_price(
    bids: list[int], asks: list[int], old_bids: list[int], old_asks: list[int], rng
) -> None:
    wanted = [wish("Buy", GRID.price(1000 - b)) for b in bids]
    wanted += [wish("Sell", GRID.price(1000 + a)) for a in asks]
    working = [resting("Buy", GRID.price(1020 - b), f"b{b}") for b in old_bids]
    working += [resting("Sell", GRID.price(980 + a), f"s{a}") for a in old_asks]
    kept = keep_places(wanted, working, lambda *_: rng.random() < 0.5, GRID)
    assert len(kept) == len(wanted)
    prices = {side: [r["price"] for r in kept if r["side"] == side] for side in ("Buy", "Sell")}
    for side in ("Buy", "Sell"):
        assert len(set(prices[side])) == len(prices[side])
    if bids and asks:
        assert max(prices["Buy"]) < min(prices["Sell"])
