"""The default bot on an exchange that speaks Binance's language: what must hold in any market."""

import logging
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.exchanges.binance_line import SharedLine
from market_maker.model.rows import POST_ONLY, Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready, Request
from market_maker.simulator.events import MarginEvent
from market_maker.simulator.market.synthetic import DEFAULT_FLOW, Flow, SyntheticMarket
from market_maker.simulator.state import Writer
from tests.binance_world import ENTRIES, BinanceWorld
from tests.doubles import StillMarket, Wire
from tests.test_invariants import FLOWS, LOST, SECONDS, Bookkeeper

HTML = "<html><body>Bad Gateway</body></html>"
UNIT = Decimal("0.000001")  # of a BTC in a contract of the engine
SETTINGS = st.fixed_dictionaries(
    {
        "ORDER_PAIRS": st.integers(1, 5),
        "ORDER_START_SIZE": st.sampled_from([0.001, 0.00137]),
        "ORDER_STEP_SIZE": st.sampled_from([0, 0.001]),
        "MIN_SPREAD": st.sampled_from([0.0, 0.0001, 0.001]),
        "INTERVAL": st.sampled_from([1e-6, 0.0001, 0.0005]),
        "RELIST_INTERVAL": st.sampled_from([0.0, 0.0001]),
        "MAINTAIN_SPREADS": st.booleans(),
        "POST_ONLY": st.booleans(),
        "RANDOM_ORDER_SIZE": st.booleans(),
        "TOPUP_BELOW": st.sampled_from([0.0, 0.5, 1.0]),
        "CHECK_POSITION_LIMITS": st.just(True),
        "MAX_POSITION": st.sampled_from([0.003, 0.01]),
        "MIN_POSITION": st.sampled_from([-0.003, -0.01]),
        "MIN_REQUOTE_INTERVAL": st.sampled_from([0.2, 1.0]),
    }
)


def held(world: BinanceWorld) -> Decimal:
    """The position by the account's balance of the base currency."""
    row = world.engine.margin_row(world.account.number, "XBt")
    return Decimal(row["walletBalance"]).scaleb(-8) - 1


def watch(world: BinanceWorld, bot: Any) -> None:
    """Check all that must hold whenever our account has changed."""
    rules = bot.settings

    def check(event: Any) -> None:
        if not isinstance(event, MarginEvent) or event.account != world.account.number:
            return
        buys = [o for o in world.open_orders() if o.side == "Buy"]
        sells = [o for o in world.open_orders() if o.side == "Sell"]
        assert max(len(buys), len(sells)) <= rules.ORDER_PAIRS, "an order was doubled"
        if buys and sells:
            best_bid = max(o.price_ticks for o in buys)
            assert best_bid < min(o.price_ticks for o in sells), "own quotes meet"
        fees = Decimal("0.001") * sum(o.cum_qty for o in world.engine.orders(event.account)) * UNIT
        qty, bids, asks = (
            held(world),
            sum(o.leaves_qty for o in buys),
            sum(o.leaves_qty for o in sells),
        )
        assert qty + bids * UNIT <= Decimal(str(rules.MAX_POSITION))
        assert qty - asks * UNIT >= Decimal(str(rules.MIN_POSITION)) - fees

    world.engine.listeners.append(check)


def check_books(world: BinanceWorld, bot: Bookkeeper) -> None:
    """Both balances by the bot's own executions are those of the exchange."""
    assert [world.engine.imbalance_sat(currency) for currency in ("XBt", "USDt")] == [0, 0]
    assert world.open_orders() == []
    base, quote = Decimal(0), Decimal(100_000)
    for fill in bot.fills:
        qty, fee = Decimal(str(fill["lastQty"])), Decimal(str(fill["feeQty"]))
        sign = 1 if fill["side"] == "Buy" else -1
        base += sign * qty - (fee if fill["feeCurrency"] == "BTC" else 0)
        quote -= sign * qty * Decimal(str(fill["lastPx"]))
        quote -= fee if fill["feeCurrency"] == "USDT" else 0
    assert base == held(world)
    told = world.engine.margin_row(world.account.number, "USDt")["walletBalance"]
    assert quote == Decimal(told).scaleb(-6)
    assert bot.exchange.get_position()["currentQty"] == float(base)
    assert bot.exchange.get_margin()["walletBalance"] == told


@settings(max_examples=15, deadline=None)
@given(
    flow=FLOWS,
    changes=SETTINGS,
    entry=st.sampled_from(ENTRIES),
    seed=st.integers(0, 10_000),
    likelihood=st.sampled_from([0.0, 0.0, 0.05, 0.3]),
)
def test_in_any_market_and_on_a_wire_that_fails(
    flow: Flow, changes: Row, entry: str, seed: int, likelihood: float
) -> None:
    world, wire = BinanceWorld(SyntheticMarket(seed=seed, flow=flow), seed=seed), Wire()
    bot = world.bot(
        Bookkeeper,
        profile=entry,
        wrap=wire,
        LOG_LEVEL=logging.ERROR,
        MIN_ORDER_SIZE=0.001,
        MAX_ORDER_SIZE=0.003,
        **changes,
    )
    assert isinstance(bot, Bookkeeper)
    watch(world, bot)
    bot.start()
    rng = random.Random(seed)
    wire.script = failing(wire, rng, likelihood)
    world.lose = losing(rng, likelihood)
    world.run(bot, SECONDS)
    wire.script = lambda request: None
    world.lose = lambda: ""
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)


def losing(rng: random.Random, likelihood: float) -> Any:
    """Loses frames on their way there and back."""

    def lose() -> str:
        return rng.choice(["request", "answer"]) if rng.random() < likelihood / 3 else ""

    return lose


def failing(wire: Wire, rng: random.Random, likelihood: float) -> Any:
    """Loses and refuses so often; what has no answer may have arrived or not."""

    def script(request: Request) -> Answer | None:
        if rng.random() >= likelihood:
            return None
        kind = rng.randrange(6)
        if kind == 0:
            wire._transport.send([request])
            return LOST
        if kind == 1:
            return LOST
        if kind == 2:
            return Answer(502, HTML, {})
        if kind == 3:
            told = {"code": -1003, "msg": "Too much request weight used"}
            return Answer(429, told, {"retry-after": "1"})
        if kind == 4:
            return Answer(504, {"code": -1007, "msg": "Timeout waiting for response"}, {})
        return Answer(0, None, {}, sent=False, error="connection refused")

    return script


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_quotes_is_filled_and_cancels_all(entry: str) -> None:
    world = BinanceWorld()
    bot = world.bot(Bookkeeper, profile=entry)
    assert isinstance(bot, Bookkeeper)
    world.run(bot, 120)
    assert len(world.open_orders()) == 12
    assert len(bot.fills) > 10
    assert {fill["feeCurrency"] for fill in bot.fills} == {"BTC", "USDT"}
    bot.shut_down()
    check_books(world, bot)


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_is_never_told_that_it_sends_too_many_orders(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    flow = DEFAULT_FLOW._replace(move_every_s=0.1, move_ticks=40.0)
    world = BinanceWorld(SyntheticMarket(seed=2, flow=flow), seed=2)
    bot = world.bot(profile=entry, RELIST_INTERVAL=0.0, MIN_REQUOTE_INTERVAL=0.1, ORDER_PAIRS=9)
    world.run(bot, 50)
    bot.shut_down()
    assert bot.exchange.desk.gateway.quotes_sent > 100
    assert "Too many" not in caplog.text


def test_a_position_is_closed_in_whole_lots_where_fees_leave_less() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot(ON_STOP="flatten", ORDER_PAIRS=1, POST_ONLY=False)
    world.run(bot, 2)
    order = {"side": "Buy", "price": 60_000.5, "orderQty": 0.01}
    assert bot.exchange.create_bulk_orders([order])
    world.clock.sleep(1)
    bot.exchange.desk.state.drain()
    qty = bot.exchange.get_delta()
    assert 0.0098 < qty < 0.01, "a thousandth of it went for the fee"
    bot.shut_down()
    assert bot.exit_code == 0
    assert 0 <= held(world) < Decimal("0.00001")


def test_orders_go_over_the_websocket_api_and_by_rest_while_it_is_down() -> None:
    world, wire = BinanceWorld(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    assert wire.sent("POST", "/api/v3/order") == []
    assert len(world.open_orders()) == 12
    connector: Any = bot.exchange.desk.connector
    world.twin.streams["private"]._sink = None  # the socket is gone, and nobody has noticed
    (row,) = connector.fetch_open_orders()[:1]
    assert wire.sent("GET", "/api/v3/openOrders")
    (result,) = connector.cancel([row["orderID"]])
    assert result.row["ordStatus"] == "Canceled"
    assert wire.sent("DELETE", "/api/v3/order")


@pytest.mark.parametrize("name", ["public", "private"])
def test_a_lost_socket_reads_all_anew_and_no_order_is_doubled(name: str) -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    before = {order.order_id for order in world.open_orders()}
    world.twin.streams[name].reconnect()
    world.run(bot, 5)
    assert {order.order_id for order in world.open_orders()} == before
    assert bot.exchange.desk.state.ready
    bot.shut_down()
    assert world.open_orders() == []


def test_requests_outstanding_when_the_socket_is_lost_are_in_doubt_and_then_settled() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    bot.exchange.cancel_all_orders()
    frames = iter(["cut"])

    def cut_once() -> str:
        return next(frames, "")

    world.lose = cut_once  # the order arrives, and the socket goes before the answer
    bot.run_once()
    world.run(bot, 10)
    assert len(world.open_orders()) == 12
    assert list(bot.exchange.desk.state.orders.unknown()) == []
    bot.shut_down()
    assert world.open_orders() == []


def test_a_server_that_goes_down_is_left_at_once() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    seen: list[Any] = []
    stream = world.twin.streams["private"]
    stream.reconnect = lambda: seen.append(1)  # type: ignore[method-assign]
    world.twin.shut_down()
    assert seen


def test_fills_that_nobody_heard_of_are_read_when_the_socket_is_back() -> None:
    market = StillMarket()
    world = BinanceWorld(market)
    bot = world.bot(Bookkeeper, ORDER_PAIRS=1)
    assert isinstance(bot, Bookkeeper)
    world.run(bot, 2)
    stream = world.twin.streams["private"]
    stream._session._account_no = None  # it hears nothing any more
    market.show(59_000.0, 59_000.5)
    stream.reconnect()
    world.run(bot, 2)
    bot.shut_down()
    check_books(world, bot)


def test_asks_are_no_larger_than_what_is_held_of_the_base_currency() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot(ORDER_PAIRS=1, ORDER_START_SIZE=2)
    world.run(bot, 2)
    assert [o.order_qty for o in world.open_orders() if o.side == "Sell"] == []
    connector: Any = bot.exchange.desk.connector
    order = {"clOrdID": "mm_bitmex_x", "side": "Sell", "orderQty": 1.5, "price": 70_000.0}
    (result,) = connector.place([order])
    assert result.row["orderQty"] == 1


def test_a_post_only_order_that_would_take_is_refused_and_steps_back() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot(POST_ONLY=True, ORDER_PAIRS=1)
    world.run(bot, 2)
    connector: Any = bot.exchange.desk.connector
    order = {
        "clOrdID": "mm_bitmex_y", "side": "Buy", "orderQty": 0.001, "price": 70_000.0,
        "execInst": POST_ONLY,
    }  # fmt: skip
    (result,) = connector.place([order])
    assert result.row["ordStatus"] == "Canceled"
    assert POST_ONLY in result.text
    assert all(POST_ONLY in o.exec_inst for o in world.open_orders())


def test_a_tick_that_the_venue_changes_is_read_anew_and_quoted_on() -> None:
    world = BinanceWorld(StillMarket())
    bot = world.bot(ORDER_PAIRS=2, MIN_SPREAD=0.0)
    world.run(bot, 2)
    world.engine.change_grid("BTCUSDT", 5.0, 10)
    world.run(bot, 30)
    assert bot.exchange.get_instrument()["tickSize"] == 5.0
    assert len(world.open_orders()) == 4


def test_several_bots_may_share_one_socket_of_their_account() -> None:
    class Socket:
        pushed = True
        closed = 0
        sent: list[Any] = []

        def attach(self, sink: Any) -> None:
            self.sink = sink
            sink(Connected(0))
            sink(Ready(0))

        def send(self, message: Any) -> None:
            self.sent.append(message)

        def reconnect(self) -> None:
            self.sink(Disconnected(0, "closed"))

        def close(self) -> None:
            self.closed += 1

    socket = Socket()
    line = SharedLine(socket)  # type: ignore[arg-type]
    first, second, heard = line.member(), line.member(), ([], [])  # type: ignore[var-annotated]
    first.attach(heard[0].append)
    second.attach(heard[1].append)
    socket.sink(Message(0, {"n": 1}))
    assert [type(e).__name__ for e in heard[0]] == ["Connected", "Ready", "Message"]
    assert heard[0] == heard[1]
    second.send({"x": 1})
    assert socket.sent == [{"x": 1}]
    first.reconnect()
    assert isinstance(heard[1][-1], Disconnected)
    first.close()
    assert socket.closed == 0
    second.close()
    assert (socket.closed, line.is_closed) == (1, True)


def test_the_state_of_the_exchange_survives_with_base_fees() -> None:
    world = BinanceWorld()
    bot = world.bot()
    world.run(bot, 30)
    assert "base_comm" in Writer().render(world.engine)
