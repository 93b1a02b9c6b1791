"""Strategies in the way people wrote them for sample-market-maker, unchanged, on our bot."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from market_maker.market_maker import (
    ExchangeInterface,
    OrderManager,
    XBt_to_XBT,
    cost,
    logger,
    margin,
    run,
    watched_files_mtimes,
)
from market_maker.settings import load
from market_maker.utils import math as old_math
from tests.doubles import StillMarket, Wire
from tests.process import ROOT, Exchange, environment, running
from tests.world import World


@pytest.fixture
def market() -> StillMarket:
    return StillMarket()


@pytest.fixture
def world(market: StillMarket) -> World:
    return World(market)


def resting(world: World) -> list[tuple[str, int, str]]:
    return sorted((o.side, o.leaves_qty, o.cl_ord_id) for o in world.open_orders())


def test_the_names_that_strategies_import_are_there() -> None:
    assert issubclass(OrderManager, object)
    assert callable(run) and callable(ExchangeInterface)
    assert XBt_to_XBT(100_000_000) == 1
    assert callable(cost) and callable(margin)
    assert logger.name == "root"
    assert isinstance(watched_files_mtimes, list)
    assert old_math.toNearest(100.3, 0.5) == 100.5


# -- orders with more keys than price, size and side ------------------------------------


class WithExtras(OrderManager):
    """Own clOrdID, an execInst, a stop."""

    def place_orders(self) -> None:
        mid = self.get_ticker()["mid"]
        buys = [
            {
                "price": mid - 100,
                "orderQty": 100,
                "side": "Buy",
                "execInst": "ParticipateDoNotInitiate",
                "clOrdID": "swing-1",
            }
        ]
        sells: list[dict[str, Any]] = [
            {"price": mid + 100, "orderQty": 200, "side": "Sell", "text": "take profit"},
        ]
        self.converge_orders(buys, sells)


def test_extra_keys_go_out_as_given(world: World) -> None:
    wire = Wire()
    bot = world.bot(WithExtras, wrap=wire, POST_ONLY=False)
    world.run(bot, 3)
    sent = {row["side"]: row for row in wire.orders()}
    assert sent["Buy"]["execInst"] == "ParticipateDoNotInitiate"
    assert sent["Buy"]["clOrdID"] == "swing-1"
    assert (sent["Sell"]["text"], "execInst" in sent["Sell"]) == ("take profit", False)
    assert len(wire.orders()) == 2, "the same orders again are no change"


def test_orders_with_an_id_of_the_strategys_own_are_ours(world: World) -> None:
    bot = world.bot(WithExtras)
    world.run(bot, 2)
    assert ("Buy", 100, "swing-1") in resting(world)
    assert len(bot.exchange.get_orders()) == 2
    bot.shut_down()
    assert resting(world) == []


class WithStop(OrderManager):
    """Protects itself by a stop order."""

    def place_orders(self) -> None:
        stop = {
            "stopPx": 58_000.0,
            "orderQty": 100,
            "side": "Sell",
            "ordType": "Stop",
            "execInst": "Close,LastPrice",
        }
        self.converge_orders([], [stop])


def test_a_stop_goes_out_as_given(world: World) -> None:
    wire = Wire()
    world.run(world.bot(WithStop, wrap=wire), 1)
    row = wire.orders()[0]
    assert (row["ordType"], row["stopPx"], row["execInst"]) == ("Stop", 58_000.0, "Close,LastPrice")
    assert "price" not in row


# -- overridden converge_orders ---------------------------------------------------------


class OwnConverge(OrderManager):
    """Amends by itself and looks into the error as everybody did."""

    late = 0

    def place_orders(self) -> None:
        ticker = self.get_ticker()
        self.converge_orders(
            [{"price": ticker["buy"] - 20, "orderQty": 100, "side": "Buy"}],
            [{"price": ticker["sell"] + 20, "orderQty": 100, "side": "Sell"}],
        )

    def converge_orders(self, buy_orders: list[Any], sell_orders: list[Any]) -> None:
        to_amend, to_create = [], []
        existing = {order["side"]: order for order in self.exchange.get_orders()}
        for desired in [*buy_orders, *sell_orders]:
            order = existing.get(desired["side"])
            if order is None:
                to_create.append(desired)
            elif order["price"] != desired["price"]:
                to_amend.append(
                    {
                        "orderID": order["orderID"],
                        "orderQty": order["cumQty"] + desired["orderQty"],
                        "price": desired["price"],
                        "side": order["side"],
                    }
                )
        if to_amend:
            self.before_amend()
            try:
                self.exchange.amend_bulk_orders(to_amend)
            except requests.exceptions.HTTPError as error:
                message = error.response.json()["error"]["message"]
                if message != "Invalid ordStatus":
                    raise
                self.late += 1
                return
        if to_create:
            self.exchange.create_bulk_orders(to_create)

    def before_amend(self) -> None:
        """A moment in which an order may end."""


@pytest.mark.parametrize("profile", ["classic", "last"])
def test_a_late_amend_reads_invalid_ordstatus_whatever_the_server_says(
    market: StillMarket, world: World, profile: str
) -> None:
    class Unlucky(OwnConverge):
        def before_amend(self) -> None:
            ours = [o.order_id for o in world.open_orders() if o.side == "Buy"]
            stream = self.exchange.desk.connector.stream
            stream._sink, told = None, stream._sink  # the news is still on its way
            world.engine.cancel(world.account.number, ours[:1])
            stream._sink = told

    bot = world.bot(Unlucky, profile=profile)
    world.run(bot, 2)
    market.show(60_100.0, 60_100.5)
    world.run(bot, 2)
    assert bot.late >= 1


def test_an_own_converge_keeps_two_orders_and_ends_clean(market: StillMarket, world: World) -> None:
    bot = world.bot(OwnConverge)
    for step in range(4):
        market.show(60_000.0 + 10 * step, 60_000.5 + 10 * step)
        world.run(bot, 2)
        assert [row[:2] for row in resting(world)] == [("Buy", 100), ("Sell", 100)]
    bot.shut_down()
    assert resting(world) == []


# -- overridden run_loop and reset ------------------------------------------------------


class OwnLoop(OrderManager):
    """Does everything in a loop of its own, three times."""

    def reset(self) -> None:
        self.exchange.cancel_all_orders()
        self.resets = getattr(self, "resets", 0) + 1

    def run_loop(self) -> None:
        for _ in range(3):
            self.check_file_change()
            self.clock.sleep(self.settings.LOOP_INTERVAL)
            if not self.check_connection():
                self.restart()
            self.sanity_check()
            self.print_status()
            self.place_orders()
        self.seen = len(self.exchange.get_orders())


def test_an_own_loop_starts_and_ends_like_ours(world: World) -> None:
    bot = world.bot(OwnLoop)
    world.engine.place(
        world.account.number,
        {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000, "clOrdID": "mm_bitmex_left"},
    )
    bot.run_loop()
    assert (bot.resets, bot.seen) == (1, 12)
    assert resting(world) == []


def test_an_exception_in_an_own_loop_cleans_up_and_exits_with_1(world: World) -> None:
    class Breaking(OwnLoop):
        def print_status(self) -> None:
            super().print_status()
            if len(self.exchange.get_orders()) == 12:
                raise ValueError("not today")

    with pytest.raises(SystemExit) as left:
        world.bot(Breaking).run_loop()
    assert left.value.code == 1
    assert resting(world) == []


# -- a sleep inside place_orders --------------------------------------------------------


class Sleepy(OrderManager):
    """Waits in the middle of a round, then looks again."""

    def place_orders(self) -> None:
        before = self.exchange.get_ticker()["buy"]
        self.clock.sleep(2)
        self.seen = (before, self.exchange.get_ticker()["buy"])
        self.orders_seen = len(self.exchange.get_orders())
        super().place_orders()


def test_after_a_sleep_the_market_is_read_anew(market: StillMarket, world: World) -> None:
    bot = world.bot(Sleepy)
    bot.start()
    market.show(60_050.0, 60_050.5)
    bot.run_once()
    assert bot.seen == (60_000.0, 60_050.0)
    assert bot.orders_seen > 0
    world.run(bot, 3)
    assert len(resting(world)) == 12


# -- settings of one's own --------------------------------------------------------------


def test_own_names_in_settings_pass_through(tmp_path: Path, world: World) -> None:
    (tmp_path / "settings.py").write_text(
        "MY_SPREAD = 25\nbuy_more_below = 40000\nTargets = {'XBTUSD': 3}\nORDER_PAIRS = 2\n"
    )
    given = load("XBTUSD", environ={}, cwd=tmp_path)
    bot = world.bot(**given)
    assert bot.settings.MY_SPREAD == 25
    assert bot.settings["buy_more_below"] == bot.settings.buy_more_below == 40000
    assert bot.settings.get("Targets") == {"XBTUSD": 3}
    assert bot.settings.never_set is None
    bot.settings.MY_SPREAD = 30
    assert bot.settings["MY_SPREAD"] == 30


# -- other threads ----------------------------------------------------------------------

TIMER_STRATEGY = """\
import threading
import time

from market_maker.market_maker import OrderManager
from market_maker.settings import settings


class Timed(OrderManager):
    ticks = 0

    def place_orders(self):
        if self.ticks == 0:
            self.tick()
        time.sleep(0.05)
        ticker = self.get_ticker()
        self.converge_orders(
            [{"price": ticker["buy"] - settings.my_offset, "orderQty": 100, "side": "Buy"}], []
        )

    def tick(self):
        self.ticks += 1
        bid = self.exchange.get_ticker()["buy"]
        row = self.exchange.bitmex.buy(100, bid - 5000)
        assert row["orderID"] in {o["orderID"] for o in self.exchange.get_orders()}
        self.exchange.cancel_order(row)
        assert row["orderID"] not in {o["orderID"] for o in self.exchange.get_orders()}
        print("tick", self.ticks, flush=True)
        timer = threading.Timer(0.1, self.tick)
        timer.daemon = True
        timer.start()


if __name__ == "__main__":
    Timed().run_loop()
"""


def test_a_timer_may_read_and_trade_beside_the_loop(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("my_offset = 100\nMIN_REQUOTE_INTERVAL = 0.1\n")
    (tmp_path / "timed.py").write_text(TIMER_STRATEGY)
    exchange = Exchange(tmp_path)
    try:
        with running(["timed.py", "XBTUSD"], tmp_path, exchange.env(tmp_path)) as bot:
            bot.wait_for("tick 5")
            bot.signal(15)
            assert bot.end() == 0, bot.text
        assert "Exception in thread" not in bot.text
        assert exchange.open_orders() == []
    finally:
        exchange.close()


def test_an_exchange_interface_is_usable_alone_and_from_several_threads(world: World) -> None:
    exchange = world.bot().exchange
    failed: list[BaseException] = []

    def trade(number: int) -> None:
        try:
            for i in range(2):  # more in one second are for the rate budget to refuse
                price = 59_000.0 - 10 * number - i / 2
                (row,) = exchange.create_bulk_orders(
                    [{"price": price, "orderQty": 100, "side": "Buy"}]
                )
                assert row["orderID"] in {o["orderID"] for o in exchange.get_orders()}
                exchange.get_ticker()
                exchange.cancel_order(row)
        except Exception as error:  # noqa: BLE001 - told to the main thread
            failed.append(error)

    threads = [threading.Thread(target=trade, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert exchange.get_orders() == []
    assert resting(world) == []


def test_a_strategy_module_can_be_imported_without_starting_anything(tmp_path: Path) -> None:
    (tmp_path / "timed.py").write_text(TIMER_STRATEGY)
    started = time.monotonic()
    code = "import signal, timed; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    with running(["-c", code], tmp_path, environment(PYTHONPATH=f"{ROOT}:{tmp_path}")) as script:
        assert script.end() == 0
    assert script.lines == ["True"]
    assert time.monotonic() - started < 10
