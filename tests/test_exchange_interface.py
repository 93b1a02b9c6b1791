"""What a strategy reads of the exchange: the order book, followed from the first reader on."""

import pytest

from market_maker.exchange_interface import ExchangeInterface
from market_maker.model.order_book import OrderBook
from market_maker.utils.errors import NotSupported
from tests.doubles import Wire
from tests.plain_world import PlainWorld
from tests.world import World


def agrees(book: OrderBook, world: World) -> None:
    bids, asks = world.engine.book("XBTUSD", 0)
    assert [tuple(level) for level in book.levels("Buy")] == [lv[:2] for lv in bids]
    assert [tuple(level) for level in book.levels("Sell")] == [lv[:2] for lv in asks]


def test_the_order_book_is_that_of_the_exchange_at_every_moment() -> None:
    world = World(seed=3)
    exchange = world.bot().exchange
    for _ in range(200):
        agrees(exchange.get_order_book(), world)
        world.clock.sleep(0.1)


def test_all_readers_read_the_same_book_and_nobody_asks_for_it_again() -> None:
    world, wire = World(), Wire()
    exchange = world.bot(wrap=wire).exchange
    exchange.bitmex.market_depth("XBTUSD")
    book = exchange.get_order_book()
    assert exchange.get_order_book() is book
    exchange.get_touch()
    assert len(wire.sent("GET", "/orderBook/L2")) == 1
    assert wire_topics(exchange).count("orderBookL2:XBTUSD") == 1


def wire_topics(exchange: ExchangeInterface) -> list[str]:
    return list(exchange.desk.connector.stream.topics)  # type: ignore[attr-defined]


def test_another_symbols_book_does_not_disturb_it() -> None:
    world = World(seed=3)
    exchange = world.bot().exchange
    exchange.get_order_book()
    exchange.bitmex.market_depth("ETHUSD")
    world.clock.sleep(5)
    agrees(exchange.get_order_book(), world)


def test_a_reconnect_begins_the_book_anew() -> None:
    world = World(seed=3)
    exchange = world.bot().exchange
    book = exchange.get_order_book()
    exchange.desk.connector.reconnect()
    world.clock.sleep(5)
    assert exchange.get_order_book() is book
    agrees(book, world)


def test_where_no_book_can_be_followed_one_line_says_so() -> None:
    exchange = PlainWorld().bot().exchange
    with pytest.raises(NotSupported, match="has no order book for this bot"):
        exchange.get_order_book()
    with pytest.raises(NotSupported, match="has no order book for this bot"):
        exchange.get_queue_estimate()
    assert exchange.get_touch().bid == exchange.get_ticker()["buy"]
