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
from market_maker.exchanges import desk
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
from market_maker.simulator.plain_tongue import faulty_plain
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
    is_spot: bool = False


VENUES = {
    "okx": Venue("okx-demo", "XBTUSD", INSTRUMENTS, faulty_okx),
    "binance": Venue("binance-testnet", "BTCUSDT", (BTCUSDT,), faulty_binance, True),
    "hitbtc": Venue("hitbtc-demo", "BTCUSDT", (XBT_USDT,), faulty_hitbtc, True),
    "plain": Venue("plain", "XBTUSD", INSTRUMENTS[:1], faulty_plain),
    "ccxt:okx": Venue("ccxt:okx", "BTC-USDT", INSTRUMENTS[-1:], faulty_okx, True),
    "ccxt:binance": Venue("ccxt:binance", "BTCUSDT", (BTCUSDT,), faulty_binance, True),
    "ccxt:hitbtc": Venue("ccxt:hitbtc", "BTCUSDT", (XBT_USDT,), faulty_hitbtc, True),
    "bitmex": Venue(
        "bitmex", "XBTUSD", INSTRUMENTS[:1], lambda engine, f: faulty_bitmex(engine, "last", f)
    ),
}
SPOT = {"ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001, "SPOT_BASE_INVENTORY": 1}
GRID = {"GRID_SPACE": 0.7123456789}
OFF_TICK = "GRID_SPACE = 0.7123456789 is no multiple of the tick"
NOBODY = "No answer of the exchange: connection refused. Is BASE_URL right"
NOT_HERE = "Is BASE_URL right, and does the exchange serve you?"
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


CASES += [
    ("plain", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: The key is not known"),
    ("plain", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: The signature is wrong"),
    ("plain", "right", {}, {}, "the exchange refuses our orders: The key may not trade"),
    ("plain", "symbol", {}, {"SYMBOL": "XBTUSX"}, "the exchange has no XBTUSX"),
    ("plain", "closed", {}, {}, "XBTUSD is closed at the exchange"),
    ("plain", "grid", {}, GRID, OFF_TICK),
    ("ccxt:okx", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: 401 Invalid OK-ACCESS-KEY (50111)"),
    ("ccxt:okx", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: 401 Invalid Sign (50113)"),
    ("ccxt:okx", "passphrase", {PASSPHRASE: "wrong"}, {}, "OK-ACCESS-PASSPHRASE incorrect"),
    ("ccxt:okx", "right", {}, {}, "This API key doesn't have permission"),
    ("ccxt:binance", "key", {KEY: "wrong"}, {}, f"{OF_KEY}: 401 Invalid API-key"),
    ("ccxt:binance", "secret", {SECRET: "wrong"}, {}, f"{OF_KEY}: 401 Signature for this request"),
    ("ccxt:binance", "right", {}, {}, "permissions for action"),
    ("ccxt:hitbtc", "key", {KEY: "wrong"}, {}, OF_KEY),
    ("ccxt:hitbtc", "secret", {SECRET: "wrong"}, {}, OF_KEY),
    ("ccxt:hitbtc", "right", {}, {}, "Action is forbidden for this API key"),
]
for _name in ("ccxt:okx", "ccxt:binance", "ccxt:hitbtc"):
    CASES += [
        (_name, "symbol", {}, {"SYMBOL": "NOSUCHCOIN"}, "the exchange has no NOSUCHCOIN"),
        (_name, "closed", {}, {}, "is closed at the exchange"),
        (_name, "grid", {}, GRID, OFF_TICK),
    ]
for _name in VENUES:
    CASES += [(_name, "region", {}, {}, NOT_HERE), (_name, "gone", {}, {}, NOBODY)]


def start(place: Venue, folder: Path, case: str, wrong: dict[int, str], changes: Any) -> None:
    """Start a bot at a served exchange where *case* is the matter, and run its first rounds."""
    if place.exchange.startswith("ccxt"):
        pytest.importorskip("ccxt", reason="the extra 'ccxt' is not installed")
    clock = Clock()
    engine = Engine(clock, list(place.instruments), seed=1, market=SyntheticMarket(seed=1))
    rights = read_permissions("read" if case == "right" else "order")
    account, faults = engine.open_account(100_000_000, rights), Faults(engine)
    server = serve(place.tongue(engine, faults), clock=clock)
    keys = {**server.hub.tongue.keys(account)}
    if case == "region":  # what serves there speaks of other things
        server.close()
        other = faulty_okx if place.exchange == "bitmex" else VENUES["bitmex"].tongue
        server = serve(other(engine, faults), clock=clock)
    if case == "gone":
        server.close()
    if case == "closed":
        faults.add("closing")
    (folder / "settings.py").write_text("MAX_LOSS, MAX_POSITION = 1_000, 10_000\n")  # one's own
    settings = load(place.symbol, environ={}, cwd=str(folder))
    settings.update(EXCHANGE=place.exchange, BASE_URL=server.base_url, SYMBOL=place.symbol)
    settings.update(STATE_DIR=str(folder), WATCHED_FILES=[], DEADMAN_TIMEOUT=60, LIVE=True)
    settings.update(SPOT if place.is_spot else {})
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
    opened = venue.open_desk(settings, settings.SYMBOL, clock, random.Random(1))
    try:
        interface = ExchangeInterface(False, desk=opened, settings=settings, clock=clock)
        bot = strategy(interface, settings=settings, clock=clock)
        bot.start()
        for _ in range(20):
            bot.run_once()
            bot.wait_for_change()
    finally:
        opened.close()


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "_CONNECT_TIMEOUT_S", 1.0)
    with pytest.raises(StopTrading) as told:
        start(VENUES[name], tmp_path, case, wrong, changes)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 2
    loud = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert loud == [], "the line that ends the run is the only one"
