"""The one truth about our orders, whatever order the messages come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.order_store import OrderStore, Phase
from market_maker.model.rows import Row

LATER = 1e9


def store() -> OrderStore:
    return OrderStore("XBTUSD", lambda cl_ord_id: cl_ord_id.startswith("mm_"))


def row(status: str = "New", cum: int = 0, second: int = 1, qty: int = 100, **more: object) -> Row:
    leaves = 0 if status in ("Filled", "Canceled") else qty - cum
    return {
        "orderID": "o-1",
        "clOrdID": "mm_1",
        "symbol": "XBTUSD",
        "side": "Buy",
        "price": 100.0,
        "orderQty": qty,
        "leavesQty": leaves,
        "cumQty": cum,
        "ordStatus": status,
        "timestamp": f"2026-01-01T00:00:{second:02d}.000Z",
        **more,
    }


def sent(orders: OrderStore) -> None:
    orders.intend_create({"clOrdID": "mm_1", "side": "Buy", "price": 100.0, "orderQty": 100})


def test_an_order_counts_as_live_before_its_bytes_go_out() -> None:
    orders = store()
    sent(orders)
    assert orders.exposed("Buy") == 100
    assert orders.open_orders() == []
    assert [r["clOrdID"] for r in orders.unproven()] == ["mm_1"]


@pytest.mark.parametrize("answer_first", [True, False])
def test_answer_and_stream_row_are_the_same_order(answer_first: bool) -> None:
    orders = store()
    sent(orders)
    steps = [
        lambda: orders.settle("mm_1", Result(Status.OK, row()), LATER),
        lambda: orders.apply(row()),
    ]
    for step in steps if answer_first else reversed(steps):
        step()
    assert [r["orderID"] for r in orders.open_orders()] == ["o-1"]
    assert orders.exposed("Buy") == 100


def test_an_order_without_an_answer_stays_live_until_it_is_found() -> None:
    orders = store()
    sent(orders)
    orders.settle("mm_1", Result(Status.UNKNOWN, {}), LATER)
    assert orders.exposed("Buy") == 100
    assert [key for key, _ in orders.unknown()] == ["mm_1"]
    orders.apply(row())
    assert list(orders.unknown()) == []
    assert len(orders.open_orders()) == 1


def test_an_order_without_an_answer_is_gone_after_it_was_missing_twice() -> None:
    orders = store()
    sent(orders)
    orders.settle("mm_1", Result(Status.UNKNOWN, {}), LATER)
    assert not orders.prove_absent("mm_1")
    assert orders.exposed("Buy") == 100
    assert orders.prove_absent("mm_1")
    assert orders.exposed("Buy") == 0


@pytest.mark.parametrize("status", [Status.REJECTED, Status.NOT_SENT])
def test_an_order_that_was_refused_or_never_left_is_gone(status: Status) -> None:
    orders = store()
    sent(orders)
    orders.settle("mm_1", Result(status, {}), LATER)
    assert len(orders) == 0


def test_a_finished_order_is_not_revived_by_a_late_row() -> None:
    orders = store()
    orders.apply(row())
    orders.apply(row("Canceled", second=2))
    orders.apply(row(second=1))
    assert orders.open_orders() == []


def test_an_older_row_changes_nothing() -> None:
    orders = store()
    orders.apply(row(second=5, price=101.0))
    assert not orders.apply(row(second=4, price=100.0))
    assert orders.open_orders()[0]["price"] == 101.0


def test_what_is_filled_stays_filled_whatever_the_time_of_a_row() -> None:
    orders = store()
    orders.apply(row("PartiallyFilled", cum=60, second=1))
    assert not orders.apply(row("PartiallyFilled", cum=40, second=9))
    assert orders.exposed("Buy") == 40
    assert orders.filled_qty == 60


@pytest.mark.parametrize(("asked", "counts"), [(300, 300), (40, 100)])
def test_an_amend_in_flight_counts_with_the_larger_size(asked: int, counts: int) -> None:
    orders = store()
    orders.apply(row())
    assert orders.intend_amend("o-1", {"orderQty": asked})
    assert orders.exposed("Buy") == counts
    assert not orders.intend_amend("o-1", {"orderQty": 200}), "one action at a time"
    orders.settle("o-1", Result(Status.REJECTED, {}), LATER)
    assert orders.exposed("Buy") == 100


@pytest.mark.parametrize(("told", "counts"), [("Replaced", 300), ("AmendReject", 100)])
def test_an_amend_that_is_only_acknowledged_counts_at_its_larger_size_until_a_row_tells(
    told: str, counts: int
) -> None:
    orders = store()
    orders.apply(row(qty=100))
    orders.intend_amend("o-1", {"orderQty": 300})
    orders.settle("o-1", Result(Status.ACCEPTED, {"orderID": "o-1"}), LATER)
    assert orders.exposed("Buy") == 300
    assert not orders.intend_amend("o-1", {"orderQty": 200}), "it is still in flight"
    orders.apply(row(qty=counts, second=2, execType=told))
    assert orders.exposed("Buy") == counts
    assert orders.intend_amend("o-1", {"orderQty": 200})


def test_an_order_counts_until_its_cancel_is_proven() -> None:
    orders = store()
    orders.apply(row())
    assert orders.intend_cancel("o-1")
    assert orders.exposed("Buy") == 100
    orders.apply(row("Canceled", second=2))
    assert orders.exposed("Buy") == 0


def test_an_amend_of_unknown_outcome_needs_a_query_not_any_row() -> None:
    orders = store()
    orders.apply(row())
    orders.intend_amend("o-1", {"orderQty": 300})
    orders.settle("o-1", Result(Status.UNKNOWN, {}), LATER)
    orders.apply(row(cum=10, second=2))
    assert orders.exposed("Buy") == 300
    orders.resolve("o-1", row(cum=10, second=3))
    assert orders.exposed("Buy") == 90
    tracked = orders.get("o-1")
    assert tracked is not None
    assert tracked.phase is Phase.WORKING


def test_another_hands_order_is_never_ours() -> None:
    orders = store()
    orders.apply(row(clOrdID="somebody", orderID="o-9"))
    assert len(orders) == 0


def test_what_a_list_of_open_orders_does_not_show_is_looked_up_not_forgotten() -> None:
    orders = store()
    orders.apply(row())
    orders.resync([row(orderID="o-2", clOrdID="mm_2")])
    assert [r["orderID"] for r in orders.open_orders()] == ["o-1", "o-2"]
    assert [key for key, _ in orders.unknown()] == ["o-1"]
    orders.resolve("o-1", row("Canceled", second=2))
    assert [r["orderID"] for r in orders.open_orders()] == ["o-2"]


def test_a_client_id_may_be_used_again_after_its_order_has_ended() -> None:
    orders = store()
    orders.apply(row())
    orders.apply(row("Canceled", second=2))
    sent(orders)
    orders.settle("mm_1", Result(Status.OK, row(orderID="o-2", second=3)), LATER)
    orders.apply(row("Canceled", second=2))
    assert [r["orderID"] for r in orders.open_orders()] == ["o-2"]


def test_an_order_that_was_not_sent_may_be_sent_again_under_its_id() -> None:
    orders = store()
    sent(orders)
    orders.settle("mm_1", Result(Status.NOT_SENT, {}), LATER)
    sent(orders)
    orders.settle("mm_1", Result(Status.OK, row()), LATER)
    assert [r["orderID"] for r in orders.open_orders()] == ["o-1"]


def test_a_long_lived_order_is_known_however_many_have_come_and_gone() -> None:
    orders = store()
    orders.apply(row(cum=10))
    counted = orders.filled_qty
    for i in range(6_000):
        gone = row("Filled", 100, 2, orderID=f"x-{i}", clOrdID=f"mm_x{i}", side="Sell")
        orders.apply(gone)
    orders.apply(row(cum=10, second=3))
    assert orders.get("o-1") is not None
    assert orders.filled_qty == counted - 600_000


def test_fills_in_a_data_image_are_in_the_position_already() -> None:
    orders = store()
    orders.take_as_counted([row(cum=40)])
    orders.apply(row(cum=40))
    assert orders.filled_qty == 0
    orders.apply(row(cum=70, second=2))
    assert orders.filled_qty == 30


@given(order=st.permutations(range(6)), repeats=st.lists(st.integers(0, 5), max_size=6))
def test_late_and_repeated_rows_never_change_the_outcome(
    order: list[int], repeats: list[int]
) -> None:
    history = [
        row("New", 0, 1),
        row("PartiallyFilled", 10, 2),
        row("PartiallyFilled", 40, 3),
        row("PartiallyFilled", 60, 4),
        row("PartiallyFilled", 90, 5),
        row("Filled", 100, 6),
    ]
    orders = store()
    for i in [*order, *repeats]:
        orders.apply(history[i])
    assert orders.open_orders() == []
    assert orders.exposed("Buy") == 0
    assert orders.filled_qty == 100


def test_a_cancel_that_did_not_go_out_does_not_end_the_doubt_about_an_amend() -> None:
    orders = store()
    sent(orders)
    orders.settle("mm_1", Result(Status.OK, row()), LATER)
    orders.intend_amend("o-1", {"orderQty": 500})
    orders.settle("o-1", Result(Status.UNKNOWN, {}), LATER)
    assert orders.intend_cancel("o-1")
    orders.settle("o-1", Result(Status.NOT_SENT, {}), LATER)
    assert orders.exposed("Buy") == 500
    assert [key for key, _ in orders.unknown()] == ["o-1"]


def test_an_amend_that_an_earlier_run_left_in_flight_counts_at_its_larger_size() -> None:
    orders = store()
    orders.apply(row())
    orders.doubt_amend("o-1", {"orderID": "o-1", "orderQty": 500}, LATER)
    orders.doubt_amend("o-9", {"orderID": "o-9", "orderQty": 500}, LATER)
    assert orders.exposed("Buy") == 500
    orders.resolve("o-1", row(qty=500, second=2))
    assert orders.exposed("Buy") == 500
    assert list(orders.unknown()) == []


def test_an_end_is_believed_even_where_the_exchanges_clock_was_turned_back() -> None:
    orders = store()
    orders.apply(row(second=40))
    assert not orders.apply(row(second=30, qty=200))
    assert orders.apply(row("Canceled", second=10))
    assert orders.open_orders() == []


def test_what_a_query_shows_is_believed_even_then() -> None:
    orders = store()
    orders.apply(row(second=40))
    orders.intend_amend("o-1", {"price": 90.0})
    orders.settle("o-1", Result(Status.UNKNOWN, {}), LATER)
    orders.resolve("o-1", row(second=30, price=90.0))
    assert [order["price"] for order in orders.open_orders()] == [90.0]
    assert orders.apply(row(second=31, price=80.0)), "and the rows after it"


def test_a_resting_order_that_the_exchange_takes_out_by_itself_is_counted() -> None:
    orders = store()
    sent(orders)
    orders.apply(row(second=1))
    orders.apply(row("Canceled", second=2))
    assert orders.cancelled_unasked == 1


def test_an_order_that_we_cancel_or_that_never_rested_is_not() -> None:
    orders = store()
    sent(orders)
    orders.apply(row("Canceled", second=1))  # post-only, and it would have taken
    other = store()
    sent(other)
    other.apply(row(second=1))
    other.intend_cancel("o-1")
    other.apply(row("Canceled", second=2))
    assert (orders.cancelled_unasked, other.cancelled_unasked) == (0, 0)


def test_a_look_up_does_not_count_what_the_image_of_the_position_held_already() -> None:
    store = OrderStore("XBTUSD", lambda cl_ord_id: True)
    store.image_time = "2026-01-01T00:00:10.000Z"
    for number, (second, counted) in enumerate((("09", 0), ("10", 0), ("11", 100))):
        store.intend_create({"clOrdID": f"c{number}", "side": "Buy", "orderQty": 100})
        found = {
            "orderID": f"o{number}", "clOrdID": f"c{number}", "symbol": "XBTUSD", "side": "Buy",
            "ordStatus": "Filled", "leavesQty": 0, "cumQty": 100,
            "timestamp": f"2026-01-01T00:00:{second}.000Z",
        }  # fmt: skip
        store.resolve(f"c{number}", found)
        assert store.filled_qty == counted


def placed() -> OrderStore:
    orders = store()
    sent(orders)
    orders.apply(row(second=1, cum=30, status="PartiallyFilled"))
    return orders


EMPTY = {**row("PartiallyFilled", cum=30, second=2), "leavesQty": 0}


@pytest.mark.parametrize("status", ["New", "PartiallyFilled", "PendingCancel", None])
def test_an_order_said_to_be_empty_that_is_neither_filled_nor_ended_is_looked_up(
    status: str | None,
) -> None:
    for tell in (
        lambda orders, told: orders.apply(told),
        lambda orders, told: orders.settle("o-1", Result(Status.OK, told), LATER),
    ):
        orders = placed()
        orders.intend_amend("o-1", {"price": 99.0})
        tell(orders, {**EMPTY, "ordStatus": status})
        assert [(k, t.settle_after_s < 0) for k, t in orders.unknown()] == [("o-1", True)]
        assert orders.exposed("Buy") == 70, "it may be there"
        assert [o["orderID"] for o in orders.open_orders()] == ["o-1"], "its level is taken"


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (row("Canceled", cum=30, second=3), 0),
        (row("Filled", cum=100, second=3), 0),
        (EMPTY, 0),  # the exchange was asked for this very order
        (row("PartiallyFilled", cum=40, second=3), 60),
        (row("PartiallyFilled", cum=30, second=1), 70),
    ],
)
def test_and_is_what_the_exchange_then_shows(found: Row, left: int) -> None:
    orders = placed()
    orders.apply(EMPTY)
    orders.resolve("o-1", found)
    assert list(orders.unknown()) == []
    assert orders.exposed("Buy") == left
    assert len(orders) == len(orders.open_orders()) == bool(left)
    assert orders.filled_qty == found["cumQty"]
    if not left:
        orders.apply(row(second=4))
        assert len(orders) == 0, "a late row does not revive it"


@pytest.mark.parametrize("status", ["New", None])
def test_an_order_filled_to_its_size_has_ended_whatever_its_status(status: str | None) -> None:
    orders = placed()
    orders.apply({**row("New", cum=100, second=2), "ordStatus": status})
    assert (len(orders), orders.exposed("Buy"), orders.filled_qty) == (0, 0, 100)


@pytest.mark.parametrize("status", [Status.REJECTED, Status.NOT_SENT])
def test_an_answer_that_comes_after_all_ends_the_doubt_of_an_order(status: Status) -> None:
    orders = store()
    sent(orders)
    orders.doubt_in_flight(LATER)  # the end of the run does not wait for another thread's answer
    orders.settle("mm_1", Result(status, {}), LATER)
    assert len(orders) == 0
    assert orders.exposed("Buy") == 0


def test_every_change_of_an_order_is_counted() -> None:
    orders, seen = store(), [0]
    for step in (
        lambda: sent(orders),
        lambda: orders.settle("mm_1", Result(Status.OK, row()), LATER),
        lambda: orders.apply(row("PartiallyFilled", cum=40, second=2)),
        lambda: orders.apply(row("Canceled", cum=40, second=3)),
    ):
        step()
        seen.append(orders.changes)
    assert seen == sorted(set(seen))
