"""The synthetic markets beside recorded ones: prints the table of docs/markets.md.

Run: python benchmarks/market_statistics.py [FOLDER], about a minute. FOLDER holds the recordings
that the table names; those that are not there are left out.
"""

import csv
import gzip
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import log, sqrt
from pathlib import Path

from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.simulator.market.statistics import Statistics, measure
from market_maker.simulator.market.synthetic import SyntheticMarket

NONE = "-"
PRESET_S = 3600.0
SEED = 1
BOOKS_S = 712.0  # 18:25:11 to 18:37:03, as far as the trades go
POLLS = "bitmex_XBTUSD_XBTM19_bidask_1s_2019-05-28T18_2019-05-29T18.csv.gz"
BINS = "bitmex_XBTUSD_1m_bins_2020-03.csv.gz"
DAY_S = 86_400.0
COLUMNS = (
    "market", "spread", "one tick", "touch", "level 2", "3", "5", "10",
    "trades/s", "median", "mean", "1 s", "1 min",
)  # fmt: skip


def main(folder: Path | None) -> None:
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" + "|---:" * (len(COLUMNS) - 1) + "|")
    for row in rows(folder):
        print("| " + " | ".join(row) + " |", flush=True)


def rows(folder: Path | None) -> Iterator[list[str]]:
    for name, flow in PRESETS.items():
        figures = measure(SyntheticMarket(SEED, flow), XBTUSD, PRESET_S)
        yield cells(f"`{name}`", figures)
    if folder is None:
        return
    for symbol in ("XBTUSD", "ETHUSD"):
        files = [
            folder / f"bitmex_{symbol}_{kind}_2020-03-10.csv.gz" for kind in ("book10", "trades")
        ]
        if all(file.exists() for file in files):
            market = RecordedMarket(files, symbol)
            yield cells(f"{symbol} 2020-03-10", measure(market, market.instrument, BOOKS_S))
    if (folder / POLLS).exists():
        market = RecordedMarket(folder / POLLS)
        figures = measure(market, market.instrument, DAY_S)
        yield cells("XBTUSD 2019-05-28, polled", figures._replace(depth={}, trades_per_s=None))
    if (folder / BINS).exists():
        for day in ("2020-03-01", "2020-03-12", "2020-03-12T10", "2020-03-13T02"):
            yield bins(folder / BINS, day)


def cells(name: str, figures: Statistics) -> list[str]:
    depth = [number(figures.depth.get(level)) for level in (1, 2, 3, 5, 10)]
    share = figures.one_tick_share
    return [
        name,
        number(figures.spread_ticks, 2),
        NONE if share is None else f"{share:.0%}",
        *depth,
        number(figures.trades_per_s, 2),
        number(figures.trade_size_median),
        number(figures.trade_size_mean),
        number(figures.volatility_1s_bps, 2),
        number(figures.volatility_1m_bps, 1),
    ]


def number(value: float | None, decimals: int = 0) -> str:
    return NONE if value is None else f"{value:,.{decimals}f}"


def bins(path: Path, start: str) -> list[str]:
    """What one-minute bins can tell of a day or an hour."""
    with gzip.open(path, "rt") as file:
        days = [row for row in csv.DictReader(file) if row["timestamp"].startswith(start)]
    closes = [float(row["close"]) for row in days]
    changes = [log(b / a) for a, b in pairwise(closes)]
    minute_bps = 1e4 * sqrt(sum(change * change for change in changes) / len(changes))
    trades = sum(int(row["trades"]) for row in days)
    size = sum(int(row["volume"]) for row in days) / trades
    name = f"XBTUSD {start}{':00, an hour' if 'T' in start else ''}, bins"
    unknown = [NONE] * 7
    rate = number(trades / (60 * len(days)), 2)
    return [name, *unknown, rate, NONE, number(size), NONE, number(minute_bps, 1)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
