"""The default bot through ccxt's own classes, over real sockets, on the exchanges we can play."""

import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from market_maker import venue
from market_maker.clock import Clock
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges.ccxt_quirks import QUIRKS, turned
from market_maker.exchanges.ccxt_rest import new_exchange
from market_maker.market_maker import OrderManager
from market_maker.settings import load
from market_maker.simulator.binance_tongue import faulty_binance
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.exchange import Engine
from market_maker.simulator.hitbtc_tongue import faulty_hitbtc
from market_maker.simulator.instruments import XBT_USDT, Instrument
from market_maker.simulator.listener import serve
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.utils.errors import AuthenticationError, StopTrading

pytest.importorskip("ccxt", reason="the extra 'ccxt' is not installed")

PATIENCE_S = 25.0
SPOT: dict[str, tuple[Callable[[Engine], Any], Instrument, str]] = {
    "okx": (faulty_okx, INSTRUMENTS[-1], "BTC-USDT"),
    "binance": (faulty_binance, BTCUSDT, "BTCUSDT"),
    "hitbtc": (faulty_hitbtc, XBT_USDT, "BTCUSDT"),
}


class Place(NamedTuple):
    """A served engine on the real clock, and what points a bot at it."""

    engine: Engine
    clock: Clock
    settings: Any
    lock: Any  # the server's, of the engine
    close: Callable[[], None]

    @classmethod
    def open(cls, name: str, folder: Path, **changes: Any) -> "Place":
        tongue, instrument, symbol = SPOT[name]
        clock = Clock()
        market = SyntheticMarket(seed=1, flow=PRESETS["busy"])
        engine = Engine(clock, [instrument], seed=1, market=market)
        account = engine.open_account()
        server = serve(tongue(engine), clock=clock)
        keys = server.hub.tongue.keys(account)
        (folder / "settings.py").write_text("MAX_LOSS, MAX_POSITION = 1_000, 1\n")  # one's own
        settings = load(symbol, environ={}, cwd=str(folder))
        settings.update(
            {
                "EXCHANGE": f"ccxt:{name}", "BASE_URL": server.base_url, "SYMBOL": symbol,
                "CCXT_API_KEY": keys["key"], "CCXT_API_SECRET": keys["secret"],
                "CCXT_API_PASSPHRASE": keys.get("passphrase"), "LIVE": True,
                "MIN_POSITION": -1, "SPOT_BASE_INVENTORY": 1,
                "ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001, "ORDER_PAIRS": 2,
                "MIN_SPREAD": 0.0001, "POLL_INTERVAL": 0.5, "STATE_DIR": str(folder),
                "WATCHED_FILES": [], **changes,
            }
        )  # fmt: skip
        return cls(engine, clock, settings, server.hub.lock, server.close)

    def bot(self) -> OrderManager:
        desk = venue.open_desk(self.settings, self.settings.SYMBOL, self.clock, random.Random(1))
        interface = ExchangeInterface(False, desk=desk, settings=self.settings, clock=self.clock)
        return OrderManager(interface, settings=self.settings, clock=self.clock)

    def take(self) -> None:
        """Another account sells, then buys, through several levels."""
        other = (*self.engine.accounts(), None)[1] or self.engine.open_account()
        for side in ("Sell", "Buy"):
            order = {"symbol": self.engine.symbols()[0], "side": side, "orderQty": 20_000}
            with self.lock:
                self.engine.place(other.number, {**order, "ordType": "Market"})

    def balances(self) -> tuple[int, int]:
        number = self.engine.accounts()[0].number
        btc, usdt = (self.engine.margin_row(number, c)["walletBalance"] for c in ("XBt", "USDt"))
        return btc, usdt


@pytest.mark.parametrize("name", SPOT)
def test_it_trades_and_books_every_fill(name: str, tmp_path: Path) -> None:
    place = Place.open(name, tmp_path)
    bot = place.bot()
    try:
        bot.start()
        number, end_s = place.engine.accounts()[0].number, time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s and len(fills(place.engine, number)) < 2:
            bot.run_once()
            place.take()
            bot.wait_for_change()
        bot.exchange.cancel_all_orders()
        for _ in range(6):  # what was filled last is told by a later answer
            place.clock.sleep(0.5)
            bot.exchange.desk.state.drain()
        bot.shut_down()
        assert bot.exit_code == 0
        assert not [o for o in place.engine.orders(number) if o.leaves_qty > 0]
        theirs = fills(place.engine, number)
        assert len(theirs) >= 2
    finally:
        place.close()
    (path,) = tmp_path.glob("ccxt-*.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = [json.loads(wire) for (wire,) in db.execute("SELECT wire FROM fills")]
    signed = sum(r["lastQty"] if r["side"] == "Buy" else -r["lastQty"] for r in rows)
    assert round(signed * 10**6) == sum(q for _, q in theirs)
    position = bot.exchange.get_position()["currentQty"]
    assert round(position * 10**8) == place.balances()[0] - 10**8


def fills(engine: Engine, number: int) -> list[tuple[str, int]]:
    return [
        (e.fill.exec_id, e.fill.qty if e.order.side == "Buy" else -e.fill.qty)
        for e in engine.executions(number)
        if e.fill is not None
    ]


@pytest.mark.parametrize("name", SPOT)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CCXT_API_SECRET": "wrong"}, "the exchange refuses the key"),
        ({"SYMBOL": "NOSUCHCOIN"}, "the exchange has no NOSUCHCOIN"),
    ],
)
def test_what_cannot_trade_is_told_in_a_line(
    name: str, changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    place = Place.open(name, tmp_path, **changes)
    try:
        with pytest.raises((AuthenticationError, StopTrading), match=words) as told:
            place.bot().start()
        assert "\n" not in str(told.value)
    finally:
        place.close()


@pytest.mark.parametrize("name", QUIRKS)
def test_every_class_can_be_turned_to_another_address(name: str) -> None:
    exchange = new_exchange(name, "k", "s", "p", 7.0, "http://127.0.0.1:9/api")
    found = json.dumps(exchange.urls["api"])
    assert "https" not in found
    assert "http://127.0.0.1:9" in found


def test_an_address_keeps_its_path_and_a_host_alone_is_turned_too() -> None:
    urls = {"api": {"spot": "https://{hostname}/v1", "n": None}, "hostnames": {"spot": "a.pro"}}
    assert turned(urls, "http://here:1/x") == {
        "api": {"spot": "http://here:1/v1", "n": None},
        "hostnames": {"spot": "here:1"},
    }
