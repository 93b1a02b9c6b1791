"""The market maker on the built-in exchange, in one process, on a clock that moves when told."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from market_maker.market_maker import OrderManager, XBt_to_XBT, cost, margin
from market_maker.model.rows import POST_ONLY, Row
from market_maker.model.wire import Answer, Disconnected, Message, Request
from market_maker.simulator.events import MarginEvent, OrderEvent
from market_maker.utils.errors import MarketEmptyError
from tests.doubles import StillMarket, Wire, refusal
from tests.world import World

TICK = 0.5


@pytest.fixture
def market() -> StillMarket:
    return StillMarket()


@pytest.fixture
def still(market: StillMarket) -> World:
    """An exchange on which nothing happens unless the test says so."""
    return World(market)


class Counting(OrderManager):
    """Notes when its rounds happened."""

    def on_start(self) -> None:
        self.rounds: list[float] = []

    def place_orders(self) -> None:
        self.rounds.append(self.clock.now())
        super().place_orders()


def resting(world: World, side: str = "") -> list[tuple[str, float, int]]:
    """What rests on our account: (side, price, size), from the highest price down."""
    grid = world.engine.grid("XBTUSD")
    rows = [(o.side, grid.price(o.price_ticks), o.leaves_qty) for o in world.open_orders()]
    return sorted((row for row in rows if side in ("", row[0])), key=lambda row: -row[1])


def prices(world: World, side: str) -> list[float]:
    return [price for _, price, _ in resting(world, side)]


# -- quoting ----------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["classic", "last"])
def test_it_quotes_both_sides_within_seconds(profile: str) -> None:
    world = World()
    world.run(world.bot(profile=profile), 2)
    assert len(prices(world, "Buy")) == len(prices(world, "Sell")) == 6
    assert max(prices(world, "Buy")) < min(prices(world, "Sell"))


def test_the_ladder_of_a_one_tick_spread_is_the_original_arithmetic(still: World) -> None:
    bot = still.bot(ORDER_PAIRS=3, MIN_SPREAD=0.01, INTERVAL=0.005, POST_ONLY=False)
    still.run(bot, 1)
    # bid 60000.5, ask 60000 after one tick inside: crossed, so MIN_SPREAD widens both.
    buy, sell = 60000.5 * 0.995, 60000 * 1.005
    for side, start, steps in (("Buy", buy, (0, -1, -2)), ("Sell", sell, (2, 1, 0))):
        expected = [round(start * 1.005**step / TICK) * TICK for step in steps]
        assert prices(still, side) == expected


def test_sizes_grow_from_the_touch_outwards(still: World) -> None:
    still.run(still.bot(ORDER_PAIRS=3, ORDER_START_SIZE=200, ORDER_STEP_SIZE=300), 1)
    assert [qty for _, _, qty in resting(still)] == [800, 500, 200, 200, 500, 800]


@pytest.mark.parametrize("spread", [0.0, 1e-9])
def test_no_quote_crosses_a_one_tick_spread_however_tight_the_settings(
    still: World, spread: float
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, MIN_SPREAD=spread, INTERVAL=1e-9, ORDER_PAIRS=3, RELIST_INTERVAL=0)
    still.run(bot, 3)
    assert prices(still, "Buy") == [60000.0, 59999.5, 59999.0]
    assert prices(still, "Sell") == [60001.5, 60001.0, 60000.5]
    assert {row["execInst"] for row in wire.orders()} == {POST_ONLY}


def test_orders_follow_the_market_by_amends_and_keep_their_ids(
    still: World, market: StillMarket
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, MIN_SPREAD=0.01)
    still.run(bot, 2)
    before = {order.order_id: order.price_ticks for order in still.open_orders()}
    market.show(60_100.0, 60_100.5)
    still.run(bot, 3)
    after = {order.order_id: order.price_ticks for order in still.open_orders()}
    assert after.keys() == before.keys()
    assert {after[i] - before[i] for i in after} <= set(range(190, 211))
    assert len(wire.sent("POST", "/order/bulk")) == 1
    assert len(wire.sent("DELETE")) == 0


def test_a_move_within_the_relist_interval_sends_nothing(still: World, market: StillMarket) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, RELIST_INTERVAL=0.01, MIN_SPREAD=0.01, DEADMAN_TIMEOUT=0)
    still.run(bot, 2)
    sent = len(wire.orders("POST")), len(wire.orders("PUT")), len(wire.sent("DELETE"))
    market.show(60_050.0, 60_050.5)
    still.run(bot, 10)
    assert (len(wire.orders("POST")), len(wire.orders("PUT")), len(wire.sent("DELETE"))) == sent


def test_a_filled_level_comes_back_and_the_others_stay(still: World, market: StillMarket) -> None:
    bot = still.bot(ORDER_PAIRS=3, RELIST_INTERVAL=0.01)
    still.run(bot, 2)
    before = {order.order_id for order in still.open_orders()}
    best = max(prices(still, "Buy"))
    market.take("Sell", 50_100, best)  # all that the market shows, then ours
    still.clock.sleep(0.1)
    market.show(60_000.0, 60_000.5)
    still.run(bot, 3)
    assert still.position()["currentQty"] == 100
    assert len(prices(still, "Buy")) == len(prices(still, "Sell")) == 3
    assert len(before & {order.order_id for order in still.open_orders()}) == 5


@pytest.mark.parametrize(
    ("taken", "comes_back"), [(100, False), (200, False), (300, True)], ids=str
)
def test_a_partly_filled_order_is_topped_up_only_below_half(
    still: World, market: StillMarket, taken: int, comes_back: bool
) -> None:
    bot = still.bot(
        ORDER_PAIRS=1, ORDER_START_SIZE=400, RELIST_INTERVAL=0.01, TOPUP_BELOW=0.5, POST_ONLY=False
    )
    still.run(bot, 2)
    market.take("Sell", 50_000 + taken, 59_000.0)
    market.show(60_000.0, 60_000.5)
    still.run(bot, 4)
    (buy,) = [order for order in still.open_orders() if order.side == "Buy"]
    assert buy.cum_qty == taken
    assert buy.leaves_qty == (400 if comes_back else 400 - taken)


@pytest.mark.parametrize(
    "touch", [(None, None), (60_000.0, None), (None, 60_000.5)], ids=["empty", "no asks", "no bids"]
)
def test_a_missing_side_pulls_the_quotes_and_they_come_back(
    market: StillMarket, still: World, touch: tuple[float | None, float | None]
) -> None:
    bot = still.bot()
    still.run(bot, 2)
    # A side is empty only when our own orders have gone from it too.
    for order in still.open_orders():
        if touch[0 if order.side == "Buy" else 1] is None:
            still.engine.cancel(still.account.number, [order.order_id])
    market.show(*touch)
    still.clock.sleep(0.01)
    still.run(bot, 8)
    assert resting(still) == []
    assert bot.exchange.desk.gateway.pulled
    market.show(60_000.0, 60_000.5)
    still.run(bot, 8)
    assert len(resting(still)) == 12
    assert not bot.exchange.desk.gateway.pulled


def test_it_starts_on_an_empty_book_and_waits_for_quotes() -> None:
    market = StillMarket(None, None)
    world = World(market)
    bot = world.bot()
    world.run(bot, 6)
    assert resting(world) == []
    with pytest.raises(MarketEmptyError):
        bot.exchange.check_if_orderbook_empty()
    market.show(60_000.0, 60_000.5)
    world.run(bot, 8)
    assert len(resting(world)) == 12


def test_sizes_are_drawn_once_for_each_order_and_kept_while_it_rests(
    still: World, market: StillMarket
) -> None:
    bot = still.bot(RANDOM_ORDER_SIZE=True, MIN_ORDER_SIZE=100, MAX_ORDER_SIZE=900, MIN_SPREAD=0.01)
    still.run(bot, 2)
    sizes = {order.order_id: order.leaves_qty for order in still.open_orders()}
    assert len(set(sizes.values())) > 1
    assert all(size % 100 == 0 and 100 <= size <= 900 for size in sizes.values())
    market.show(60_200.0, 60_200.5)
    still.run(bot, 10)
    assert {order.order_id: order.leaves_qty for order in still.open_orders()} == sizes


def test_settings_changed_at_run_time_act_in_the_next_round(still: World) -> None:
    bot = still.bot(ORDER_PAIRS=6, LOOP_INTERVAL=2)
    still.run(bot, 2)
    bot.settings.ORDER_PAIRS = 2
    bot.settings["ORDER_START_SIZE"] = 300
    still.run(bot, 3)
    assert [qty for _, _, qty in resting(still)] == [400, 300, 300, 400]


@pytest.mark.parametrize(("start", "step", "sizes"), [(150, 0, [200] * 3), (30, 20, [100] * 3)])
def test_sizes_off_the_lot_go_to_the_nearest_one_with_a_warning(
    still: World,
    caplog: pytest.LogCaptureFixture,
    start: int,
    step: int,
    sizes: list[int],
) -> None:
    still.run(still.bot(ORDER_PAIRS=3, ORDER_START_SIZE=start, ORDER_STEP_SIZE=step), 2)
    assert [qty for _, _, qty in resting(still, "Sell")] == sizes
    assert f"ORDER_START_SIZE = {start} is no multiple of the lot size 100" in caplog.text


@pytest.mark.parametrize("seed", range(5))
def test_with_the_defaults_a_newcomer_sees_a_fill_within_20_s(seed: int) -> None:
    world = World(seed=seed)
    world.run(world.bot(), 20)
    assert any(event.fill for event in world.engine.executions(world.account.number))


# -- limits -----------------------------------------------------------------------------


def watch_limits(world: World, low: int, high: int) -> list[float]:
    """Checks the worst case whenever an account has changed; the positions it saw."""
    seen: list[float] = []

    def check(event: Any) -> None:
        if not isinstance(event, MarginEvent) or event.account != world.account.number:
            return
        qty = world.position()["currentQty"] or 0
        buys = sum(o.leaves_qty for o in world.open_orders() if o.side == "Buy")
        sells = sum(o.leaves_qty for o in world.open_orders() if o.side == "Sell")
        assert qty + buys <= high, (qty, buys)
        assert qty - sells >= low, (qty, sells)
        seen.append(qty)

    world.engine.listeners.append(check)
    return seen


@pytest.mark.parametrize(("low", "high"), [(-500, 500), (0, 1000), (-2000, -300)])
@pytest.mark.parametrize("profile", ["classic", "last"])
def test_position_and_all_that_rests_stay_within_the_limits_at_any_instant(
    low: int, high: int, profile: str
) -> None:
    world = World(seed=5)
    seen = watch_limits(world, low, max(high, 0))
    bot = world.bot(
        profile=profile, MIN_POSITION=low, MAX_POSITION=high, MIN_SPREAD=0.0001, ORDER_STEP_SIZE=0
    )
    world.run(bot, 25)
    assert len(seen) > 10
    assert max(seen) - min(seen) >= 200  # it did trade


def test_at_the_limit_only_the_side_that_leads_back_is_quoted(
    still: World, caplog: pytest.LogCaptureFixture
) -> None:
    still.engine.place(still.account.number, {"symbol": "XBTUSD", "orderQty": 1000})
    still.run(still.bot(MAX_POSITION=1000), 2)
    assert prices(still, "Buy") == []
    assert len(prices(still, "Sell")) == 6
    assert caplog.text.count("Long delta limit exceeded") == 1


def test_limits_below_the_first_order_are_told_once(
    still: World, caplog: pytest.LogCaptureFixture
) -> None:
    still.run(still.bot(MAX_POSITION=50, MIN_POSITION=-50), 12)
    assert still.open_orders() == []
    for side in ("Buy", "Sell"):
        assert caplog.text.count(f"The position limits leave no room for a {side} order.") == 1


def test_a_strategy_that_ignores_the_limits_is_held_by_the_gateway(still: World) -> None:
    class Greedy(OrderManager):
        def place_orders(self) -> None:
            buys = [{"price": 59_000.0 - i, "orderQty": 400, "side": "Buy"} for i in range(5)]
            self.converge_orders(buys, [])

    still.run(still.bot(Greedy, MAX_POSITION=1000), 2)
    assert [qty for _, _, qty in resting(still)] == [400, 400]


def test_without_the_check_nothing_is_limited(still: World) -> None:
    still.run(still.bot(CHECK_POSITION_LIMITS=False, MAX_POSITION=100, MIN_POSITION=-100), 2)
    assert len(resting(still)) == 12


# -- pace -------------------------------------------------------------------------------


def test_without_events_it_keeps_the_originals_pace() -> None:
    world = World()
    bot = world.bot(Counting, EVENT_DRIVEN=False, LOOP_INTERVAL=5)
    world.run(bot, 21)
    first, *rounds = bot.rounds
    assert [round(at - first) for at in rounds] == [0, 5, 10, 15, 20]


def test_rounds_and_requests_keep_the_shortest_wait() -> None:
    world, wire = World(), Wire()
    bot = world.bot(Counting, wrap=wire, MIN_REQUOTE_INTERVAL=2.0)
    world.run(bot, 20)
    rounds = bot.rounds[1:]
    gaps = [later - at for at, later in itertools.pairwise(rounds)]
    assert min(gaps) >= 2.0 - 1e-9
    assert len(rounds) >= 8  # the market moves all the time, so every wait is the shortest
    assert len(wire.sent("PUT")) <= len(rounds)


def test_acknowledgements_of_our_own_orders_start_no_round(still: World) -> None:
    bot = still.bot(Counting, LOOP_INTERVAL=5, MIN_REQUOTE_INTERVAL=0.1, MIN_SPREAD=0)
    still.run(bot, 20)
    assert len(bot.rounds) <= 6


def test_a_fill_starts_a_round_at_once(still: World, market: StillMarket) -> None:
    bot = still.bot(Counting, LOOP_INTERVAL=60, MIN_REQUOTE_INTERVAL=0.5, ORDER_PAIRS=1)
    still.run(bot, 1)
    count = len(bot.rounds)
    market.take("Buy", 50_100, 60_100.0)
    market.show(60_000.0, 60_000.5)
    still.run(bot, 1)
    assert still.position()["currentQty"] == -100
    assert len(bot.rounds) > count
    assert len(prices(still, "Sell")) == 1


# -- hooks ------------------------------------------------------------------------------


class Listening(OrderManager):
    """Writes down every hook."""

    def on_start(self) -> None:
        self.heard: list[tuple[str, Any]] = [("start", len(self.exchange.get_orders()))]

    def on_stop(self) -> None:
        self.heard.append(("stop", len(self.exchange.get_orders())))

    def on_fill(self, fill: Row) -> None:
        self.heard.append(("fill", fill))

    def on_trade(self, trade: Row) -> None:
        self.heard.append(("trade", trade))

    def on_book(self, row: Row) -> None:
        self.heard.append(("book", row))


def test_hooks_run_in_the_order_of_arrival(still: World, market: StillMarket) -> None:
    bot = still.bot(Listening, ORDER_PAIRS=1, ORDER_START_SIZE=100, POST_ONLY=False)
    still.run(bot, 1)
    bot.heard.clear()
    market.take("Sell", 50_100, 59_900.0)
    still.clock.sleep(0.1)
    bot.run_once()
    kinds = [kind for kind, _ in bot.heard]
    assert kinds[:3] == ["fill", "trade", "trade"] or kinds[:3] == ["trade", "fill", "trade"]
    (fill,) = [row for kind, row in bot.heard if kind == "fill"]
    assert (fill["side"], fill["lastQty"], fill["execType"]) == ("Buy", 100, "Trade")
    assert "book" in kinds[kinds.index("fill") :]


def test_every_fill_is_told_once_and_adds_up_to_the_position() -> None:
    world = World(seed=3)
    bot = world.bot(Listening)
    world.run(bot, 20)
    bot.shut_down()
    fills = [row for kind, row in bot.heard if kind == "fill"]
    assert len({row["execID"] for row in fills}) == len(fills) > 0
    signed = sum(row["lastQty"] * (1 if row["side"] == "Buy" else -1) for row in fills)
    assert signed == world.position()["currentQty"]


def test_start_and_stop_are_told_before_the_first_and_while_the_last_orders_rest(
    still: World,
) -> None:
    bot = still.bot(Listening)
    still.run(bot, 1)
    bot.shut_down()
    assert bot.heard[0] == ("start", 0)
    assert [event for event in bot.heard if event[0] in ("start", "stop")][1:] == [("stop", 12)]


def test_fills_that_nobody_has_heard_of_are_told_before_a_restart(
    still: World, market: StillMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = still.bot(Listening, ORDER_PAIRS=1)
    still.run(bot, 1)
    market.take("Sell", 50_100, 59_900.0)
    still.clock.sleep(0.1)
    became: list[bool] = []
    monkeypatch.setattr("market_maker.runner.re_exec", lambda: became.append(True))
    bot.restart()
    assert became == [True]
    assert [row["lastQty"] for kind, row in bot.heard if kind == "fill"] == [100]
    assert resting(still) == []


def test_a_failing_on_stop_does_not_keep_orders_in_the_book(still: World) -> None:
    class Failing(OrderManager):
        def on_stop(self) -> None:
            raise RuntimeError("no last words")

    bot = still.bot(Failing)
    still.run(bot, 1)
    bot.shut_down()
    assert resting(still) == []


# -- dry run ----------------------------------------------------------------------------


def test_a_dry_run_prints_the_plan_and_sends_nothing(
    still: World, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, DRY_RUN=True, ORDER_PAIRS=2)
    still.run(bot, 2)
    bot.exchange.create_bulk_orders([{"price": 59_000.0, "orderQty": 100, "side": "Buy"}])
    bot.exchange.bitmex.buy(100, 59_000.0)
    bot.shut_down()
    assert [request for request in wire.requests if request.verb != "GET"] == []
    assert resting(still) == []
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].split()[:3] == ["side", "price", "size"]
    rows = [line.split() for line in lines[1:5]]
    assert [row[0] for row in rows] == ["Sell", "Sell", "Buy", "Buy"]
    assert [float(row[1]) for row in rows] == sorted((float(r[1]) for r in rows), reverse=True)
    assert any(line.startswith("quoted spread") for line in lines)
    assert lines[-1] == "nothing was sent"


# -- ends -------------------------------------------------------------------------------


class Ending(OrderManager):
    """Ends in the third round in the way it is told."""

    end: BaseException

    def on_start(self) -> None:
        self.left = 3

    def place_orders(self) -> None:
        super().place_orders()
        self.left -= 1
        if not self.left:
            raise self.end


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (KeyboardInterrupt(), 0),
        (SystemExit(0), 0),
        (SystemExit(), 0),
        (SystemExit(3), 3),
        (RuntimeError("a bug of the strategy"), 1),
        (ZeroDivisionError(), 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("profile", ["classic", "last"])
def test_every_way_out_cancels_all_orders(end: BaseException, code: int, profile: str) -> None:
    world = World()
    bot = world.bot(Ending, profile=profile)
    bot.end = end
    if code:
        with pytest.raises(SystemExit) as left:
            bot.run_loop()
        assert left.value.code == code
    else:
        bot.run_loop()
    assert bot.left == 0
    assert resting(world) == []


def test_exit_cancels_verifies_and_leaves(still: World) -> None:
    bot = still.bot()
    still.run(bot, 2)
    with pytest.raises(SystemExit) as left:
        bot.exit()
    assert left.value.code == 0
    assert resting(still) == []


def test_the_end_asks_again_until_the_exchange_lists_nothing(
    still: World, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire)
    still.run(bot, 2)
    failing = iter(
        [Answer(0, None, {}, error="timed out"), refusal(503, "The system is overloaded")]
    )

    wire.script = lambda request: next(failing, None) if request.verb == "DELETE" else None
    bot.shut_down()
    assert resting(still) == []
    assert len(wire.sent("DELETE")) >= 2
    assert "the exchange lists none of ours" in caplog.text
    assert bot.exit_code == 0


def test_an_end_that_cannot_be_verified_says_so_and_exits_with_1(
    still: World, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire)
    still.run(bot, 2)
    wire.script = lambda request: Answer(0, None, {}, sent=False, error="connection refused")
    with pytest.raises(SystemExit) as left:
        bot.exit()
    assert left.value.code == 1
    assert "Unable to cancel orders: 0: connection refused" in caplog.text
    assert "lists none of ours" not in caplog.text


def test_orders_of_others_on_the_account_are_left_alone(still: World) -> None:
    theirs = still.engine.place(
        still.account.number,
        {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000, "clOrdID": "by hand"},
    )
    bot = still.bot()
    still.run(bot, 2)
    assert len(bot.exchange.get_orders()) == 12
    bot.shut_down()
    assert [order.order_id for order in still.open_orders()] == [theirs.order_id]


def test_orders_left_from_before_are_cancelled_at_the_start(still: World) -> None:
    first = still.bot()
    still.run(first, 1)
    left = {order.order_id for order in still.open_orders()}
    still.run(still.bot(), 1)
    assert len(resting(still)) == 12
    assert not left & {order.order_id for order in still.open_orders()}


def test_an_error_of_the_exchange_skips_the_round_and_quoting_goes_on(still: World) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, LOOP_INTERVAL=2)
    answers = iter([refusal(400, "Invalid orderQty")] * 1)
    wire.script = lambda request: next(answers, None) if request.verb == "POST" else None
    still.run(bot, 6)
    assert len(resting(still)) == 12


def test_a_refused_key_ends_the_run_with_code_2(still: World) -> None:
    wire = Wire()
    bot = still.bot(Counting, wrap=wire)
    wire.script = lambda r: refusal(401, "Invalid API Key.") if r.verb == "POST" else None
    with pytest.raises(SystemExit) as left:
        bot.run_loop()
    assert left.value.code == 2


def test_silence_while_the_market_moves_pulls_the_quotes(still: World, market: StillMarket) -> None:
    bot = still.bot(STALE_AFTER=10, LOOP_INTERVAL=5)
    still.run(bot, 2)
    stream = bot.exchange.desk.connector.stream
    put, stream._sink = stream._sink, None  # a link that is dead without saying so
    stream.reconnect = lambda: None  # and stays so for a while
    market.show(61_000.0, 61_000.5)
    still.run(bot, 16)
    assert bot.exchange.desk.gateway.pulled.startswith("no data for")
    assert resting(still) == []
    stream.attach(put)
    still.run(bot, 6)
    assert len(resting(still)) == 12
    assert min(prices(still, "Sell")) > 61_000


@pytest.mark.parametrize("interval_s", [5, 25, 90])
def test_the_dead_mans_switch_never_fires_while_rounds_complete(
    still: World, interval_s: int
) -> None:
    bot = still.bot(DEADMAN_TIMEOUT=60, LOOP_INTERVAL=interval_s)
    still.run(bot, 1)
    first = {order.order_id for order in still.open_orders()}
    still.run(bot, 300)
    assert {order.order_id for order in still.open_orders()} == first


def test_the_dead_mans_switch_clears_the_book_of_a_bot_that_hangs(still: World) -> None:
    still.run(still.bot(DEADMAN_TIMEOUT=60), 1)
    assert len(resting(still)) == 12
    still.clock.sleep(91)  # renewed until no round was finished for half of its time
    assert resting(still) == []


def test_a_strategy_that_blocks_for_minutes_loses_its_orders_and_then_goes_on(
    still: World,
) -> None:
    resting_meanwhile: list[int] = []

    class Blocks(OrderManager):
        rounds = 0

        def place_orders(self) -> None:
            super().place_orders()
            self.rounds += 1
            if self.rounds == 2:
                self.clock.sleep(120)
                resting_meanwhile.append(len(still.open_orders()))

    bot = still.bot(Blocks)
    still.run(bot, 150)
    assert resting_meanwhile == [0]
    assert len(resting(still)) == 12


def test_a_lost_connection_pulls_the_quotes_at_once_and_they_come_back(still: World) -> None:
    bot = still.bot()
    still.run(bot, 2)
    stream = bot.exchange.desk.connector.stream
    sink = stream._sink
    sink(Disconnected(0, "connection reset"))
    still.run(bot, 1)
    assert resting(still) == []
    stream.attach(sink)
    still.run(bot, 2)
    assert len(resting(still)) == 12


def test_a_closed_market_pulls_the_quotes_until_it_opens(still: World) -> None:
    bot = still.bot()
    still.run(bot, 2)
    sink = bot.exchange.desk.connector.stream._sink
    for state, count in (("Settled", 0), ("Open", 12)):
        row = {"symbol": "XBTUSD", "state": state}
        sink(Message(0, {"table": "instrument", "action": "update", "data": [row]}))
        still.run(bot, 2)
        assert len(resting(still)) == count


def test_lost_messages_pull_the_quotes_and_ask_for_everything_anew(
    still: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = still.bot()
    still.run(bot, 2)
    desk, asked = bot.exchange.desk, []
    with monkeypatch.context() as small:
        small.setattr("market_maker.exchanges.state._MAX_INBOX", 0)
        desk.state.put(Message(0, {}))
    monkeypatch.setattr(desk.connector, "reconnect", lambda: asked.append(1))
    bot.run_once()
    assert asked == [1]
    assert resting(still) == []


def test_a_quiet_market_is_not_taken_for_a_dead_link(still: World) -> None:
    bot = still.bot(STALE_AFTER=10)
    still.run(bot, 60)
    assert len(resting(still)) == 12
    assert not bot.exchange.desk.gateway.pulled


# -- shapes that other people's code relies on ------------------------------------------


def test_the_exchange_interface_answers_in_the_originals_shapes() -> None:
    world = World()
    bot = world.bot()
    world.run(bot, 10)
    exchange = bot.exchange
    ticker = exchange.get_ticker()
    assert set(ticker) == {"last", "buy", "sell", "mid"}
    assert ticker["buy"] < ticker["sell"]
    assert (exchange.symbol, exchange.dry_run) == ("XBTUSD", False)
    instrument = exchange.get_instrument()
    assert (instrument["symbol"], instrument["tickLog"]) == ("XBTUSD", 1)
    order = exchange.get_orders()[0]
    wanted = [
        "orderID",
        "clOrdID",
        "symbol",
        "side",
        "price",
        "orderQty",
        "leavesQty",
        "cumQty",
        "ordStatus",
    ]
    assert [name for name in wanted if name not in order] == []
    position = exchange.get_position()
    wanted = [
        "openOrderBuyQty",
        "openOrderSellQty",
        "markValue",
        "liquidationPrice",
        "unrealisedPnl",
        "realisedPnl",
        "homeNotional",
        "currentQty",
        "avgCostPrice",
        "avgEntryPrice",
    ]
    assert [name for name in wanted if name not in position] == []
    wanted = [
        "walletBalance",
        "marginBalance",
        "availableMargin",
        "marginUsedPcnt",
        "marginLeverage",
    ]
    assert [name for name in wanted if name not in exchange.get_margin()] == []
    assert exchange.get_delta() == world.position()["currentQty"]
    assert exchange.is_open()
    exchange.check_market_open()
    exchange.check_if_orderbook_empty()


def test_highest_buy_and_lowest_sell_have_stand_ins(still: World) -> None:
    bot = still.bot()
    exchange = bot.exchange
    assert exchange.get_highest_buy() == {"price": -(2**32)}
    assert exchange.get_lowest_sell() == {"price": 2**32}
    still.run(bot, 1)
    assert exchange.get_highest_buy()["price"] == max(prices(still, "Buy"))
    assert exchange.get_lowest_sell()["price"] == min(prices(still, "Sell"))


def test_without_a_position_it_reads_as_flat(still: World) -> None:
    exchange = still.bot().exchange
    flat = {"avgCostPrice": 0, "avgEntryPrice": 0, "currentQty": 0, "symbol": "ETHUSD"}
    assert exchange.get_position("ETHUSD") == flat
    assert exchange.get_delta("ETHUSD") == 0


def test_portfolio_and_delta_follow_the_contracts(still: World) -> None:
    still.engine.place(still.account.number, {"symbol": "XBTUSD", "orderQty": 600})
    exchange = still.bot().exchange
    (item,) = exchange.get_portfolio().values()
    assert set(item) == {"currentQty", "futureType", "multiplier", "markPrice", "spot"}
    assert (item["currentQty"], item["futureType"]) == (600, "Inverse")
    delta = exchange.calc_delta()
    assert set(delta) == {"spot", "mark_price", "basis"}
    assert math.isclose(abs(delta["spot"]), 600 / item["spot"], rel_tol=1e-6)
    assert math.isclose(delta["basis"], delta["mark_price"] - delta["spot"], abs_tol=1e-12)


def test_rows_handed_out_are_copies(still: World) -> None:
    bot = still.bot()
    still.run(bot, 1)
    exchange = bot.exchange
    reads: list[Callable[[], Any]] = [
        exchange.get_instrument,
        exchange.get_position,
        exchange.get_margin,
        lambda: exchange.get_orders()[0],
        lambda: exchange.bitmex.ws.data["quote"][-1],
    ]
    for read in reads:
        read()["symbol"] = "CHANGED"
        assert read().get("symbol") != "CHANGED"


def test_a_read_after_our_own_action_is_fresh(still: World) -> None:
    exchange = still.bot().exchange
    rows = exchange.create_bulk_orders(
        [{"price": 59_000.0 + i, "orderQty": 100, "side": "Buy"} for i in range(3)]
    )
    assert len(exchange.get_orders()) == 3
    exchange.cancel_order(rows[0])
    assert len(exchange.get_orders()) == 2
    exchange.cancel_bulk_orders(rows[1:2])
    assert [row["orderID"] for row in exchange.get_orders()] == [rows[2]["orderID"]]
    exchange.cancel_all_orders()
    assert exchange.get_orders() == []
    assert resting(still) == []


def test_the_manager_has_the_originals_attributes() -> None:
    world = World()
    bot = world.bot()
    world.run(bot, 3)
    for name in [
        "exchange",
        "instrument",
        "start_time",
        "starting_qty",
        "running_qty",
        "start_position_buy",
        "start_position_sell",
        "start_position_mid",
        "start_XBt",
    ]:
        assert getattr(bot, name) is not None, name
    assert bot.start_XBt == 100_000_000
    assert bot.start_position_buy < bot.start_position_mid < bot.start_position_sell


def test_helpers_count_in_the_originals_units(still: World) -> None:
    instrument = still.bot().exchange.get_instrument()
    assert XBt_to_XBT(150_000_000) == 1.5
    assert cost(instrument, 100, 50_000) == -200_000
    assert margin(instrument, 100, 50_000) == -2_000


# -- one batch at a time where there is no bulk call ------------------------------------


def test_without_bulk_calls_the_batch_goes_one_by_one_and_is_noticed_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    market, wire = StillMarket(), Wire()
    world = World(market)
    bot = world.bot(wrap=wire, profile="last", MIN_SPREAD=0.01)
    world.run(bot, 2)
    market.show(60_100.0, 60_100.5)
    world.run(bot, 4)
    bulk = [request for request in wire.requests if request.path == "/order/bulk"]
    single = [request.verb for request in wire.requests if request.path == "/order"]
    assert [request.verb for request in bulk] == ["POST"]
    assert (single.count("POST"), single.count("PUT")) == (12, 12)
    assert caplog.text.count("no order/bulk") == 1
    assert len(resting(world)) == 12


def test_a_start_beside_what_a_killed_bot_has_left_asks_for_no_more_than_a_second_allows() -> None:
    world, wire = World(StillMarket()), Wire()
    world.run(world.bot(profile="last"), 3)
    assert len(resting(world)) == 12
    started_s, bot = world.clock.now(), world.bot(profile="last", wrap=wire)
    bot.start()  # the first one is not heard of again
    bot.run_once()
    assert world.clock.now() < started_s + 0.1
    changing = [(r.verb, r.path) for r in wire.requests if r.verb != "GET"]
    assert ("DELETE", "/order") in changing
    assert 5 < len(changing) <= 10
    world.run(bot, 3)
    assert len(resting(world)) == 12


@pytest.mark.parametrize("profile", ["classic", "last"])
@pytest.mark.parametrize("leap", [200.0, -200.0])
def test_own_quotes_never_meet_when_the_market_leaps(profile: str, leap: float) -> None:
    market = StillMarket()
    world = World(market)
    bot = world.bot(profile=profile, MIN_SPREAD=0.0001, INTERVAL=0.0001, POST_ONLY=False)
    world.run(bot, 2)

    def check(event: Any) -> None:
        if isinstance(event, OrderEvent) and event.exec_type in ("New", "Replaced"):
            bids, asks = prices(world, "Buy"), prices(world, "Sell")
            assert not bids or not asks or max(bids) < min(asks)

    world.engine.listeners.append(check)
    for step in range(1, 4):
        market.show(60_000.0 + step * leap, 60_000.5 + step * leap)
        # What our quotes were in the way of has traded; what is tested is what we do next.
        world.run(bot, 3)
    assert len(resting(world)) == 12


# -- post-only orders that would take ---------------------------------------------------


def test_a_post_only_order_that_was_refused_is_not_sent_at_the_same_price_again(
    still: World, market: StillMarket, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    bot = still.bot(wrap=wire, ORDER_PAIRS=2, MIN_SPREAD=0.0, INTERVAL=1e-5, POST_ONLY=True)

    def market_moves_before_the_order_arrives(request: Request) -> None:
        if request.path.startswith("/order/bulk"):
            market._show(59_999.5, 60_000.0)  # down to our first bid, which would take
            wire.script = lambda request: None

    wire.script = market_moves_before_the_order_arrives
    bot.start()
    (refused,) = {row["price"] for row in wire.orders() if row["side"] == "Buy"} - {
        order.price_ticks / 2 for order in still.open_orders() if order.side == "Buy"
    }
    market.show(60_000.0, 60_000.5)
    sent = len(wire.orders())
    still.run(bot, 3)
    later = [row["price"] for row in wire.orders()[sent:] if row["side"] == "Buy"]
    assert later
    assert refused not in later
    assert max(prices(still, "Buy")) == refused - 0.5
    still.run(bot, 10)
    assert max(prices(still, "Buy")) == refused, "the market allows it by now"
    assert "Quotes This Run: " in caplog.text
