"""Each kind of wire fault over real sockets, in each dialect: no order doubled, lost or left."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from market_maker import venue
from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError, Status
from market_maker.exchanges.desk import Desk
from market_maker.settings import load
from market_maker.simulator.binance_tongue import faulty_binance
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.hitbtc_tongue import faulty_hitbtc
from market_maker.simulator.instruments import XBT_USDT, XBTUSD
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.simulator.plain_tongue import faulty_plain
from market_maker.utils.errors import StaleData
from tests.doubles import StillMarket

PATIENCE_S = 25.0
SPOT = {"SPOT_BASE_INVENTORY": 1, "SYMBOL": "BTCUSDT"}


class Dialect(NamedTuple):
    """A language, the bot's name for who speaks it, and a size that it takes."""

    tongue: Callable[[Engine], Any]
    exchange: str
    instrument: Any
    qty: float
    more: dict[str, Any] = {}


DIALECTS = {
    "bitmex": Dialect(lambda e: faulty_bitmex(e, "last"), "bitmex", XBTUSD, 100),
    "okx": Dialect(faulty_okx, "okx-demo", XBTUSD, 100),
    "binance": Dialect(faulty_binance, "binance-testnet", BTCUSDT, 0.001, SPOT),
    "hitbtc": Dialect(faulty_hitbtc, "hitbtc-demo", XBT_USDT, 0.001, SPOT),
    "plain": Dialect(faulty_plain, "plain", XBTUSD, 100, {"POLL_INTERVAL": 0.2}),
}
FAULTS = {
    "closed sockets": ["close"],
    "frozen sockets": ["freeze:for=1"],
    "refused connections": ["refuse:for=1", "close"],
    "answers cut off": ["drop-answer:for=1,verb=POST,lost=cut"],
    "slow answers": ["late-answer:for=1,verb=POST,seconds=1.5"],
}


class Served:
    """An exchange behind a port, and a desk that trades there."""

    def __init__(self, dialect: Dialect, folder: Path) -> None:
        self.clock = Clock()
        self.engine = Engine(self.clock, [dialect.instrument], market=StillMarket(), seed=1)
        self.account: Account = self.engine.open_account()
        self.hub = FaultyHub(dialect.tongue(self.engine), self.clock)
        self.server = self.hub.open_port()
        self.server.start()
        (folder / "settings.py").write_text("MAX_LOSS, MAX_POSITION = 1, 10_000\n")
        settings = load("XBTUSD", environ={}, cwd=str(folder))
        settings.update(
            EXCHANGE=dialect.exchange, BASE_URL=self.server.base_url, STATE_DIR=str(folder),
            WATCHED_FILES=[], TIMEOUT=1, LIVE=True, **dialect.more,
        )  # fmt: skip
        keys = self.hub.tongue.keys(self.account)
        settings.update(zip(venue.KEYS[dialect.exchange], keys.values(), strict=True))
        self.desk: Desk = venue.open_desk(
            settings, settings.SYMBOL, self.clock, random.Random(1)
        )  # fmt: skip
        self.desk.open()

    def resting(self) -> list[float]:
        with self.hub.lock:
            self.hub.advance()
            orders = [o for o in self.engine.orders(self.account.number) if o.leaves_qty]
            grid = self.engine.grid(orders[0].symbol) if orders else None
            return sorted(grid.price(o.price_ticks) for o in orders) if grid else []

    def strike(self, faults: list[str]) -> None:
        with self.hub.lock:
            self.hub.advance()
            for text in faults:
                self.hub.faults.add(text)

    def is_over(self) -> bool:
        """Whether all is known again: no fault, no doubt, every table here."""
        desk = self.desk
        desk.state.drain()
        try:
            desk.check_data(30.0)
            desk.gateway.settle_unknown()
        except (StaleData, ExchangeError):
            return False
        return not self.hub.faults.active and not list(desk.state.orders.unknown())


@contextmanager
def served(name: str, folder: Path) -> Iterator[Served]:
    place = Served(DIALECTS[name], folder)
    try:
        yield place
    finally:
        place.desk.close()
        place.server.close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", DIALECTS)
def test_both_sides_agree_after_a_wire_fault_and_nothing_is_left(
    name: str, fault: str, tmp_path: Path
) -> None:
    qty = DIALECTS[name].qty
    with served(name, tmp_path) as place:
        gateway = place.desk.gateway
        (first,) = gateway.place([{"side": "Buy", "price": 50_000.0, "orderQty": qty}])
        assert first.status is Status.OK, first.text
        place.strike(FAULTS[fault])
        gateway.place([{"side": "Buy", "price": 49_000.0, "orderQty": qty}])
        deadline_s = time.monotonic() + PATIENCE_S
        while not place.is_over():
            assert time.monotonic() < deadline_s, list(place.desk.state.orders.unknown())
            time.sleep(0.02)
        known = sorted(row["price"] for row in place.desk.state.orders.open_orders())
        assert known == place.resting()
        assert known in ([50_000.0], [49_000.0, 50_000.0])
        gateway.cancel_own()
        assert place.resting() == []
