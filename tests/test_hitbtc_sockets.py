"""A bot at the built-in exchange over real sockets, in HitBTC's language."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market_maker import venue
from market_maker.clock import Clock
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges.base import Status
from market_maker.exchanges.desk import Desk
from market_maker.market_maker import OrderManager
from market_maker.settings import Settings, load
from market_maker.simulator.dialects.hitbtc_dialect import HitbtcDialect
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.hitbtc_tongue import HitbtcTongue
from market_maker.simulator.instruments import XBT_USDT
from market_maker.simulator.listener import Server, serve
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.utils.errors import AuthenticationError, StopTrading

PATIENCE_S = 10.0


class Exchange:
    """A served engine on the real clock, with one account."""

    def __init__(self, market: Any = None) -> None:
        self.clock = Clock()
        self.engine = Engine(self.clock, [XBT_USDT], seed=1, market=market)
        self.account: Account = self.engine.open_account()
        self.server: Server = serve(HitbtcTongue(HitbtcDialect(self.engine)), clock=self.clock)

    def settings(self, folder: Path, **changes: Any) -> Settings:
        settings = load("BTCUSDT", environ={}, cwd=str(folder))
        settings.update(
            {
                "EXCHANGE": "hitbtc-demo",
                "BASE_URL": self.server.base_url,
                "HITBTC_API_KEY": self.account.key,
                "HITBTC_API_SECRET": self.account.secret,
                "SYMBOL": "BTCUSDT",
                "SPOT_BASE_INVENTORY": 1,
                "ORDER_START_SIZE": 0.001,
                "ORDER_STEP_SIZE": 0.001,
                "STATE_DIR": str(folder),
                "WATCHED_FILES": [],
                **changes,
            }
        )
        return settings

    def desk(self, folder: Path, **changes: Any) -> Desk:
        settings = self.settings(folder, **changes)
        return venue.open_desk(settings, settings.SYMBOL, self.clock, random.Random(1))

    def open_orders(self) -> list[Any]:
        with self.server.hub.lock:
            return [o for o in self.engine.orders(self.account.number) if o.leaves_qty]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.server.close()


def until(is_done: Any) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_done():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_orders_are_placed_replaced_and_cancelled(exchange: Exchange, tmp_path: Path) -> None:
    desk = exchange.desk(tmp_path)
    desk.open()
    try:
        assert type(desk.connector).__name__ == "HitbtcConnector"
        row = {"side": "Buy", "price": 50_000.0, "orderQty": 0.002}
        [placed] = desk.gateway.place([row])
        assert placed.status is Status.OK
        order_id = placed.row["orderID"]
        [replaced] = desk.gateway.amend([{"orderID": order_id, "price": 50_001.0}])
        assert (replaced.status, replaced.row["orderID"]) == (Status.OK, order_id)
        [resting] = exchange.open_orders()
        assert exchange.engine.grid(XBT_USDT.symbol).price(resting.price_ticks) == 50_001.0
        assert [o["orderID"] for o in desk.gateway.own_open_orders()] == [order_id]
        desk.gateway.cancel_own()
        assert exchange.open_orders() == []
    finally:
        desk.close()


def test_a_cut_stream_comes_back_with_what_rests(exchange: Exchange, tmp_path: Path) -> None:
    desk = exchange.desk(tmp_path)
    desk.open()
    try:
        desk.gateway.place([{"side": "Buy", "price": 50_000.0, "orderQty": 0.002}])
        connected_s = desk.state.connected_s
        exchange.server.hub.cut()

        def is_back() -> bool:
            desk.state.drain()
            return desk.state.ready and desk.state.connected_s > connected_s

        until(is_back)
        assert [o["price"] for o in desk.state.orders.open_orders()] == [50_000.0]
        desk.gateway.cancel_own()
    finally:
        desk.close()


def test_the_default_bot_quotes_and_leaves_nothing(tmp_path: Path) -> None:
    exchange = Exchange(SyntheticMarket(seed=1))
    try:
        settings = exchange.settings(tmp_path, LOOP_INTERVAL=0.2)
        desk = venue.open_desk(settings, "BTCUSDT", exchange.clock, random.Random(1))
        interface = ExchangeInterface(False, desk=desk, settings=settings, clock=exchange.clock)
        bot = OrderManager(interface, settings=settings, clock=exchange.clock)
        bot.start()
        until(lambda: (bot.run_once(), len(exchange.open_orders()) == 12)[1])
        assert bot.exchange.get_margin()["walletBalance"] > 0
        bot.shut_down()
        assert bot.exit_code == 0
        assert exchange.open_orders() == []
    finally:
        exchange.server.close()


def test_a_wrong_secret_ends_the_start_with_one_line(exchange: Exchange, tmp_path: Path) -> None:
    desk = exchange.desk(tmp_path, HITBTC_API_SECRET="wrong")
    try:
        with pytest.raises(AuthenticationError, match="the exchange refuses the key"):
            desk.open()
    finally:
        desk.close()


def test_an_unknown_symbol_ends_the_start_with_one_line(exchange: Exchange, tmp_path: Path) -> None:
    desk = exchange.desk(tmp_path, SYMBOL="XBTUSD")
    try:
        with pytest.raises(StopTrading, match="HitBTC has no XBTUSD: did you mean BTCUSDT"):
            desk.open()
    finally:
        desk.close()


def test_without_a_key_nothing_starts(exchange: Exchange, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="HITBTC_API_KEY and HITBTC_API_SECRET"):
        exchange.desk(tmp_path, HITBTC_API_KEY="")


def test_an_order_is_replaced_by_rest_too(exchange: Exchange, tmp_path: Path) -> None:
    desk = exchange.desk(tmp_path)
    desk.open()
    try:
        [placed] = desk.gateway.place([{"side": "Buy", "price": 50_000.0, "orderQty": 0.002}])
        desk.connector.requests = None  # type: ignore[attr-defined]
        change = {"orderID": placed.row["orderID"], "price": 50_001.0}
        [replaced] = desk.connector.amend([change])
        assert (replaced.status, replaced.row["price"]) == (Status.OK, 50_001.0)
        desk.gateway.cancel_own()
        assert exchange.open_orders() == []
    finally:
        desk.close()
