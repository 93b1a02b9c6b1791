"""What must hold when things go wrong: no order left behind, none sent blind, none doubled."""

import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import ExchangeError
from market_maker.interrupts import Interrupts
from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Disconnected, Message, Request
from market_maker.utils.errors import NotSupported, StopTrading
from tests.doubles import StillMarket, Wire, refusal
from tests.world import World

LOST = Answer(0, None, {}, error="timed out")


def lose_creates(request: Request) -> Answer | None:
    return LOST if request.verb == "POST" and request.path in ("/order", "/order/bulk") else None


# -- ways out ---------------------------------------------------------------------------


def test_without_a_journal_nothing_new_goes_out_but_everything_is_cancelled() -> None:
    world = World(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    bot.exchange.desk.journal._db.execute("PRAGMA query_only = ON")  # as on a full disk
    with pytest.raises(StopTrading):
        bot.exchange.desk.gateway.place([{"side": "Buy", "orderQty": 100, "price": 59_000.0}])
    assert len(world.open_orders()) == 12
    bot.shut_down()
    assert world.open_orders() == []


@pytest.mark.parametrize("way", ["bitmex.exit", "ws.exit", "ws.error"])
def test_closing_the_connection_by_hand_does_not_strand_the_orders(way: str) -> None:
    class Closes(OrderManager):
        def place_orders(self) -> None:
            super().place_orders()
            bitmex = self.exchange.bitmex
            if way == "bitmex.exit":
                bitmex.exit()
            elif way == "ws.exit":
                bitmex.ws.exit()
            else:
                bitmex.ws.error("enough")

    world = World(StillMarket())
    bot = world.bot(Closes)
    with pytest.raises(SystemExit) as ended:
        bot.run_loop()
    assert ended.value.code == 1
    assert world.open_orders() == []


def test_an_exit_on_another_thread_is_not_undone_by_a_round_of_the_main_thread() -> None:
    world = World(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    bot.exchange.desk.gateway.stop()
    bot.exchange.desk.gateway.cancel_own()
    bot.run_once()
    assert world.open_orders() == []


def test_nothing_new_goes_out_while_a_run_ends() -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    gateway, told = bot.exchange.desk.gateway, []

    def place_meanwhile(request: Request) -> None:
        if request.verb == "DELETE":  # as a timer of the strategy's may just then
            order = {"side": "Buy", "orderQty": 100, "price": 59_000.0}
            told.extend(result.text for result in gateway.place([order]))

    wire.script = place_meanwhile
    bot.shut_down()
    assert set(told) == {"the bot is stopping"}
    assert world.open_orders() == []


def test_a_restart_that_cannot_cancel_is_put_off() -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    wire.script = lambda r: refusal(503, "overloaded") if r.verb in ("GET", "DELETE") else None
    bot.restart()
    wire.script = lambda r: None
    world.run(bot, 10)
    assert len(world.open_orders()) == 12


def test_a_create_that_landed_when_the_last_run_died_is_one_order_and_is_cancelled() -> None:
    world = World(StillMarket())
    desk = world.desk(world.settings())
    order = {"clOrdID": "mm_bitmex_x", "symbol": "XBTUSD", "orderQty": 100, "price": 59_000.0}
    desk.journal.record("create", [order], world.clock.now() + 5)
    world.engine.place(world.account.number, order)
    desk.open()
    assert len(desk.state.orders) == 1
    assert desk.state.orders.exposed("Buy") == 100
    assert [row["orderID"] for row in desk.gateway.cancel_own()]
    assert world.open_orders() == []


def test_a_create_that_lands_only_after_the_restart_is_waited_for_and_cancelled() -> None:
    world = World(StillMarket())
    desk = world.desk(world.settings())
    order = {"clOrdID": "mm_bitmex_x", "symbol": "XBTUSD", "orderQty": 100, "price": 59_000.0}
    desk.journal.record("create", [order], world.clock.now() + 5)
    desk.open()
    assert desk.state.orders.exposed("Buy") == 100
    world.engine.place(world.account.number, order)
    desk.gateway.cancel_own()
    assert world.open_orders() == []


def test_an_amend_that_may_still_arrive_when_a_run_begins_counts_at_its_larger_size() -> None:
    world = World(StillMarket())
    desk = world.desk(world.settings())
    order = {"clOrdID": "mm_bitmex_x", "symbol": "XBTUSD", "orderQty": 100, "price": 59_000.0}
    world.engine.place(world.account.number, order)
    change = {"orderID": world.open_orders()[0].order_id, "orderQty": 500}
    desk.journal.record("amend", [change], world.clock.now() + 5)
    desk.open()
    assert desk.state.orders.exposed("Buy") == 500
    world.clock.sleep(7)
    desk.gateway.settle_unknown()
    assert desk.state.orders.exposed("Buy") == 100


# -- secrets ----------------------------------------------------------------------------


def test_what_a_call_about_the_user_says_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    bot = World(StillMarket()).bot(LOG_LEVEL=logging.DEBUG)
    body = {"amount": 1, "address": "bc1qsecret", "otpToken": "123456"}
    bot.exchange.bitmex._curl_bitmex("user/requestWithdrawal", postdict=body, verb="POST")
    assert "sending req" in caplog.text
    assert "123456" not in caplog.text
    assert "bc1qsecret" not in caplog.text


# -- signals ----------------------------------------------------------------------------


def interrupts_of(
    busy_thread: Callable[[], int | None] = lambda: None,
    hurry: Callable[[], bool] = lambda: False,
    force: Callable[[], None] = lambda: None,
) -> Interrupts:
    return Interrupts(busy_thread, hurry, force, ManualClock())


@pytest.mark.parametrize("is_ending", [False, True])
def test_signals_of_one_moment_are_one_wish_and_the_third_swallowed_one_is_done_by_force(
    is_ending: bool,
) -> None:
    forced: list[int] = []
    interrupts = interrupts_of(hurry=lambda: True, force=lambda: forced.append(1))
    if is_ending:
        interrupts.begin_ending()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupts._handle(signal.SIGINT, None)
        interrupts._handle(signal.SIGINT, None)
        interrupts._clock.sleep(1)
    assert not forced
    interrupts._handle(signal.SIGINT, None)
    assert forced


def test_a_clean_up_is_never_interrupted() -> None:
    interrupts = interrupts_of()
    interrupts.begin_ending()
    for _ in range(5):
        interrupts._handle(signal.SIGTERM, None)
        interrupts._clock.sleep(1)
    interrupts.raise_pending()
    interrupts.raise_swallowed()


class Deaf(OrderManager):
    """Swallows what its first round is interrupted by."""

    rounds = 0

    def place_orders(self) -> None:
        self.rounds += 1
        with contextlib.suppress(SystemExit):
            signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_a_strategy_swallows_ends_the_run_after_the_round() -> None:
    bot = World(StillMarket()).bot(Deaf)
    bot.run_loop()
    assert (bot.rounds, bot.exit_code) == (1, 0)


@pytest.mark.parametrize(("code", "ends_with"), [(None, 0), (0, 0), (4, 4), ("enough", 1)])
def test_an_exit_of_a_strategy_has_the_code_that_python_gives_it(
    code: int | str | None, ends_with: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(StillMarket())

    class Leaving(OrderManager):
        def place_orders(self) -> None:
            super().place_orders()
            raise SystemExit(code)

        def on_stop(self) -> None:
            assert world.open_orders()
            raise SystemExit(0)

    bot = world.bot(Leaving)
    with pytest.raises(SystemExit) if ends_with else contextlib.nullcontext():
        bot.run_loop()
    assert (bot.exit_code, world.open_orders()) == (ends_with, [])
    assert ("Stopping: enough" in caplog.text) is (code == "enough")


def test_a_signal_waits_for_the_answer_the_main_thread_is_waiting_for() -> None:
    interrupts = interrupts_of(threading.get_ident)
    interrupts._handle(signal.SIGTERM, None)
    with pytest.raises(SystemExit):
        interrupts.raise_pending()
    interrupts.raise_pending()


def test_a_signal_does_not_wait_for_another_threads_order() -> None:
    interrupts = interrupts_of(lambda: threading.get_ident() + 1)
    with pytest.raises(KeyboardInterrupt):
        interrupts._handle(signal.SIGINT, None)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals work otherwise there")
def test_a_sleep_ends_by_a_signal_that_another_thread_has_taken() -> None:
    def take() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    interrupts = interrupts_of()
    interrupts.install()
    begun_s = time.monotonic()
    try:
        with pytest.raises(SystemExit):
            threading.Timer(0.3, take).start()
            time.sleep(30)
    finally:
        interrupts.restore()
    assert time.monotonic() - begun_s < 15


def test_a_signal_is_not_raised_where_it_would_leave_a_lock_taken() -> None:
    class Lock:
        def acquire(self) -> None: ...

        def release(self) -> None: ...

        def __enter__(self) -> None:  # called by the method of that name in `threading`
            interrupts._handle(signal.SIGTERM, sys._getframe(1))

        def __exit__(self, *_: object) -> None: ...

    interrupts = interrupts_of()
    interrupts.install()
    try:
        with threading.Condition(Lock()):  # type: ignore[arg-type]
            pass
        with pytest.raises(SystemExit):
            interrupts._handle(signal.SIGTERM, sys._getframe())
    finally:
        interrupts.restore()


def test_a_signal_is_never_raised_on_a_strategys_own_thread() -> None:
    interrupts = interrupts_of(threading.get_ident)
    interrupts._handle(signal.SIGTERM, None)
    raised: list[BaseException] = []

    def act() -> None:
        try:
            interrupts.raise_pending()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not come
            raised.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join(5)
    assert raised == []
    with pytest.raises(SystemExit):
        interrupts.raise_pending()


def test_a_hurried_end_cancels_reports_what_it_cannot_verify_and_leaves_the_switch_armed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=2)
    world.run(bot, 2)
    wire.script = lose_creates
    bot.exchange.create_bulk_orders([{"price": 59_000.0, "orderQty": 100, "side": "Buy"}])
    asked_s = world.clock.now()
    bot._end._hurry()
    bot.shut_down()
    assert world.clock.now() - asked_s < 1
    assert bot.exit_code == 1
    assert world.open_orders() == []
    assert "May still rest: Buy 100 @ 59000.0" in caplog.text
    late = {"symbol": "XBTUSD", "orderQty": 100, "price": 59_000.0}
    world.engine.place(world.account.number, late)  # the request arrives after all
    world.clock.sleep(61)
    assert world.open_orders() == []


@pytest.mark.parametrize(("looks", "code"), [(3, 0), (1000, 1)])
def test_a_hurried_end_looks_again_where_a_cancel_takes_effect_after_its_answer(
    looks: int, code: int
) -> None:
    world = World(StillMarket())
    bot = world.bot(ORDER_PAIRS=2)
    world.run(bot, 2)
    gateway = bot.exchange.desk.gateway
    real, late = gateway.own_open_orders, [gateway.own_open_orders()] * looks
    gateway.own_open_orders = lambda: late.pop() if late else real()  # type: ignore[method-assign]
    asked_s = world.clock.now()
    bot._end._hurry()
    bot.shut_down()
    assert bot.exit_code == code
    assert world.clock.now() - asked_s < 5


def test_without_hurry_the_end_waits_until_the_request_in_doubt_can_arrive_no_more() -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=2)
    world.run(bot, 2)
    wire.script = lose_creates
    bot.exchange.create_bulk_orders([{"price": 59_000.0, "orderQty": 100, "side": "Buy"}])
    bot.shut_down()
    assert bot.exit_code == 0


# -- quoting blind ----------------------------------------------------------------------


def test_a_loop_of_the_strategys_own_does_not_quote_on_a_dead_stream() -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    resting: list[int] = []

    class OwnLoop(OrderManager):
        def run_loop(self) -> None:
            for step in range(60):
                if step == 5:
                    stream: Any = self.exchange.desk.connector.stream
                    sink, stream._sink = stream._sink, None
                    sink(Disconnected(0, "link lost"))
                    market.show(60_500.0, 60_500.5)
                self.sanity_check_quietly()
                self.clock.sleep(5)
                resting.append(len(world.open_orders()))

        def sanity_check_quietly(self) -> None:
            try:
                self.sanity_check()
                self.place_orders()
            except Exception as error:  # noqa: BLE001 - as careless strategies do
                assert not isinstance(error, AssertionError)

    bot = world.bot(OwnLoop, wrap=wire)
    bot.run_loop()
    assert resting[3] == 12
    assert resting[6:] == [0] * len(resting[6:])


@pytest.mark.parametrize("bid", [60_100.0, 60_050.0])
def test_nothing_is_decided_on_a_crossed_frame_and_one_that_lasts_pulls_the_quotes(
    bid: float,
) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    state = bot.exchange.desk.state
    state.touch = {"bidPrice": bid, "askPrice": 60_050.0}
    sent = len(wire.requests)
    bot.run_once()
    assert [r.verb for r in wire.requests[sent:] if r.verb != "GET"] == []
    world.clock.sleep(0.6)
    bot.run_once()
    assert [r.verb for r in wire.requests[sent:] if r.verb != "GET"] == ["DELETE"]
    assert world.open_orders() == []


def test_a_skipped_round_pulls_first_then_asks_and_pulls_what_it_finds() -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=1)
    world.run(bot, 2)
    desk: Any = bot.exchange.desk
    desk.connector.stream._sink = lambda event: None
    wire.script = lambda request: wire._transport.send([request]) and LOST
    desk.gateway.place([{"side": "Buy", "orderQty": 100, "price": 59_000.0}])
    wire.script = lambda request: None
    world.clock.sleep(7)
    assert len(world.open_orders()) == 3
    desk.state.put(Disconnected(0, "gone"))
    sent = len(wire.requests)
    bot.run_once()
    assert [request.verb for request in wire.requests[sent:]] == ["DELETE", "GET", "DELETE"]
    assert world.open_orders() == []


def test_messages_that_were_lost_for_their_number_are_read_anew_at_once() -> None:
    world = World(StillMarket())
    bot = world.bot(ORDER_PAIRS=1)
    world.run(bot, 2)
    desk, reconnected = bot.exchange.desk, []
    desk.connector.reconnect = lambda: reconnected.append(True)  # type: ignore[method-assign]
    desk.state._lost_in = desk.state.connections
    bot.run_once()
    assert reconnected == [True]
    assert world.open_orders() == []


def freeze_market_data(bot: OrderManager) -> None:
    """From now on the stream tells of the account alone, as where prices have a line of their own
    that hangs."""
    stream: Any = bot.exchange.desk.connector.stream
    sink = stream._sink

    def pass_on(event: Any) -> None:
        table = event.data.get("table") if isinstance(event, Message) else None
        if table is None or table in ("order", "execution", "position", "margin"):
            sink(event)

    stream._sink = pass_on


def test_news_of_the_account_does_not_pass_for_news_of_the_market() -> None:
    market = StillMarket()
    world = World(market)
    bot = world.bot(ORDER_PAIRS=2, STALE_AFTER=10)
    world.run(bot, 3)
    freeze_market_data(bot)
    market.show(60_500.0, 60_500.5)
    for _ in range(14):
        world.run(bot, 1)
        row = dict(bot.exchange.desk.state.tables.rows("margin")[0])
        bot.exchange.desk.state.put(
            Message(0, {"table": "margin", "action": "update", "data": [row]})
        )
    assert world.open_orders() == [], "it quotes on prices of 14 s ago"


@pytest.mark.parametrize(("is_answered", "left"), [(True, 4), (False, 0)])
def test_silence_is_a_quiet_market_only_where_the_exchange_says_so(
    is_answered: bool, left: int
) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=2, STALE_AFTER=10)
    world.run(bot, 3)
    freeze_market_data(bot)
    bot.exchange.desk.connector.reconnect = lambda: None  # type: ignore[method-assign]
    if not is_answered:
        wire.script = lambda request: LOST if request.path.startswith("/quote") else None
    world.run(bot, 14)
    assert len(world.open_orders()) == left


@pytest.mark.parametrize("interval_s", [0.05, 5.0])
def test_a_line_that_is_stale_costs_few_requests_however_short_the_rounds(
    interval_s: float,
) -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=2, STALE_AFTER=10, LOOP_INTERVAL=interval_s,
                    EVENT_DRIVEN=False, MIN_REQUOTE_INTERVAL=0)  # fmt: skip
    world.run(bot, 3)
    freeze_market_data(bot)
    bot.exchange.desk.connector.reconnect = lambda: None  # type: ignore[method-assign]
    market.show(60_500.0, 60_500.5)
    world.run(bot, 12)
    assert world.open_orders() == []
    sent = len(wire.requests)
    world.run(bot, 60)
    assert len(wire.requests) - sent <= 60 / 4 + 60 / 5 + 5, "lists of orders, quotes, the switch"
    assert world.open_orders() == []


def test_a_loop_that_only_places_is_not_let_through_on_prices_that_hang_either() -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    resting: list[int] = []

    class OnlyPlaces(OrderManager):
        def run_loop(self) -> None:
            freeze_market_data(self)
            market.show(60_500.0, 60_500.5)
            for step in range(12):
                buy = {"price": 59_000.0 - step, "orderQty": 100, "side": "Buy"}
                self.exchange.create_bulk_orders([buy])
                resting.append(len(world.open_orders()))
                self.clock.sleep(2)

    bot = world.bot(OnlyPlaces, wrap=wire, ORDER_PAIRS=1, STALE_AFTER=10)
    stream: Any = bot.exchange.desk.connector.stream
    stream.reconnect = lambda: None
    bot.run_loop()
    assert resting[3] > 3
    assert resting[-5:] == [0] * 5
    assert bot.exit_code == 0


def test_nor_is_one_that_sleeps_long_taken_for_blind_while_the_market_moves() -> None:
    world = World(seed=4)

    class Sleeps(OrderManager):
        def run_loop(self) -> None:
            for step in range(5):
                self.clock.sleep(25)
                buy = {"price": 50_000.0 - step, "orderQty": 100, "side": "Buy"}
                assert self.exchange.create_bulk_orders([buy])[0]["ordStatus"] == "New"

    bot = world.bot(Sleeps, STALE_AFTER=10)
    connected_s = bot.exchange.desk.state.connected_s
    bot.run_loop()
    assert (bot.exit_code, bot.exchange.desk.state.connected_s) == (0, connected_s)


def test_a_book_that_has_missed_a_change_is_read_anew_before_anything_is_quoted() -> None:
    world = World(StillMarket())
    bot = world.bot(ORDER_PAIRS=2)
    book = bot.exchange.get_order_book()
    world.run(bot, 3)
    assert book.has_image
    state, known_s = bot.exchange.desk.state, bot.exchange.desk.state.connected_s
    level = {"symbol": "XBTUSD", "id": 8_799_999_999, "side": "Buy", "size": 500}
    change = {"table": "orderBookL2", "data": [level]}
    state.put(Message(0, {**change, "action": "delete"}))  # one that comes twice is no harm
    world.run(bot, 1)
    assert (state.connected_s, len(world.open_orders())) == (known_s, 4)
    state.put(Message(0, {**change, "action": "update"}))
    bot.run_once()
    assert world.open_orders() == []
    world.run(bot, 8)
    assert state.connected_s > known_s
    assert (book.has_image, len(world.open_orders())) == (True, 4)


# -- requests that fail -----------------------------------------------------------------


def test_an_order_that_cannot_be_amended_is_taken_out_and_does_not_stop_the_rest() -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    wire.script = lambda r: refusal(400, "Account has no XBt") if r.verb == "PUT" else None
    market.show(60_100.0, 60_100.5)
    world.run(bot, 6)
    prices = [order.price_ticks / 2 for order in world.open_orders() if order.side == "Buy"]
    assert max(prices) == pytest.approx(60_095, abs=1)


def test_a_hook_whose_request_fails_does_not_end_the_run() -> None:
    class Amends(OrderManager):
        def on_fill(self, fill: Row) -> None:
            self.exchange.bitmex.amend_order({"orderID": fill["orderID"], "price": 59_000})

    market = StillMarket()
    world = World(market)
    bot = world.bot(Amends)
    world.run(bot, 2)
    market.take("Sell", 200_000, 59_900)
    world.run(bot, 5)
    assert bot.fills_this_run > 0
    assert bot.is_running


def test_with_little_money_the_levels_it_can_carry_are_quoted() -> None:
    world = World(StillMarket())
    world.account = world.engine.open_account(10_000)
    bot = world.bot()
    world.run(bot, 10)
    sides = [order.side for order in world.open_orders()]
    assert 0 < len(sides) < 12
    assert set(sides) == {"Buy", "Sell"}
    bot.shut_down()
    assert world.open_orders() == []


# -- dry run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path"),
    [("DELETE", "order/all"), ("POST", "position/leverage"), ("POST", "order"), ("PUT", "order")],
)
def test_a_dry_run_sends_nothing_by_the_raw_call_either(verb: str, path: str) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire, DRY_RUN=True)
    bot.exchange.bitmex._curl_bitmex(path, postdict={"orderQty": 100}, verb=verb)
    assert [request for request in wire.requests if request.verb != "GET"] == []


def test_what_would_pass_the_gateway_by_is_refused() -> None:
    bot = World(StillMarket()).bot()
    with pytest.raises(NotSupported, match="an order of its size, with execInst ReduceOnly"):
        bot.exchange.bitmex._curl_bitmex("order/closePosition", postdict={}, verb="POST")


@pytest.mark.parametrize(
    ("verb", "path", "fields"),
    [
        ("POST", "order", {"symbol": "ETHUSD", "orderQty": 100, "price": 59_000}),
        ("DELETE", "order/all", {"symbol": "ETHUSD"}),
        ("POST", "order/cancelAllAfter", {"timeout": 0}),
        ("PUT", "order", {"origClOrdID": "x", "clOrdID": "y"}),
    ],
)
def test_a_raw_call_does_what_it_says_or_nothing(verb: str, path: str, fields: Row) -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    sent = len(wire.requests)
    with pytest.raises(NotSupported):
        bot.exchange.bitmex._curl_bitmex(path, postdict=fields, verb=verb)
    assert len(wire.requests) == sent


def test_a_raw_call_amends_by_client_id_and_cancels_what_its_filter_names() -> None:
    world = World(StillMarket())
    bot = world.bot()
    world.run(bot, 2)
    bitmex = bot.exchange.bitmex
    inner = bot.exchange.get_highest_buy()
    change = {"origClOrdID": inner["clOrdID"], "price": inner["price"] - 1}
    assert bitmex._curl_bitmex("order", postdict=change, verb="PUT")["price"] == change["price"]
    bitmex._curl_bitmex("order/all", postdict={"filter": {"side": "Buy"}}, verb="DELETE")
    assert {order.side for order in world.open_orders()} == {"Sell"}


# -- threads ----------------------------------------------------------------------------


def test_another_thread_may_read_orders_at_any_moment() -> None:
    world = World(seed=3)
    bot = world.bot(LOG_LEVEL=logging.ERROR)
    world.run(bot, 1)
    is_over = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        try:
            while not is_over.is_set():
                bot.exchange.get_orders()
                bot.exchange.desk.state.orders.exposed("Buy")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        world.run(bot, 20)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(5)
        sys.setswitchinterval(interval)
    assert failures == []


# -- pages ------------------------------------------------------------------------------


def test_an_order_behind_a_full_page_of_others_is_found() -> None:
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)

    def first_page_is_full(request: Request) -> Any:
        if request.path == "/order" and request.verb == "GET" and request.query["start"] == 0:
            rows = [{"orderID": str(i), "clOrdID": "", "leavesQty": 1} for i in range(500)]
            return refusal(200, "")._replace(body=rows)
        first_page = request._replace(query={**request.query, "start": 0})
        return world_transport.send([first_page])[0]

    world.run(bot, 2)
    world_transport = wire._transport
    wire.script = first_page_is_full
    assert len(bot.exchange.bitmex.http_open_orders()) == 12
    with pytest.raises(ExchangeError):
        wire.script = lambda r: refusal(503, "x")
        bot.exchange.bitmex.http_open_orders()


# -- every kind of answer to every kind of request --------------------------------------

REFUSED = Answer(0, None, {}, sent=False, error="connection refused")
OVERLOADED = refusal(503, "The system is currently overloaded. Please try again later.")
DATES = {"date": "Sat, 21 Nov 2026 10:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 10:00:05 GMT"}
TROUBLE = {
    "no answer": LOST,
    "not reached": REFUSED,
    "overloaded": OVERLOADED,
    "too many, in seconds": refusal(429, "Rate limit exceeded", retry_after="5"),
    "too many, until a date": refusal(429, "Rate limit exceeded")._replace(headers=DATES),
    "a page": Answer(502, "<html>Bad gateway</html>", {}),
    "an error of the exchange": refusal(500, "Internal"),
    "no rows": Answer(200, "", {}),
    "a row that is none": Answer(200, [None, 7], {}),
    "refused": refusal(400, "Account has no XBt"),
}


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_no_answer_of_any_kind_ends_the_bot_or_doubles_an_order(verb: str, trouble: str) -> None:
    market = StillMarket()
    world, wire = World(market), Wire()
    bot = world.bot(wrap=wire, ORDER_PAIRS=3)
    world.run(bot, 2)

    def in_trouble(request: Request) -> Answer | None:
        if request.verb == verb and request.path != "/order/cancelAllAfter":
            return TROUBLE[trouble]
        return None

    wire.script = in_trouble
    for step in range(8):
        market.show(60_000.0 + 20 * step, 60_000.5 + 20 * step)
        world.run(bot, 2)
        assert len(world.open_orders()) <= 6
    wire.script = lambda request: None
    world.run(bot, 15)
    assert len(world.open_orders()) == 6
    bot.shut_down()
    assert (bot.exit_code, world.open_orders()) == (0, [])
    sent = [row["clOrdID"] for row in wire.orders()]
    assert len(set(sent)) == len(sent), "no create is ever sent twice"


def test_retry_after_is_obeyed_in_seconds_and_as_a_date() -> None:
    for trouble in ("too many, in seconds", "too many, until a date"):
        world, wire = World(StillMarket()), Wire()
        bot = world.bot(wrap=wire, ORDER_PAIRS=3, DEADMAN_TIMEOUT=0)
        bot.start()
        bot.exchange.cancel_all_orders()
        answers = iter([TROUBLE[trouble]])
        wire.script = lambda r, left=answers: next(left, None) if r.verb == "POST" else None
        bot.run_once()
        posts = len(wire.sent("POST"))
        world.run(bot, 4.5)
        assert len(wire.sent("POST")) == posts, trouble
        world.run(bot, 3)
        assert len(world.open_orders()) == 6


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_a_refused_key_ends_the_run_with_the_reason(
    verb: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    market = StillMarket()
    world, wire = World(market), Wire()

    class Asks(OrderManager):
        rounds = 0

        def place_orders(self) -> None:
            self.rounds += 1
            if self.rounds == 2:
                wire.script = lambda r: refusal(status, "No way.") if r.verb == verb else None
            if self.rounds == 3:
                self.exchange.cancel_order(self.exchange.get_orders()[0])
            if self.rounds == 4:
                self.exchange.bitmex.http_open_orders()
            if self.rounds > 9:
                raise AssertionError("it goes on")
            market.show(60_000.0 + 20 * self.rounds, 60_000.5 + 20 * self.rounds)
            super().place_orders()

    with pytest.raises(SystemExit) as ended:
        world.bot(Asks, wrap=wire).run_loop()
    # that something could not be verified at the end is the worse news
    assert ended.value.code == (2 if verb == "PUT" else 1)
    assert "No way" in caplog.text
    if verb in ("POST", "PUT"):
        assert world.open_orders() == [], "what can be cancelled is cancelled"


def test_an_order_cancelled_by_another_hand_is_missed_though_its_message_never_came() -> None:
    world = World(StillMarket())
    bot = world.bot(ORDER_PAIRS=1)
    world.run(bot, 5)
    world.faults.add("skip:p=1,for=2,table=order")
    (gone, *_) = world.open_orders()
    world.engine.cancel(world.account.number, [gone.order_id])
    assert len(world.open_orders()) == 1
    world.run(bot, 70)
    assert {order.side for order in world.open_orders()} == {"Buy", "Sell"}
    assert len(world.open_orders()) == 2
