"""From what rests to what is wanted, with the fewest changes and none doubled."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.converge import Plan, Rules, converge

GRID = PriceGrid.of(0.5)
RULES = Rules(GRID, relist_interval=0.0, topup_below=0.5)


def resting(order_id: str, side: str, price: float | None, leaves: int, cum: int = 0, **more: Any):
    row = {
        "orderID": order_id,
        "side": side,
        "price": price,
        "leavesQty": leaves,
        "cumQty": cum,
        "orderQty": leaves + cum,
    }
    return {**row, **more}


def want(side: str, price: float | None, qty: int, **more: Any) -> Row:
    return {"side": side, "price": price, "orderQty": qty, **more}


def test_what_is_right_already_is_left_in_the_queue() -> None:
    plan = converge([resting("a", "Buy", 100, 100)], [want("Buy", 100, 100)], RULES)
    assert plan == Plan([], [], [])


def test_equal_prices_are_paired_before_the_rest_in_order_from_the_touch() -> None:
    working = [resting("inner", "Buy", 100, 100), resting("outer", "Buy", 99, 100)]
    plan = converge(working, [want("Buy", 101, 100), want("Buy", 100, 100)], RULES)
    # One amend instead of two: the order at 100 keeps its place in the queue.
    assert [(change["orderID"], change["price"]) for change in plan.amend] == [("outer", 101)]
    assert not plan.create
    assert not plan.cancel


def test_a_filled_touch_does_not_set_the_whole_side_in_motion() -> None:
    rules = RULES._replace(relist_interval=0.01)
    working = [resting("second", "Sell", 202, 200), resting("third", "Sell", 204, 300)]
    desired = [want("Sell", p, q) for p, q in ((200.5, 100), (202.5, 200), (204.5, 300))]
    plan = converge(working, desired, rules)
    assert plan == Plan([], [], [want("Sell", 200.5, 100)])


def test_an_amend_asks_for_what_is_filled_plus_what_is_wanted() -> None:
    plan = converge([resting("a", "Buy", 100, 30, cum=70)], [want("Buy", 101, 100)], RULES)
    assert plan.amend == [{"orderID": "a", "orderQty": 170, "price": 101, "side": "Buy"}]


@pytest.mark.parametrize(("leaves", "is_topped_up"), [(60, False), (50, False), (49, True)])
def test_a_partly_filled_order_is_topped_up_only_when_little_is_left(
    leaves: int, is_topped_up: bool
) -> None:
    working = [resting("a", "Sell", 100, leaves, cum=100 - leaves)]
    plan = converge(working, [want("Sell", 100, 100)], RULES)
    assert bool(plan.amend) == is_topped_up


@pytest.mark.parametrize(("relist", "is_amended"), [(0.011, False), (0.0099, True)])
def test_a_price_is_amended_only_when_it_is_off_by_more_than_the_relist_interval(
    relist: float, is_amended: bool
) -> None:
    rules = RULES._replace(relist_interval=relist)
    plan = converge([resting("a", "Buy", 100, 100)], [want("Buy", 101, 100)], rules)
    assert bool(plan.amend) == is_amended


def test_surplus_is_cancelled_from_the_outside_and_missing_levels_are_created() -> None:
    working = [resting("b1", "Buy", 100, 100), resting("b2", "Buy", 99, 100)]
    desired = [want("Buy", 100, 100), want("Sell", 102, 100)]
    plan = converge(working, desired, RULES)
    assert [row["orderID"] for row in plan.cancel] == ["b2"]
    assert plan.create == [want("Sell", 102, 100)]


def test_a_level_held_by_an_order_without_proof_is_neither_doubled_nor_touched() -> None:
    plan = converge([resting("", "Buy", 100, 100)], [want("Buy", 101, 100)], RULES)
    assert plan == Plan([], [], [])


def test_a_stop_is_never_amended_into_a_quote() -> None:
    stop = resting("stop", "Sell", None, 100, stopPx=90, ordType="Stop")
    desired = [want("Sell", 102, 100), want("Sell", None, 100, stopPx=91, ordType="Stop")]
    plan = converge([stop], desired, RULES)
    assert [(change["orderID"], change["stopPx"]) for change in plan.amend] == [("stop", 91)]
    assert "price" not in plan.amend[0]
    assert [order["price"] for order in plan.create] == [102]


def test_a_strategys_own_client_id_finds_its_order_again() -> None:
    working = [resting("x", "Buy", 100, 100, clOrdID="mine-1"), resting("y", "Buy", 99, 100)]
    desired = [want("Buy", 98, 100, clOrdID="mine-1"), want("Buy", 99, 100)]
    plan = converge(working, desired, RULES)
    assert [(change["orderID"], change["price"]) for change in plan.amend] == [("x", 98)]


def test_a_random_size_is_kept_once_it_is_drawn() -> None:
    rules = RULES._replace(keep_sizes=True)
    plan = converge([resting("a", "Buy", 100, 70)], [want("Buy", 101, 40)], rules)
    assert plan.amend == [{"orderID": "a", "orderQty": 70, "price": 101, "side": "Buy"}]


LEVELS = st.lists(st.tuples(st.sampled_from(["Buy", "Sell"]), st.integers(1, 12)), max_size=10)


@given(have=LEVELS, wanted=LEVELS)
def test_the_plan_leads_to_exactly_what_was_wanted(
    have: list[tuple[str, int]], wanted: list[tuple[str, int]]
) -> None:
    working = [resting(str(i), side, p / 2, 100) for i, (side, p) in enumerate(have)]
    desired = [want(side, p / 2, 100) for side, p in wanted]
    plan = converge(working, desired, RULES)
    assert _after(working, plan) == Counter((row["side"], row["price"]) for row in desired)
    touched = [row["orderID"] for row in [*plan.cancel, *plan.amend]]
    assert len(touched) == len(set(touched))
    # Nothing is taken out of a queue whose price is wanted.
    stays = Counter((row["side"], row["price"]) for row in working) & Counter(
        (row["side"], row["price"]) for row in desired
    )
    assert len(working) - len(touched) >= stays.total()


def _after(working: list[Row], plan: Plan) -> Counter:
    by_id = {row["orderID"]: row for row in working}
    for row in plan.cancel:
        del by_id[row["orderID"]]
    for change in plan.amend:
        by_id[change["orderID"]] = {**by_id[change["orderID"]], **change}
    return Counter((row["side"], row["price"]) for row in [*by_id.values(), *plan.create])


def test_missing_orders_are_created_from_the_touch_on_both_sides_in_turn() -> None:
    desired = [want("Buy", 98, 1), want("Buy", 99, 1), want("Sell", 102, 1), want("Sell", 101, 1)]
    created = converge([], desired, RULES).create
    assert [order["price"] for order in created] == [99, 101, 98, 102]
