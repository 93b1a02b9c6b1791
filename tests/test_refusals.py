"""What cannot trade is told in one line with exit code 2, at every venue that can tell."""

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from market_maker import venue
from market_maker._settings_venues import KEYS
from market_maker.clock import Clock
from market_maker.exchange_interface import ExchangeInterface
from market_maker.market_maker import OrderManager
from market_maker.settings import load
from market_maker.simulator.binance_tongue import faulty_binance
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.exchange import Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.hitbtc_tongue import faulty_hitbtc
from market_maker.simulator.instruments import XBT_USDT, Instrument
from market_maker.simulator.keys import read_permissions
from market_maker.simulator.listener import serve
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.strategies.grid import Grid
from market_maker.utils.errors import StopTrading

KEY, SECRET, PASSPHRASE = range(3)
OF_KEY = "the exchange refuses the key"


class Venue(NamedTuple):
    """Where a bot is pointed, and what is served there."""

    exchange: str
    symbol: str
    instruments: tuple[Instrument, ...]
    tongue: Callable[..., Any]


VENUES = {
    "okx": Venue("okx-demo", "XBTUSD", INSTRUMENTS, faulty_okx),
    "binance": Venue("binance-testnet", "BTCUSDT", (BTCUSDT,), faulty_binance),
    "hitbtc": Venue("hitbtc-demo", "BTCUSDT", (XBT_USDT,), faulty_hitbtc),
    "bitmex": Venue(
        "bitmex", "XBTUSD", INSTRUMENTS[:1], lambda engine, f: faulty_bitmex(engine, "last", f)
    ),
}
SPOT = {"ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001, "SPOT_BASE_INVENTORY": 1}
CASES = [
    ("okx", "key", {KEY: "wrong"}, {}, "Invalid OK-ACCESS-KEY (50111); a key of another region"),
    ("okx", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: Invalid Sign (50113)"),
    ("okx", "passphrase", {PASSPHRASE: "wrong"}, {}, "OK-ACCESS-PASSPHRASE incorrect"),
    ("okx", "right", {}, {}, "the key may not trade: its rights are read_only"),
    ("okx", "symbol", {}, {"SYMBOL": "BTC-USD-SWOP"}, "did you mean BTC-USD-SWAP?"),
    ("okx", "closed", {}, {}, "OKX has closed XBTUSD"),
    ("okx", "grid", {}, {"GRID_SPACE": 0.7}, "GRID_SPACE = 0.7 is no multiple of the tick 0.5"),
    ("binance", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: Invalid API-key"),
    ("binance", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: Signature for this request"),
    ("binance", "right", {}, {}, "the key may not trade: its rights are read_only"),
    ("binance", "symbol", {}, {"SYMBOL": "BTCUSDX"}, "Binance spot has no BTCUSDX"),
    ("binance", "closed", {}, {}, "Binance has closed BTCUSDT"),
    ("binance", "grid", {}, {"GRID_SPACE": 0.7}, "GRID_SPACE = 0.7 is no multiple of the tick 0.5"),
    ("hitbtc", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: 401 login refused: invalid API key"),
    ("hitbtc", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: 401 login refused: invalid signature"),
    ("hitbtc", "right", {}, {}, "Action is forbidden for this API key (1003)"),
    ("hitbtc", "symbol", {}, {"SYMBOL": "BTCUSDX"}, "HitBTC has no BTCUSDX: did you mean BTCUSDT?"),
    ("hitbtc", "closed", {}, {}, "HitBTC has closed BTCUSDT"),
    ("hitbtc", "grid", {}, {"GRID_SPACE": 0.7}, "GRID_SPACE = 0.7 is no multiple of the tick 0.5"),
    ("bitmex", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: handshake 401: Invalid API Key"),
    ("bitmex", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: handshake 401: Signature not valid"),
    ("bitmex", "right", {}, {}, f"{OF_KEY}: Access Denied"),
    (
        "bitmex",
        "symbol",
        {},
        {"SYMBOL": "XBTUSX"},
        "the exchange has no XBTUSX: did you mean XBTUSD?",
    ),
    ("bitmex", "closed", {}, {}, "XBTUSD is closed at the exchange"),
    ("bitmex", "grid", {}, {"GRID_SPACE": 0.7}, "GRID_SPACE = 0.7 is no multiple of the tick 0.5"),
]


def start(place: Venue, folder: Path, case: str, wrong: dict[int, str], changes: Any) -> None:
    """Start a bot at a served exchange where *case* is the matter, and run its first rounds."""
    clock = Clock()
    engine = Engine(clock, list(place.instruments), seed=1, market=SyntheticMarket(seed=1))
    rights = read_permissions("read" if case == "right" else "order")
    account, faults = engine.open_account(100_000_000, rights), Faults(engine)
    server = serve(place.tongue(engine, faults), clock=clock)
    keys = {**server.hub.tongue.keys(account)}
    if case == "closed":
        faults.add("closing")
    settings = load(place.symbol, environ={}, cwd=str(folder))
    settings.update(EXCHANGE=place.exchange, BASE_URL=server.base_url, SYMBOL=place.symbol)
    settings.update(STATE_DIR=str(folder), WATCHED_FILES=[], DEADMAN_TIMEOUT=60)
    settings.update(SPOT if place.exchange.startswith(("binance", "hitbtc")) else {})
    for number, name in enumerate(KEYS[place.exchange]):
        settings[name] = wrong.get(number, list(keys.values())[number])
    settings.update(changes)
    strategy = OrderManager
    if case == "grid":
        strategy = Grid
        settings.update(GRID_KIND="fullfixed")
    try:
        run(settings, strategy, clock)
    finally:
        server.close()


def run(settings: Any, strategy: type[OrderManager], clock: Clock) -> None:
    desk = venue.open_desk(settings, settings.SYMBOL, clock, random.Random(1))
    interface = ExchangeInterface(False, desk=desk, settings=settings, clock=clock)
    bot = strategy(interface, settings=settings, clock=clock)
    try:
        bot.start()
        for _ in range(20):
            bot.run_once()
            bot.wait_for_change()
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("name", "case", "wrong", "changes", "words"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_it_is_one_line_with_exit_code_2(
    name: str,
    case: str,
    wrong: dict[int, str],
    changes: dict[str, Any],
    words: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(StopTrading) as told:
        start(VENUES[name], tmp_path, case, wrong, changes)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 2
    loud = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert loud == [], "the line that ends the run is the only one"
