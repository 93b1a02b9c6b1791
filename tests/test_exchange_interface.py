"""What a strategy reads of the exchange: the order book, followed from the first reader on."""

from market_maker.exchange_interface import ExchangeInterface
from market_maker.model.order_book import OrderBook
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


def test_where_the_exchange_is_polled_the_book_is_as_of_the_last_turn() -> None:
    world = PlainWorld()
    bot = world.bot()
    world.run(bot, 3)
    exchange = bot.exchange
    book, ticker = exchange.get_order_book(), exchange.get_ticker()
    world.clock.sleep(1.5)
    exchange.desk.state.drain()
    best = [book.grid.price(ticks or 0) for ticks in (book.best_bid, book.best_ask)]
    ticker = exchange.get_ticker()
    assert book.has_image and best == [ticker["buy"], ticker["sell"]]
    place = exchange.get_queue_estimate().place(exchange.get_orders()[0], world.clock.monotonic())
    assert place.own == exchange.get_orders()[0]["leavesQty"]
    bot.shut_down()
