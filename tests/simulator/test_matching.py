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
