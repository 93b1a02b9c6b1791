"""After a post-only order was refused for taking, its price is not asked for again at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import POST_ONLY, Row
from market_maker.model.ticks import PriceGrid
from market_maker.quoting.passive import PassiveHold

REASON = f"Canceled: Order had execInst of {POST_ONLY}"


def answer(side: str, price: float, **more: object) -> Row:
    row = {"side": side, "price": price, "ordStatus": "Canceled", "execInst": POST_ONLY}
    return {**row, "text": REASON, **more}


def order(side: str, price: float) -> Row:
    return {"side": side, "price": price, "orderQty": 100}


@pytest.mark.parametrize("tick", [0.5, 0.1, 0.01, 0.0001, 1e-8])
def test_a_refused_price_goes_one_tick_back_and_the_levels_behind_make_room(tick: float) -> None:
    grid, hold = PriceGrid.of(tick), PassiveHold()
    for side, sign in (("Buy", 1), ("Sell", -1)):
        hold.learn(answer(side, grid.price(1_000)), "", 0.0)
        wanted = [order(side, grid.price(1_000 + sign * n)) for n in (-3, -1, 0, 2)]
        moved = [grid.nearest(o["price"]) for o in hold.step_back(wanted, grid, 1.0)]
        assert moved == [1_000 + sign * n for n in (-4, -3, -2, -1)]


def test_it_waits_there_and_then_may_return() -> None:
    grid, hold = PriceGrid.of(0.5), PassiveHold()
    hold.learn(answer("Buy", 100.0), "", 0.0)
    hold.learn(answer("Buy", 99.5), "", 3.0)
    wanted = [order("Buy", 100.0), order("Sell", 100.5), {"side": "Buy", "stopPx": 101.0}]
    assert hold.step_back(wanted, grid, 7.9)[0]["price"] == 99.0
    assert hold.step_back(wanted, grid, 8.0) == wanted


@pytest.mark.parametrize(
    "row",
    [
        answer("Buy", 100.0, ordStatus="New", text=""),
        answer("Buy", 100.0, ordStatus="Filled"),
        answer("Buy", 100.0, execInst=""),
        answer("Buy", 100.0, text="Canceled via API."),
        {},
    ],
)
def test_other_answers_hold_nothing_back(row: Row) -> None:
    hold, wanted = PassiveHold(), [order("Buy", 100.0)]
    hold.learn(row, "", 0.0)
    assert hold.step_back(wanted, PriceGrid.of(0.5), 0.0) == wanted


@given(
    held=st.integers(500, 520),
    ticks=st.lists(st.integers(490, 530), max_size=8, unique=True),
    side=st.sampled_from(["Buy", "Sell"]),
)
def test_levels_stay_apart_in_order_and_behind_whatever_they_are(
    held: int, ticks: list[int], side: str
) -> None:
    grid, hold, sign = PriceGrid.of(0.01), PassiveHold(), 1 if side == "Buy" else -1
    hold.learn(answer(side, grid.price(held)), "", 0.0)
    wanted = [order(side, grid.price(t)) for t in ticks]
    got = [grid.nearest(o["price"]) for o in hold.step_back(wanted, grid, 0.0)]
    assert all(sign * t < sign * held for t in got)
    assert len(set(got)) == len(got)
    ranks = sorted(range(len(ticks)), key=lambda i: ticks[i])
    assert sorted(range(len(got)), key=lambda i: got[i]) == ranks
    assert all(g == t or sign * g < sign * t for g, t in zip(got, ticks, strict=True))
