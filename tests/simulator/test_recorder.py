"""What was recorded plays again as it was."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.events import InstrumentEvent, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, ETHUSD, XBTUSD, Instrument
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.simulator.market.recorder import Recorder
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.utils.errors import SettingsError

START_S = 1_600_000_000.0
ROOT = Path(__file__).parents[2]


class Run:
    """An exchange whose public events are noted, by their distance from the start."""

    def __init__(self, market: SyntheticMarket | RecordedMarket, *specs: Instrument) -> None:
        self.clock = ManualClock(START_S)
        self.engine = Engine(self.clock, specs, market=market, seed=1)
        self.clock.attach(self.engine)
        self.events: list[object] = []
        self.engine.listeners.append(self.events.append)

    def quotes(self, symbol: str) -> list[tuple[float, ...]]:
        return [
            (e.time_s - START_S, *e[2:])
            for e in self.events
            if isinstance(e, QuoteEvent) and e.symbol == symbol
        ]

    def trades(self, symbol: str) -> list[tuple[float | str, ...]]:
        return [
            (e.time_s - START_S, e.side, e.qty, e.price_ticks)
            for e in self.events
            if isinstance(e, TradeEvent) and e.symbol == symbol
        ]

    def indices(self, symbol: str) -> list[object]:
        found = []
        for e in self.events:
            if isinstance(e, InstrumentEvent) and e.symbol == symbol:
                found.append(e.changes.get("indicativeSettlePrice"))
        return [price for price in found if price is not None]


@pytest.mark.parametrize("name", ["practice", "busy", "crash"])
@pytest.mark.parametrize("symbol", ["XBTUSD", "ETHUSD"])
def test_a_recorded_run_plays_again_with_the_same_quotes_and_trades(
    symbol: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.log"
    run = Run(SyntheticMarket(3, PRESETS[name]), XBTUSD, ETHUSD)
    recorder = Recorder(path, run.engine)
    run.clock.sleep(60)
    recorder.close()
    run.clock.sleep(60)  # no longer recorded

    market = RecordedMarket(path, symbol)
    again = Run(market, market.instrument)
    again.clock.sleep(60)
    shown = [quote for quote in run.quotes(symbol) if quote[0] <= 60]
    traded = [trade for trade in run.trades(symbol) if float(trade[0]) <= 60]
    print(f"{symbol} {name}: {len(shown)} quotes, {len(traded)} trades")
    assert len(shown) > 50
    assert len(traded) > 10
    for was, plays in ((shown, again.quotes(symbol)), (traded, again.trades(symbol))):
        assert [row[1:] for row in plays] == [row[1:] for row in was]
        assert [row[0] for row in plays] == pytest.approx([row[0] for row in was], abs=2e-6)
    assert set(again.indices(symbol)) <= set(run.indices(symbol))
    assert len(again.indices(symbol)) > 30
    again.clock.sleep(60)
    assert market.next_time() is None


def test_the_instrument_comes_with_the_recording(tmp_path: Path) -> None:
    spec = replace(XBTUSD, tick_size=1e-8, start_price=0.00001814)
    run = Run(SyntheticMarket(3), spec)
    recorder = Recorder(tmp_path / "run.log", run.engine)
    run.clock.sleep(5)
    recorder.close()
    played = RecordedMarket(tmp_path / "run.log", "XBTUSD").instrument
    assert (played.tick_size, played.lot_size, played.multiplier) == (1e-8, 100, spec.multiplier)
    assert not re.search(r'rice":[0-9.]+e', (tmp_path / "run.log").read_text())


@pytest.mark.parametrize("spec", DEFAULT_INSTRUMENTS, ids=lambda spec: spec.symbol)
def test_a_listed_instrument_plays_as_the_very_same_one(spec: Instrument, tmp_path: Path) -> None:
    run = Run(SyntheticMarket(3), spec)
    Recorder(tmp_path / "run.log", run.engine).close()
    played = RecordedMarket(tmp_path / "run.log", spec.symbol).instrument
    assert played == replace(spec, start_price=played.start_price)


def test_customers_orders_are_recorded_as_the_public_sees_them(tmp_path: Path) -> None:
    run = Run(SyntheticMarket(3), XBTUSD)
    recorder = Recorder(tmp_path / "run.log", run.engine)
    us = run.engine.open_account(10**12).number
    run.clock.sleep(1)
    bid = run.engine.grid("XBTUSD").price(run.engine.quote("XBTUSD").bid_ticks or 0)
    run.engine.place(us, {"symbol": "XBTUSD", "orderQty": 77_700, "price": bid - 50})
    run.clock.sleep(1)
    recorder.close()
    market = RecordedMarket(tmp_path / "run.log", "XBTUSD")
    again = Run(market, market.instrument)
    again.clock.sleep(2)
    assert 77_700 in {level.size for level in again.engine.book("XBTUSD")[0]}


KILLED = """
import os, signal, sys
from market_maker.clock import ManualClock
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.recorder import Recorder
from market_maker.simulator.market.synthetic import SyntheticMarket
clock = ManualClock(1.6e9)
engine = Engine(clock, [XBTUSD], market=SyntheticMarket(3), seed=1)
clock.attach(engine)
Recorder(sys.argv[1], engine)
clock.sleep(20)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_leaves_a_recording_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    market = RecordedMarket(path, "XBTUSD")
    again = Run(market, market.instrument)
    again.clock.sleep(30)
    assert again.quotes("XBTUSD")[-1][0] > 18
    assert again.trades("XBTUSD")


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    run = Run(SyntheticMarket(3), XBTUSD)
    with pytest.raises(SettingsError, match=r"Cannot record to .*nowhere"):
        Recorder(tmp_path / "nowhere" / "run.log", run.engine)
