"""Own quotes never meet within a batch that the exchange takes one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.rows import Row
from market_maker.quoting.phases import amend_phases


def row(order_id: str, side: str, price: float) -> Row:
    return {"orderID": order_id, "side": side, "price": price}


def test_a_move_that_touches_no_own_order_is_one_phase() -> None:
    resting = [row("b", "Buy", 100), row("s", "Sell", 110)]
    changes = [{"orderID": "b", "price": 101}, {"orderID": "s", "price": 109}]
    assert amend_phases(changes, resting) == [[0, 1]]


@pytest.mark.parametrize(
    ("bid", "ask", "phases"),
    [(105, 106, [[1], [0]]), (101, 102, [[1], [0]]), (90, 91, [[0], [1]]), (99, 100, [[0], [1]])],
)
def test_the_side_that_moves_away_goes_first(
    bid: float, ask: float, phases: list[list[int]]
) -> None:
    resting = [row("b", "Buy", 100), row("s", "Sell", 101)]
    changes = [{"orderID": "b", "price": bid}, {"orderID": "s", "price": ask}]
    assert amend_phases(changes, resting) == phases


def test_what_stays_clear_of_the_other_side_does_not_wait_for_it() -> None:
    resting = [row("b1", "Buy", 100), row("b2", "Buy", 99), row("s", "Sell", 102)]
    moved = [("b1", 105), ("b2", 101), ("s", 110)]
    changes = [{"orderID": name, "price": price} for name, price in moved]
    assert amend_phases(changes, resting) == [[1, 2], [0]]


@given(
    bids=st.lists(st.tuples(st.integers(1, 49), st.integers(1, 99)), min_size=1, max_size=5),
    asks=st.lists(st.tuples(st.integers(50, 99), st.integers(1, 99)), min_size=1, max_size=5),
    shift=st.randoms(),
)
def test_in_whatever_order_a_phase_arrives_no_own_bid_meets_an_own_ask(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], shift
) -> None:
    if max(new for _, new in bids) >= min(new for _, new in asks):
        return  # the wanted quotes themselves would meet
    resting = [row(f"b{i}", "Buy", old) for i, (old, _) in enumerate(bids)]
    resting += [row(f"s{i}", "Sell", old) for i, (old, _) in enumerate(asks)]
    changes = [{"orderID": f"b{i}", "price": new} for i, (_, new) in enumerate(bids)]
    changes += [{"orderID": f"s{i}", "price": new} for i, (_, new) in enumerate(asks)]
    book = {r["orderID"]: dict(r) for r in resting}
    phases = amend_phases(changes, resting)
    assert sorted(i for phase in phases for i in phase) == list(range(len(changes)))
    for phase in phases:
        shift.shuffle(phase)
        for i in phase:
            book[changes[i]["orderID"]]["price"] = changes[i]["price"]
            best_bid = max(r["price"] for r in book.values() if r["side"] == "Buy")
            assert best_bid < min(r["price"] for r in book.values() if r["side"] == "Sell")
