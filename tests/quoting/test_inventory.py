"""Each decision of the strategy "inventory", over its awkward cases."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.quoting.converge import Plan
from market_maker.quoting.inventory import (
    Shape,
    State,
    average_price,
    burnt_touch,
    buyers_ratio,
    ladder,
    leaves_touch,
    may_amend_first,
    must_scratch,
    next_state,
    quotes_anything,
    room,
    runs_against,
    skew_ticks,
)

INIT, DUAL, BID, ASK, KILL = State
SHAPE = Shape(3, 1, (0, 3, None), 10, 0.25, 0.25, 1.0)


@pytest.mark.parametrize(
    ("state", "inventory", "balance", "start", "after"),
    [
        (INIT, 0, None, None, INIT),
        (INIT, 0, 100, None, INIT),
        (INIT, 0, 100, 100, DUAL),
        (INIT, 5, 100, 100, BID),
        (DUAL, 1, 100, 100, BID),
        (BID, -1, 100, 100, ASK),
        (ASK, 0, 100, 100, DUAL),
        (ASK, 0.5, 100, 100, BID),
        (DUAL, 0, None, 100, INIT),  # it is not known any more
        (BID, 5, 85, 100, KILL),  # exactly what may be lost
        (BID, 5, 85.01, 100, BID),
        (KILL, 0, 100, 100, KILL),  # sticky, though the balance is back
        (KILL, 0, None, None, KILL),
        (DUAL, 0, 0, 0, DUAL),  # nothing can be lost of nothing
    ],
)
def test_the_state_that_follows(
    state: State, inventory: float, balance: Any, start: Any, after: State
) -> None:
    assert next_state(state, inventory, balance, start, 0.15) is after


def test_without_a_limit_no_loss_kills() -> None:
    assert next_state(DUAL, 0, 1, 100, None) is DUAL


def test_init_and_kill_quote_nothing() -> None:
    assert [state for state in State if not quotes_anything(state)] == [INIT, KILL]


@pytest.mark.parametrize(
    ("side", "state", "inventory", "ticks"),
    [
        ("Buy", DUAL, 0, 0),
        ("Sell", DUAL, 0, 0),
        ("Buy", BID, 3.3, 0),
        ("Buy", BID, 3.4, 3),  # M / n <= inventory < 2 M / n
        ("Buy", BID, 6.6, 3),
        ("Buy", BID, 6.7, None),
        ("Buy", BID, 50, None),
        ("Sell", BID, 50, 0),
        ("Sell", ASK, -3.4, 3),
        ("Sell", ASK, -7, None),
        ("Buy", ASK, -7, 0),
    ],
)
def test_the_side_that_would_add_steps_back_by_tiers(
    side: str, state: State, inventory: float, ticks: int | None
) -> None:
    assert skew_ticks(side, state, inventory, 10, (0, 3, None)) == ticks


@pytest.mark.parametrize(
    ("takers", "ratio"),
    [("", None), ("B" * 9, None), ("B" * 10, 1.0), ("S" * 10, 0.0), ("SSSSSBBBBBBBBBB", 1.0),
     ("BSBSBSBSBS", 0.5)],
)  # fmt: skip
def test_the_ratio_is_of_the_last_trades_and_unknown_with_fewer(
    takers: str, ratio: float | None
) -> None:
    sides = [{"B": "Buy", "S": "Sell"}[t] for t in takers]
    assert buyers_ratio(sides, 10) == ratio


@pytest.mark.parametrize(
    ("side", "state", "buyers", "aside"),
    [
        ("Buy", DUAL, 0.2, True),
        ("Buy", DUAL, 0.25, False),
        ("Buy", DUAL, None, False),
        ("Buy", BID, 0.2, True),
        ("Buy", ASK, 0.2, False),  # a fill brings the inventory back
        ("Sell", DUAL, 0.8, True),
        ("Sell", DUAL, 0.75, False),
        ("Sell", ASK, 0.8, True),
        ("Sell", BID, 0.8, False),
        ("Sell", DUAL, 0.2, False),
        ("Sell", INIT, 0.8, False),
    ],
)
def test_the_side_that_the_takers_come_to_steps_aside(
    side: str, state: State, buyers: float | None, aside: bool
) -> None:
    assert runs_against(side, state, buyers, 0.25) is aside


@pytest.mark.parametrize(
    ("side", "inventory", "own_best", "touch", "queue", "leaves"),
    [
        ("Buy", 0, 200, 200, (0.26, 1.1), True),
        ("Sell", 0, 200, 200, (0.26, 1.1), True),
        ("Buy", 0, 200, 200, (0.25, 1.1), False),
        ("Buy", 0, 200, 200, (0.9, 1.0), False),  # not before the grace
        ("Buy", 0, 199, 200, (0.9, 5), False),  # it is not at the touch
        ("Buy", 0, 201, 200, (0.9, 5), False),  # it is alone, before the others
        ("Buy", -1, 200, 200, (0.9, 5), True),
        ("Buy", 1, 200, 200, (0.9, 5), False),
        ("Sell", 1, 200, 200, (0.9, 5), True),
        ("Sell", -1, 200, 200, (0.9, 5), False),
        ("Buy", -1, None, 200, (0.9, 5), False),  # no order of ours: no error either
        ("Sell", 1, None, None, (1.0, 0), False),
    ],
)
def test_a_quote_deep_in_its_queue_leaves_the_touch(
    side: str,
    inventory: float,
    own_best: int | None,
    touch: int | None,
    queue: tuple[float, float],
    leaves: bool,
) -> None:
    assert leaves_touch(side, inventory, own_best, touch, queue, SHAPE) is leaves


@pytest.mark.parametrize(
    ("remembered", "touch", "leaves", "burnt"),
    [
        (None, 200, False, None),
        (None, 200, True, 200),
        (200, 200, False, 200),  # it stands
        (200, 201, False, None),  # it has changed
        (200, 201, True, 201),
        (200, None, False, None),
    ],
)
def test_the_touch_that_was_left_is_remembered_while_it_stands(
    remembered: int | None, touch: int | None, leaves: bool, burnt: int | None
) -> None:
    assert burnt_touch(remembered, touch, leaves=leaves) == burnt


@pytest.mark.parametrize(
    ("side", "skew", "burnt", "aside", "prices"),
    [
        ("Buy", 0, None, False, [200, 199, 198]),  # the first joins the touch
        ("Sell", 0, None, False, [200, 201, 202]),
        ("Buy", 3, None, False, [197, 196, 195]),
        ("Buy", 0, 200, False, [199, 198, 197]),  # one level goes, not two
        ("Buy", 0, None, True, [199, 198, 197]),
        ("Buy", 0, 200, True, [199, 198, 197]),  # both mean the same level
        ("Sell", 3, 203, False, [204, 205, 206]),
        ("Buy", 3, 200, True, [196, 195, 194]),
    ],
)
def test_the_ladder_begins_at_the_touch_and_leaves_out_what_it_must(
    side: str, skew: int, burnt: int | None, aside: bool, prices: list[int]
) -> None:
    assert ladder(side, 200, skew, SHAPE, burnt=burnt, steps_aside=aside) == prices


def test_no_bid_is_below_the_first_tick() -> None:
    assert ladder("Buy", 2, 0, SHAPE, burnt=None, steps_aside=False) == [2, 1]
    wide = Shape(3, 5, (0,), 10, 0.25, 0.25, 1)
    assert ladder("Sell", 7, 2, wide, burnt=None, steps_aside=False) == [9, 14, 19]


@given(
    st.sampled_from(["Buy", "Sell"]), st.integers(1, 10**9), st.integers(0, 50),
    st.integers(1, 20), st.integers(1, 9), st.booleans(), st.booleans(),
)  # fmt: skip
def test_no_quote_is_ever_inside_the_touch_and_none_stands_twice(
    side: str, touch: int, skew: int, levels: int, step: int, burns: bool, aside: bool
) -> None:
    shape = Shape(levels, step, (0,), 10, 0.25, 0.25, 1)
    burnt = touch if burns else None
    prices = ladder(side, touch, skew, shape, burnt=burnt, steps_aside=aside)
    assert len(set(prices)) == len(prices) <= levels
    assert burnt not in prices and all(price > 0 for price in prices)
    assert all(price <= touch if side == "Buy" else price >= touch for price in prices)


@pytest.mark.parametrize(
    ("side", "inventory", "left"),
    [("Buy", 0, 10), ("Buy", 10, 0), ("Buy", 12, 0), ("Buy", -4, 14), ("Sell", -10, 0),
     ("Sell", 4, 14)],
)  # fmt: skip
def test_the_inventory_stop_leaves_room_up_to_the_largest(
    side: str, inventory: float, left: float
) -> None:
    assert room(side, inventory, 10) == left


@pytest.mark.parametrize(
    ("inventory", "last", "paid", "scratches"),
    [
        (6, 98.9, 100.0, True),
        (6, 101.1, 100.0, True),  # won or lost
        (-6, 101.1, 100.0, True),
        (6, 99.0, 100.0, False),
        (5, 90.0, 100.0, False),  # not more than half
        (6, 90.0, None, False),
        (6, 90.0, 0, False),
        (0, 90.0, 100.0, False),
    ],
)
def test_much_inventory_far_from_what_it_cost_is_scratched(
    inventory: float, last: float, paid: float | None, scratches: bool
) -> None:
    assert must_scratch(inventory, 10, last, paid, 0.5, 0.01) is scratches
    assert not must_scratch(inventory, 10, last, paid, None, 0.01)


def fill(side: str, qty: float, price: float) -> dict[str, Any]:
    return {"side": side, "lastQty": qty, "lastPx": price}


@pytest.mark.parametrize(
    ("fills", "inventory", "average"),
    [
        ([], 5, None),
        ([fill("Buy", 5, 100.0)], 5, 100.0),
        ([fill("Buy", 5, 100.0), fill("Buy", 5, 110.0)], 5, 110.0),
        ([fill("Buy", 5, 100.0), fill("Sell", 3, 500.0), fill("Buy", 1, 110.0)], 2, 105.0),
        ([fill("Sell", 4, 100.0)], -4, 100.0),
        ([fill("Buy", 4, 100.0)], 5, None),  # held before we came
        ([fill("Buy", 0.1, 100.0), fill("Buy", 0.2, 100.0)], 0.3, pytest.approx(100.0)),
        ([fill("Buy", 5, 100.0)], 0, None),
    ],
)
def test_the_average_is_of_the_newest_fills_that_make_the_inventory(
    fills: list[dict[str, Any]], inventory: float, average: float | None
) -> None:
    before = list(fills)
    assert average_price(fills, inventory) == average
    assert fills == before  # and they stay in their order


def quote(order_id: str, side: str, price: float) -> dict[str, Any]:
    return {"orderID": order_id, "side": side, "price": price}


@pytest.mark.parametrize(
    ("cancel", "amend", "may"),
    [
        ([], [quote("b", "Buy", 100.0)], True),
        (["s"], [quote("b", "Buy", 100.0)], True),
        (["s"], [quote("b", "Buy", 101.0)], False),
        (["s"], [quote("b", "Buy", 101.5)], False),
        (["b"], [quote("s", "Sell", 99.0)], False),
        (["b"], [quote("s", "Sell", 99.5)], True),
        (["s"], [{"orderID": "b", "side": "Buy", "orderQty": 5}], True),
    ],
)
def test_amends_go_first_unless_they_meet_what_is_cancelled(
    cancel: list[str], amend: list[dict[str, Any]], may: bool
) -> None:
    working = [quote("b", "Buy", 99.0), quote("s", "Sell", 101.0)]
    plan = Plan([row for row in working if row["orderID"] in cancel], amend, [])
    assert may_amend_first(plan, working) is may
