"""Where the rate budget allows a part of a batch, it is the part that matters most."""

from market_maker.model.rows import Row
from market_maker.quoting.urgency import by_urgency


def order(side: str, price: float, **more: object) -> Row:
    return {"side": side, "price": price, "orderQty": 100, **more}


LADDER = [
    *(order("Buy", price) for price in (97.0, 98.0, 99.0)),
    *(order("Sell", price) for price in (103.0, 102.0, 101.0)),
]
NEW: list[Row] = [{}] * 6


def test_the_touch_goes_before_far_levels_whatever_the_order_of_the_batch() -> None:
    assert by_urgency(LADDER, NEW, 0) == [2, 5, 1, 4, 0, 3]


def test_at_each_level_the_side_that_brings_the_position_back_goes_first() -> None:
    assert by_urgency(LADDER, NEW, 500) == [5, 2, 4, 1, 3, 0]
    assert by_urgency(LADDER, NEW, -500) == [2, 5, 1, 4, 0, 3]


def test_what_only_reduces_goes_before_all_else() -> None:
    orders = [*LADDER, order("Sell", 110.0, execInst="Close,LastPrice")]
    assert by_urgency(orders, [*NEW, {}], 500)[0] == 6


def test_amends_are_judged_by_what_rests_and_one_that_only_shrinks_goes_first() -> None:
    resting = [order("Buy", 99.0), order("Sell", 101.0), order("Buy", 90.0)]
    changes: list[Row] = [{"price": 99.5}, {"price": 101.5}, {"orderQty": 50}]
    assert by_urgency(changes, resting, 300) == [2, 1, 0]
    changes[2] = {"orderQty": 150, "price": 90.0}
    assert by_urgency(changes, resting, 300) == [1, 0, 2]
