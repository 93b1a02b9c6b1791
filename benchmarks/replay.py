"""How fast recordings play: items read and market events made in a second of processor time.

Run: python benchmarks/replay.py FOLDER. The first figure is reading alone, the second the whole
engine with a listener; then how many times faster than life that is.
"""

import sys
import time
from pathlib import Path

from market_maker.clock import ManualClock
from market_maker.simulator.exchange import Engine
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.simulator.market.recordings import read_recording

CASES = (  # symbol, files, seconds to play
    ("XBTUSD", ("bitmex_XBTUSD_book10_2020-03-10", "bitmex_XBTUSD_trades_2020-03-10"), 1112.0),
    ("ETHUSD", ("bitmex_ETHUSD_book10_2020-03-10", "bitmex_ETHUSD_trades_2020-03-10"), 1112.0),
    ("XBTUSD", ("bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log",), 30.0),
    ("XBTUSD", ("bitmex_XBTUSD_XBTM19_bidask_1s_2019-05-28T18_2019-05-29T18",), 86_400.0),
    ("XBTUSD", ("bitmex_XBTUSD_1m_bins_2020-03",), 86_400.0 * 31),
    ("BTCUSD_PERP", ("binance_coinm_BTCUSD_PERP_raw_2024-08-08",), 344.0),
)


def main(folder: Path) -> None:
    print(f"{'':44}{'items':>9}{'items/s':>11}{'events/s':>11}{'x life':>9}")
    for symbol, names, seconds in CASES:
        found = [file for name in names for file in sorted(folder.glob(f"{name}.*"))]
        if len(found) != len(names):
            continue
        start_s = time.process_time()
        items = sum(1 for _ in read_recording(found, symbol).items)
        reading_s = time.process_time() - start_s
        events, playing_s = play(found, symbol, seconds)
        print(
            f"{names[0][:43]:44}{items:9,}{items / reading_s:11,.0f}"
            f"{events / playing_s:11,.0f}{seconds / playing_s:9,.0f}",
            flush=True,
        )


def play(files: list[Path], symbol: str, seconds: float) -> tuple[int, float]:
    """How many events the recording makes, and in which processor time."""
    start_s = time.process_time()
    market = RecordedMarket(files, symbol)
    clock = ManualClock(1_600_000_000.0)
    engine = Engine(clock, [market.instrument], market=market, seed=1)
    clock.attach(engine)
    events = 0

    def count(_event: object) -> None:
        nonlocal events
        events += 1

    engine.listeners.append(count)
    clock.sleep(seconds)
    return events, time.process_time() - start_s


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Run: python benchmarks/replay.py FOLDER")
    main(Path(sys.argv[1]))
