"""The bot on an exchange without stream, client ids and order status, under every wire fault."""

from typing import Any

import pytest

from market_maker.auth.plain import plain_signature
from market_maker.exchanges.base import Status
from market_maker.exchanges.plain import PlainVenue
from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.model.ticks import plain
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.plain import PlainError, identify
from market_maker.simulator.plain_tongue import PlainLimits, faulty_plain
from tests.ccxt_world import CcxtWorld
from tests.doubles import StillMarket, Wire
from tests.plain_world import PlainWorld

FAULTS = (
    "",
    "drop-answer:verb=POST,p=0.2",
    "drop-answer:verb=DELETE,p=0.3",
    "drop-request:p=0.05",
    "late-act:verb=POST,p=0.1,seconds=4",
    "late-answer:p=0.05,seconds=9",
    "502:p=0.1",
    "500:p=0.1,acts=1",
    "429:p=0.1,retry=2",
)


def fills_of(world: PlainWorld, until_s: float = float("inf")) -> set[str]:
    """All fills of the account, but for those the history may not show yet."""
    events = world.engine.executions(world.account.number)
    return {e.fill.exec_id for e in events if e.fill is not None and e.time_s <= until_s}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_bot_ends_with_nothing_open_and_knows_every_fill(fault: str) -> None:
    world, limit = PlainWorld(), 2_000
    journal = Journal(":memory:", world.clock)
    bot = world.bot(journal=journal, MIN_POSITION=-limit, MAX_POSITION=limit)
    world.run(bot, 5)
    if fault:
        world.faults.add(fault)
    for _ in range(12):
        world.run(bot, 10)
        at_most = abs(world.position()["currentQty"]) + max(
            sum(o.leaves_qty for o in world.open_orders() if o.side == side)
            for side in ("Buy", "Sell")
        )
        assert at_most <= 2 * limit
        assert abs(world.position()["currentQty"]) <= limit
    world.faults.clear()
    world.run(bot, 20)
    assert fills_of(world, world.clock.now() - 3) <= booked(bot)
    with pytest.raises(SystemExit):
        bot.exit()
    assert bot.exit_code == 0
    assert world.open_orders() == []
    low, high = bot.exchange.desk.state.position_range()
    assert low <= world.position()["currentQty"] <= high


@pytest.mark.parametrize("venue", ["plain", "binance", "htx", "kraken"])
def test_the_last_words_tell_of_a_fill_of_the_last_moment(
    venue: str, caplog: pytest.LogCaptureFixture
) -> None:
    market = StillMarket()
    world = PlainWorld(market) if venue == "plain" else CcxtWorld(market, venue=venue)
    bot = world.bot(ORDER_PAIRS=1)
    world.run(bot, 30)
    world.clock.sleep(0.3)  # since the venue was asked last
    (bid,) = (order for order in world.open_orders() if order.side == "Buy")
    market.take("Sell", 10_000_000, world.engine.grid(bid.symbol).price(bid.price_ticks))
    world.clock.sleep(0.01)
    bot.shut_down()
    held = world.held() * world.unit
    assert held > 0
    assert f"Fills this run: 1. Position still open: {plain(held)} contracts." in caplog.text


def booked(bot: OrderManager) -> set[str]:
    found = bot.exchange.desk.journal._db.execute("SELECT exec_id FROM fills").fetchall()
    return {row[0] for row in found}


def test_it_quotes_and_is_filled() -> None:
    world = PlainWorld()
    bot = world.bot()
    world.run(bot, 120)
    assert len(fills_of(world)) >= 3
    assert bot.exchange.desk.gateway.quotes_sent > 20


def test_a_run_that_died_after_a_create_finds_its_order_again() -> None:
    world = PlainWorld()
    journal = Journal(":memory:", world.clock)

    class Cut:
        """Lets the first create through and loses the process with its answer."""

        def __init__(self) -> None:
            self.done = False

        def __call__(self, transport: Any) -> "Cut":
            self.transport = transport
            return self

        def send(self, requests: list[Request]) -> list[Answer]:
            answers: list[Answer] = self.transport.send(requests)
            if requests[0].verb == "POST" and not self.done:
                self.done = True
                raise KeyboardInterrupt
            return answers

        def close(self) -> None: ...

    first = world.bot(wrap=Cut(), journal=journal, ORDER_PAIRS=1)
    with pytest.raises(KeyboardInterrupt):
        world.run(first, 5)
    assert len(world.open_orders()) == 1
    # the dead process asks no more
    first.exchange.desk.connector.stop_stream()
    second = world.bot(journal=journal, ORDER_PAIRS=1)
    world.run(second, 20)
    with pytest.raises(SystemExit):
        second.exit()
    assert world.open_orders() == []


@pytest.mark.parametrize("body", [{"error": "Bad Gateway"}, {"error": None}, "<html>", {"ok": 1}])
def test_an_answer_that_is_none_of_the_venues_leaves_a_create_in_doubt(body: Any) -> None:
    order = {"side": "Buy", "orderQty": 1, "price": 1.0}
    for status in (200, 400, 404):
        wire = Wire()
        wire.script = lambda _, status=status: Answer(status, body, {})  # type: ignore[misc]
        assert PlainVenue(wire, "XBTUSD").place(order).status is Status.UNKNOWN


# -- the dialect --------------------------------------------------------------------------------


class Idle(OrderManager):
    """Quotes nothing by itself."""

    def place_orders(self) -> None:
        """Leave the orders as they are."""


def test_what_shall_take_at_once_goes_though_its_first_cancel_is_turned_away() -> None:
    wire = Wire()
    world = PlainWorld(market=StillMarket())
    bot = world.bot(Idle, wrap=wire)
    world.run(bot, 1)
    wire.requests.clear()
    wire.script = lambda r: (
        Answer(429, None, {}) if r.verb == "DELETE" and len(wire.sent("DELETE")) == 1 else None
    )
    order = {"side": "Buy", "orderQty": 100, "price": 50_000.0, "timeInForce": "ImmediateOrCancel"}
    bot.exchange.create_bulk_orders([order])
    assert len(wire.sent("DELETE")) == 2 and world.open_orders() == []
    world.run(bot, 3)  # soon, not with the next full check
    assert len(bot.exchange.desk.state.orders) == 0
    bot.shut_down()


def test_a_signature_is_checked_with_its_time() -> None:
    world = PlainWorld()
    key, secret = world.account.key, world.account.secret
    now = str(round(world.clock.now() * 1000))
    target = "/plain/v1/orders?symbol=XBTUSD"

    def headers(time_ms: str, signed: str) -> dict[str, str]:
        return {"x-key": key, "x-time": time_ms, "x-sign": signed}

    good = plain_signature(secret, now, "GET", target)
    who = identify(world.engine, headers(now, good), "GET", target, "")
    assert who is not None
    assert who.number == world.account.number
    assert identify(world.engine, {}, "GET", target, "") is None
    old = str(int(now) - 6_000)
    for bad in (
        headers(now, good[:-1] + ("0" if good[-1] != "0" else "1")),
        headers(old, plain_signature(secret, old, "GET", target)),
        {**headers(now, good), "x-key": "nobody"},
        headers(now, ""),
    ):
        with pytest.raises(PlainError):
            identify(world.engine, bad, "GET", target, "")


def test_one_request_too_many_is_answered_with_429_in_its_own_words() -> None:
    limits, request = PlainLimits(), Request("GET", "/orders")
    waits = [limits.charge("1", True, request, 0.0).retry_after_s for _ in range(601)]
    assert waits[:600] == [0] * 600
    assert waits[600] > 0
    assert not limits.charge("2", True, request, 0.0).retry_after_s
    assert not limits.charge("1", True, request, 1.0).retry_after_s
    told = faulty_plain(PlainWorld().engine).refusal(429, "too many")
    assert (told.status, told.body["error"]["name"]) == (429, "rate")
