"""`marketmaker report`: what strategies earn on the built-in exchange, and from what."""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from market_maker.model.coins import coin_of
from market_maker.model.ticks import plain
from market_maker.report.figures import HORIZONS_S
from market_maker.report.run import Run, trade
from market_maker.settings import Settings, check
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.strategy_loader import available
from market_maker.utils.errors import SettingsError

ALL = "all"
FAILED = 1
_WIDTH = 80
_MONEY = ("spread", "inventory", "fees", "funding", "total")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be asked for."""
    add = parser.add_argument
    add("symbol", nargs="?")
    add("--strategy", nargs="+", metavar="NAME",
        help="in place of STRATEGY; 'all' are those that come with the program")  # fmt: skip
    add("--market", nargs="+", metavar="NAME", choices=[*PRESETS, ALL],
        help=f"in place of SIM_MARKET: {', '.join(PRESETS)} or all")  # fmt: skip
    add("--data", nargs="+", metavar="PATH", help="recorded market data in place of SIM_DATA")
    add("--minutes", type=_minutes, help="of each run (30; recorded data: to its end)")
    add("--seed", type=int, default=1, metavar="N", help="of the made-up market (1)")
    add("--json", action="store_true", help="a list of all runs in place of the tables")


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError(f"a number above 0, at most 100000, was '{text}'")
    return value


class _Market(NamedTuple):
    """One of the markets to trade on: a preset, or recorded data."""

    name: str
    data: Any = None


def report(settings: Settings, args: argparse.Namespace) -> int:
    """Trade with each strategy on each market and print the figures; 0 unless a run failed."""
    settings.update(WATCHED_FILES=[], DRY_RUN=False, EXCHANGE="simulator", BASE_URL=None)
    strategies = _strategies(settings, args)
    done: list[dict[str, Any]] = []
    for market in _markets(settings, args):
        runs: list[tuple[str, Run]] = []
        for strategy in strategies:
            run = _trade(settings, args, market, strategy)
            runs.append((strategy, run))
            done.append(_row(market.name, strategy, args.seed, run))
        if not args.json:
            print("\n".join(_tables(market, args.seed, runs)), end="\n\n", flush=True)
    if args.json:
        print(json.dumps(done, indent=1))
    return FAILED if any(row["ended"] for row in done) else 0


def _strategies(settings: Settings, args: argparse.Namespace) -> list[str]:
    """Their names; of all those that come with the program, the ones that the settings suffice for.

    Raises SettingsError.
    """
    names = list(args.strategy or [settings.STRATEGY])
    is_all = ALL in names
    names = list(available()) if is_all else names
    usable = []
    for name in names:
        try:
            check(_with_strategy(settings, args, name))
            usable.append(name)
        except SettingsError as fault:
            if not is_all:
                raise
            print(f"Left out: {fault}", file=sys.stderr)
    return usable


def _with_strategy(settings: Settings, args: argparse.Namespace, name: str) -> Settings:
    """Settings of their own for a run."""
    where = "command line" if args.strategy else settings.where("STRATEGY")
    return settings.changed(where, STRATEGY=name)


def _markets(settings: Settings, args: argparse.Namespace) -> list[_Market]:
    data = args.data or (None if args.market else settings.SIM_DATA)
    if data:
        paths = [data] if isinstance(data, str | Path) else data
        return [_Market(", ".join(Path(path).name for path in paths), data)]
    names = args.market or [settings.SIM_MARKET]
    return [_Market(name) for name in (PRESETS if ALL in names else names)]


def _trade(settings: Settings, args: argparse.Namespace, market: _Market, strategy: str) -> Run:
    mine = _with_strategy(settings, args, strategy)
    recorded = None
    minutes = args.minutes or 30.0
    if market.data:
        recorded = RecordedMarket(market.data, str(settings.SYMBOL), speed=settings.SIM_SPEED)
        minutes = args.minutes or 100_000.0
    else:
        mine.update(SIM_MARKET=market.name)
    say = partial(_say_progress, f"{market.name[:40]} {strategy}")
    try:
        return trade(mine, minutes * 60, args.seed, recorded, say)
    finally:
        _say_progress("", None)


def _say_progress(what: str, part: float | None) -> None:
    """Show what is under way, on a terminal."""
    if sys.stderr.isatty():
        text = "" if part is None else f"{what} {part:.0%}"
        sys.stderr.write(f"\r{text[: _WIDTH - 1]:<{_WIDTH - 1}}\r")
        sys.stderr.flush()


# -- tables -----------------------------------------------------------------------------


def _tables(market: _Market, seed: int, runs: Sequence[tuple[str, Run]]) -> list[str]:
    """Where the money comes from, then what was traded and how it went on, 80 columns wide."""
    longest_s = max(run.seconds for _, run in runs)
    coin, decimals = coin_of(runs[0][1].currency)
    of = "" if market.data else f", seed {seed}"
    of = ", touch-fill" if runs[0][1].is_touch_fill else of
    title = f", {longest_s / 60:.1f} minutes{of}; {coin}, markouts in bps"
    lines = [market.name[: _WIDTH - len(title)] + title]
    lines.append(f"{'strategy':<12}{'fills':>6}" + "".join(f"{name:>12}" for name in _MONEY))
    for strategy, run in runs:
        amounts = (getattr(run.figures, name) / 10**decimals for name in _MONEY)
        money = "".join(f"{amount:>+12.{decimals}f}" for amount in amounts)
        lines.append(f"{Path(strategy).name[:11]:<12}{run.figures.fills:>6}{money}")
    heads = "".join(f"{f'+{horizon:g} s':>8}" for horizon in HORIZONS_S)
    lines.append(f"{'':<12}{'USD':>10}{'traded':>12}{'largest':>10}{'at end':>10}{heads}")
    for strategy, run in runs:
        lines.append(_second_line(strategy, run, decimals))
    for strategy, run in runs:
        if run.ended:
            lines.append(f"{Path(strategy).name}: ended early: {run.ended}"[:_WIDTH])
        if not run.is_exact:
            away = run.figures.total - run.balance
            lines.append(f"{Path(strategy).name}: {away:+d} minor units off the exchange's balance")
    return lines


def _second_line(strategy: str, run: Run, decimals: int) -> str:
    figures = run.figures
    usd = "-" if run.usd is None else f"{figures.total / 10**decimals * run.usd:+.2f}"
    sizes = (plain(figures.traded), plain(figures.largest), plain(figures.position))
    markouts = "".join(
        f"{'-' if bps is None else f'{bps:+.2f}':>8}" for bps in figures.markouts_bps
    )
    name = Path(strategy).name[:11]
    return f"{name:<12}{usd:>10}{sizes[0]:>12}{sizes[1]:>10}{sizes[2]:>10}{markouts}"


def _row(market: str, strategy: str, seed: int, run: Run) -> dict[str, Any]:
    figures = run.figures
    return {
        "market": market,
        "strategy": strategy,
        "seed": seed,
        "seconds": round(run.seconds, 3),
        "currency": run.currency,
        **{name: value for name, value in figures._asdict().items() if name != "markouts_bps"},
        "total": figures.total,
        "balance": run.balance,
        "usd_per_coin": run.usd,
        "markout_bps": dict(zip(map(str, HORIZONS_S), figures.markouts_bps, strict=True)),
        "touch_fill": run.is_touch_fill,
        "ended": run.ended,
    }
