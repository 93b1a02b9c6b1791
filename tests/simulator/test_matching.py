"""The order book alone: queues, places, priorities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.simulator.events import Order
from market_maker.simulator.matching import Book


def order(name: str, side: str, price_ticks: int, qty: int) -> Order:
    return Order(name, 1, "XBTUSD", side, qty, price_ticks, leaves_qty=qty)


def queue_at(book: Book, side: str, price_ticks: int) -> list[tuple[str, int]]:
    places = book.sides[side].queues[price_ticks].places
    return [(place.order.order_id if place.order else "market", place.qty) for place in places]


def take(book: Book, side: str, qty: int, limit: int) -> list[tuple[int, str, int]]:
    """Take from the book; (price, who, how much) in order."""
    out = []
    while qty and (first := book.first(side, limit)):
        queue, place = first
        part = min(qty, place.qty)
        out.append((queue.price_ticks, place.order.order_id if place.order else "market", part))
        book.take(side, queue, place, part)
        qty -= part
    return out


def test_better_prices_trade_first_and_then_who_came_first() -> None:
    book = Book()
    for name, price, qty in (("late", 101, 5), ("best", 100, 5), ("first", 101, 5)):
        if name != "late":
            book.rest(order(name, "Sell", price, qty))
    book.rest(order("late", "Sell", 101, 5))
    assert take(book, "Buy", 12, 101) == [(100, "best", 5), (101, "first", 5), (101, "late", 2)]
    assert [(level.price_ticks, level.size) for level in book.levels("Sell", 0)] == [(101, 3)]


def test_a_limit_keeps_a_taker_from_worse_prices() -> None:
    book = Book()
    book.rest(order("a", "Buy", 100, 5))
    assert take(book, "Sell", 5, 101) == []
    assert book.available("Sell", 101) == 0
    assert book.available("Sell", 100) == 5
    assert book.available("Sell", None) == 5


def test_a_smaller_size_keeps_its_place() -> None:
    book = Book()
    first, second = order("first", "Buy", 100, 5), order("second", "Buy", 100, 5)
    book.rest(first)
    book.rest(second)
    book.shrink(first, 3)
    assert queue_at(book, "Buy", 100) == [("first", 2), ("second", 5)]
    book.shrink(first, 2)
    assert queue_at(book, "Buy", 100) == [("second", 5)]


def test_anonymous_liquidity_joins_behind_and_leaves_from_behind() -> None:
    book = Book()
    book.rest_market("Buy", 100, 10)
    book.rest_market("Buy", 100, 5)
    book.rest(order("ours", "Buy", 100, 3))
    book.rest_market("Buy", 100, 7)
    assert queue_at(book, "Buy", 100) == [("market", 15), ("ours", 3), ("market", 7)]
    book.shrink_market("Buy", 100, 9)
    assert queue_at(book, "Buy", 100) == [("market", 13), ("ours", 3)]
    book.rest_market("Buy", 100, 4, in_front=True)
    assert queue_at(book, "Buy", 100) == [("market", 17), ("ours", 3)]
    book.shrink_market("Buy", 100, 100)
    assert queue_at(book, "Buy", 100) == [("ours", 3)]
    assert book.market_size("Buy", 100) == 0


def test_changes_are_reported_once_with_the_size_before() -> None:
    book = Book()
    book.rest_market("Sell", 100, 10)
    book.rest_market("Sell", 101, 10)
    assert book.asks.drain_changes() == [(100, 0, 10), (101, 0, 10)]
    book.rest_market("Sell", 100, 5)
    book.shrink_market("Sell", 100, 5)  # back to where it was: no change
    book.shrink_market("Sell", 101, 10)
    assert book.asks.drain_changes() == [(101, 10, 0)]
    assert book.asks.drain_changes() == []


def test_every_price_of_a_side_has_an_id_of_its_own() -> None:
    book = Book()
    for price in range(1, 2000):
        book.rest_market("Buy", price, 1)
    assert len({level.level_id for level in book.levels("Buy", 0)}) == 1999


@pytest.mark.parametrize(("side", "best"), [("Buy", 12), ("Sell", 10)])
def test_levels_come_best_first_and_no_more_than_asked(side: str, best: int) -> None:
    book = Book()
    for price in (11, 10, 12):
        book.rest_market(side, price, 1)
    assert book.sides[side].best() == best
    prices = [level.price_ticks for level in book.levels(side, 2)]
    assert prices == ([12, 11] if side == "Buy" else [10, 11])


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9), st.booleans()), max_size=40))
def test_sizes_of_levels_are_the_sums_of_their_queues(moves: list[tuple[int, int, bool]]) -> None:
    book = Book()
    for number, (price, qty, is_market) in enumerate(moves):
        if is_market:
            book.rest_market("Buy", price, qty)
        else:
            book.rest(order(str(number), "Buy", price, qty))
        if number % 3 == 0:
            take(book, "Sell", qty, 4)
        if number % 5 == 0:
            book.shrink_market("Buy", price, qty)
        for queue in book.bids.queues.values():
            assert queue.size == sum(place.qty for place in queue.places) > 0
            anonymous = [place.qty for place in queue.places if place.order is None]
            assert queue.market_size == sum(anonymous)
        assert list(book.bids.prices()) == sorted(book.bids.queues, reverse=True)


def iceberg(name: str, price_ticks: int, qty: int, display_qty: int) -> Order:
    hidden = order(name, "Buy", price_ticks, qty)
    hidden.display_qty = display_qty
    return hidden


def test_an_iceberg_shows_its_tip_and_each_new_tip_queues_again() -> None:
    book = Book()
    book.rest(iceberg("berg", 100, 10, 4))
    book.rest(order("plain", "Buy", 100, 5))
    assert [(level.size) for level in book.levels("Buy", 0)] == [9]
    assert book.available("Sell", 100) == 15
    assert take(book, "Sell", 11, 100) == [(100, "berg", 4), (100, "plain", 5), (100, "berg", 2)]
    assert book.bids.touch() == (100, 2)
    assert take(book, "Sell", 9, 100) == [(100, "berg", 2), (100, "berg", 2)]
    assert book.levels("Buy", 0) == [] and book.bids.best() is None


def test_a_hidden_order_is_seen_by_nobody_and_trades_last_at_its_price() -> None:
    book = Book()
    book.rest(iceberg("ghost", 101, 5, 0))
    assert book.levels("Buy", 0) == [] and book.bids.touch() == (None, 0)
    assert book.bids.drain_changes() == []
    book.rest(iceberg("other", 100, 5, 0))
    book.rest_market("Buy", 100, 3)
    book.rest(order("late", "Buy", 100, 2))
    assert book.bids.touch() == (100, 5)
    assert take(book, "Sell", 20, 100) == [
        (101, "ghost", 5), (100, "market", 3), (100, "late", 2), (100, "other", 5),
    ]  # fmt: skip
    assert book.bids.drain_changes() == []  # seen at no report, gone again


def test_less_of_an_iceberg_melts_what_is_hidden_first() -> None:
    book = Book()
    berg = iceberg("berg", 100, 10, 4)
    book.rest(berg)
    book.rest(order("plain", "Buy", 100, 5))
    book.shrink(berg, 7)
    assert queue_at(book, "Buy", 100) == [("berg", 3), ("plain", 5)]
    book.shrink(berg, 3)
    assert queue_at(book, "Buy", 100) == [("plain", 5)]


DISPLAYS = st.sampled_from([None, 0, 1, 3, 50])


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9), DISPLAYS), max_size=40),
    st.lists(st.integers(1, 25), min_size=1, max_size=40),
)
def test_displayed_and_hidden_add_up_whatever_trades(
    orders: list[tuple[int, int, int | None]], takes: list[int]
) -> None:
    book, left = Book(), {}
    for number, (price, qty, display_qty) in enumerate(orders):
        resting = order(str(number), "Buy", price, qty)
        resting.display_qty = display_qty
        left[resting.order_id] = qty
        book.rest(resting)
        if number % 4 == 3:
            part = (left[str(number)] + 1) // 2
            left[str(number)] -= part
            book.shrink(resting, part)
        for _, who, taken in take(book, "Sell", takes[number % len(takes)] % 7, 2):
            left[who] -= taken
            assert left[who] >= 0
        assert book.available("Sell", 1) == sum(left.values())
        for queue in book.bids.queues.values():
            assert queue.places
            assert [p.is_hidden for p in queue.places] == sorted(p.is_hidden for p in queue.places)
            assert queue.hidden_places == sum(p.is_hidden for p in queue.places)
            assert queue.size == sum(p.qty for p in queue.places if not p.is_hidden)
            hidden = sum(p.qty for p in queue.places if p.is_hidden)
            assert queue.hidden_size == hidden + sum(p.reserve for p in queue.places)
    take(book, "Sell", 10**9, 1)
    assert book.bids.queues == {} and book.bids.best() is None
