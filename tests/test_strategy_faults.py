"""Strategies that misbehave: quotes pulled, one clear line, the bot alive or cleanly stopped."""

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from market_maker.exchanges.base import ExchangeError
from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.quoting.sanity import find_nonsense
from market_maker.simulator.events import TradeEvent
from market_maker.utils.errors import MarketEmptyError
from tests.doubles import StillMarket, Wire
from tests.world import World


def order(side: str, price: Any, size: Any = 100, **more: Any) -> Row:
    return {"side": side, "price": price, "orderQty": size, **more}


GOOD = [order("Buy", 59_990.0), order("Sell", 60_010.0)]
NONSENSE = {
    "NaN price": [order("Buy", math.nan)],
    "infinite price": [order("Sell", math.inf)],
    "negative price": [order("Buy", -1.0)],
    "text for a price": [order("Buy", "59990")],
    "NaN size": [order("Buy", 59_990.0, math.nan)],
    "negative size": [order("Buy", 59_990.0, -100)],
    "no size": [order("Buy", 59_990.0, 0)],
    "a size that is none": [order("Buy", 59_990.0, None)],
    "no side": [order("", 59_990.0)],
    "off the tick": [order("Buy", 59_990.3)],
    "crossed quotes": [order("Buy", 60_000.0), order("Sell", 59_999.5)],
    "equal quotes": [order("Buy", 60_000.0), order("Sell", 60_000.0)],
    "10,000 orders": [order("Buy", 59_990.0 - n / 2) for n in range(10_000)],
}


class Scripted(OrderManager):
    """Does what the test says, from the third round on; quotes well before."""

    rounds = 0
    world: World
    deed: Callable[["Scripted"], None]

    def place_orders(self) -> None:
        self.rounds += 1
        if 3 <= self.rounds < 13:
            type(self).deed(self)
        else:
            self.converge_orders([dict(GOOD[0])], [dict(GOOD[1])])


def run(
    deed: Callable[[Scripted], None], **changes: Any
) -> tuple[World, Scripted, list[int], Wire]:
    """A run in which *deed* is done in rounds 3 to 12; what rested after each round."""
    world, wire = World(StillMarket()), Wire()
    strategy = type("Doing", (Scripted,), {"deed": deed, "world": world})
    bot: Any = world.bot(strategy, wrap=wire, **changes)
    bot.start()
    resting = []
    for _ in range(18):
        bot.run_once()
        resting.append(len(world.open_orders()))
        world.clock.sleep(1)
    return world, bot, resting, wire


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("orders", NONSENSE.values(), ids=NONSENSE.keys())
def test_orders_that_cannot_be_meant_pull_the_quotes_with_one_line(
    orders: list[Row], caplog: pytest.LogCaptureFixture
) -> None:
    def deed(self: Scripted) -> None:
        rows = [dict(row) for row in orders]
        self.converge_orders(
            [row for row in rows if row["side"] != "Sell"],
            [row for row in rows if row["side"] == "Sell"],
        )

    world, bot, resting, wire = run(deed)
    assert resting[0] == resting[-1] == 2, "it quotes before and after"
    assert set(resting[2:11]) == {0}
    (line,) = warnings(caplog)
    assert line.startswith("Pulling all quotes: the strategy asks for ")
    assert len(line) < 200
    assert len(wire.orders()) == 4, "nothing of it went out"
    bot.shut_down()
    assert (bot.exit_code, world.open_orders()) == (0, [])


def test_a_strategy_that_catches_everything_loses_its_quotes_all_the_same() -> None:
    def deed(self: Scripted) -> None:
        try:
            self.converge_orders([order("Buy", math.nan)], [])
        except Exception:  # noqa: BLE001 - as careless strategies do
            return

    _, _, resting, _ = run(deed)
    assert set(resting[2:11]) == {0}
    assert resting[-1] == 2


@pytest.mark.parametrize("name", sorted(NONSENSE.keys() - {"no side"}))  # without one it is a buy
def test_the_verbs_past_converge_send_no_nonsense_either(name: str) -> None:
    orders = NONSENSE[name]
    world, wire = World(StillMarket()), Wire()
    bot = world.bot(wrap=wire)
    world.run(bot, 2)
    bot.exchange.cancel_all_orders()
    before = len(wire.orders())
    rows = bot.exchange.create_bulk_orders([dict(row) for row in orders])
    refused = [row for row in rows if row["ordStatus"] == "Rejected"]
    assert len(refused) >= min(len(orders), 1) * (1 if len(orders) < 10_000 else 9_800)
    for row in wire.orders()[before:]:
        assert math.isfinite(row["price"]) and row["price"] > 0 and row["orderQty"] > 0
    assert len(world.open_orders()) <= 200


def test_a_strategy_that_raises_is_called_again_where_the_settings_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deed(self: Scripted) -> None:
        raise ZeroDivisionError(f"in round {self.rounds}")

    world, _, resting, _ = run(deed, ON_STRATEGY_ERROR="pull")
    assert set(resting[2:11]) == {0}
    assert resting[-1] == len(world.open_orders()) == 2
    (line,) = warnings(caplog)
    assert "the strategy raised ZeroDivisionError: in round 3 (test_strategy_faults.py line" in line


def test_what_is_raised_within_a_call_of_ours_names_the_line_of_the_user(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deed(self: Scripted) -> None:
        self.converge_orders(None, None)  # type: ignore[arg-type]

    run(deed, ON_STRATEGY_ERROR="pull")
    (line,) = warnings(caplog)
    assert "TypeError" in line and "(test_strategy_faults.py line" in line


@pytest.mark.parametrize("hook", ["on_trade", "on_book", "on_fill"])
def test_a_hook_that_raises_pulls_too_or_ends_the_run(hook: str) -> None:
    def fail(self: OrderManager, row: Row) -> None:
        raise RuntimeError(hook)

    for policy in ("pull", "stop"):
        world = World(seed=3)
        strategy = type("Hooked", (OrderManager,), {hook: fail})
        bot = world.bot(strategy, ON_STRATEGY_ERROR=policy, MIN_SPREAD=0.00005)
        if policy == "pull":
            world.run(bot, 20)
            assert bot.is_running
            continue
        with pytest.raises(SystemExit) as ended:
            bot.run_loop()
        assert ended.value.code == 1
        assert world.open_orders() == []


def test_the_same_failure_is_told_once_and_again_when_it_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deed(self: Scripted) -> None:
        if self.rounds in (3, 4, 9, 10):
            raise ExchangeError(503, "overloaded")

    run(deed)
    assert warnings(caplog) == ["This round is skipped: 503: overloaded"] * 2


def test_a_hook_that_skips_a_round_ends_nothing_and_none_of_its_news_is_lost() -> None:
    heard: list[str] = []

    class Skips(OrderManager):
        def on_trade(self, trade: Row) -> None:
            heard.append(trade["trdMatchID"])
            raise MarketEmptyError("what a sanity check says")

    world, told = World(seed=3), list[str]()
    bot = world.bot(Skips)
    bot.start()

    def hear(event: object) -> None:
        if isinstance(event, TradeEvent) and event.symbol == "XBTUSD":
            told.append(event.match_id)

    world.engine.listeners.append(hear)
    world.run(bot, 20)
    bot.run_once()
    assert bot.is_running and heard == told and len(told) > 5


def test_a_strategy_that_blocks_loses_its_quotes_to_the_switch_and_goes_on() -> None:
    def deed(self: Scripted) -> None:
        if self.rounds == 3:
            for seconds in range(120):
                self.clock.sleep(1)
                if seconds >= 90:  # its time, and half of it until it is renewed no more
                    assert self.world.open_orders() == [], f"{seconds} s without a round"
        self.converge_orders([dict(GOOD[0])], [dict(GOOD[1])])

    world, bot, resting, wire = run(deed)
    assert resting[0] == 2
    assert resting[-10:] == [2] * 10, "it quotes again"
    sent = [row["clOrdID"] for row in wire.orders()]
    assert len(set(sent)) == len(sent) == 4
    bot.shut_down()
    assert (bot.exit_code, world.open_orders()) == (0, [])


def test_a_strategy_that_raises_ends_the_run_by_default() -> None:
    world = World(StillMarket())

    class Raises(OrderManager):
        rounds = 0

        def place_orders(self) -> None:
            super().place_orders()
            self.rounds += 1
            if self.rounds == 3:
                raise KeyError("x")

    with pytest.raises(SystemExit) as ended:
        world.bot(Raises).run_loop()
    assert ended.value.code == 1
    assert world.open_orders() == []


def test_a_hook_that_raises_at_the_very_end_keeps_nothing_from_being_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    market = StillMarket()
    world = World(market)

    class Raises(OrderManager):
        def place_orders(self) -> None:
            super().place_orders()
            raise SystemExit(0)

        def on_stop(self) -> None:
            market.take("Sell", 50_100, 59_000.0)
            self.clock.sleep(1)

        def on_fill(self, fill: Row) -> None:
            raise RuntimeError("at the end")

    bot = world.bot(Raises)
    with pytest.raises(SystemExit) as ended:
        bot.run_loop()
    assert (ended.value.code, world.open_orders(), bot.exchange.desk.is_open) == (1, [], False)
    assert "Fills this run: 1." in caplog.text and "RuntimeError: at the end" in caplog.text


def test_a_timer_thread_cannot_place_past_the_limits_nor_after_the_end() -> None:
    world = World(StillMarket())
    bot = world.bot(MAX_POSITION=6_000, MIN_POSITION=-6_000)
    world.run(bot, 2)
    answers: list[Row] = []

    def on_a_thread(row: Row) -> Row:
        thread = threading.Thread(
            target=lambda: answers.extend(bot.exchange.create_bulk_orders([row])), daemon=True
        )
        thread.start()
        thread.join(10)
        return answers[-1]

    assert on_a_thread(order("Buy", 59_000.0, 5_000))["ordStatus"] == "Rejected"
    assert on_a_thread(order("Buy", 59_000.0, 100))["ordStatus"] == "New"
    bot.exchange.desk.gateway.stop()
    assert on_a_thread(order("Buy", 58_999.0, 100))["text"] == "the bot is stopping"
    bot.shut_down()
    assert world.open_orders() == []


def test_stops_and_orders_of_other_kinds_are_no_nonsense() -> None:
    stop = {"side": "Sell", "stopPx": 58_000.0, "orderQty": 100, "execInst": "Close"}
    grid, lots = PriceGrid.of(0.5), LotGrid.of(100)
    assert find_nonsense([*GOOD, stop], grid, lots, 200) is None
    assert find_nonsense([{**stop, "price": 61_000.0}, *GOOD], grid, lots, None) is None
