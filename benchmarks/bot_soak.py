"""Whether the bot's memory, threads and handles stay flat over a day of random faults.

    python benchmarks/bot_soak.py [--hours 24] [--seed 1] [--market practice]

In one process and on a manual clock: the bot with its default settings and its journal on disk,
the built-in exchange and a judge on its side, whose own memories are kept so short that they are
full in the first hour. A fault of a random kind begins every two minutes and lasts up to twenty
seconds. Prints a line each hour of the exchange, and at the end the growth after the first two
hours; exit code 1 if that is 5 MB or more, a thread or handle is left over, or the judge objects.
"""

import argparse
import gc
import logging
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker.drill.plan import ENDING, scene
from market_maker.drill.stage import Stage
from market_maker.settings import load
from market_maker.simulator import display, judge, tape
from market_maker.simulator.fault_kinds import DEED, KINDS

HOUR_S, EVERY_S, WARM_UP_H, GROWTH_MB = 3600.0, 120.0, 2, 5.0
# What changes the market or the account for good would end the run by itself in a day.
LASTING = {"tick-size", "lot-size", "liquidation"}


def resident_mb() -> float:
    """Memory of this process; 0 where the system does not tell."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


def handles() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


def keep_little() -> None:
    """Let the exchange and the judge remember less than one hour brings: the bot is measured."""
    display._TRADES_KEPT = tape._EXECUTIONS_KEPT = tape._FINISHED_KEPT = 500
    judge._REMEMBERED = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--market", default="practice")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    keep_little()
    with tempfile.TemporaryDirectory() as folder:
        return soak(options, Path(folder) / "journal.sqlite3")


def soak(options: argparse.Namespace, journal: Path) -> int:
    settings = load("XBTUSD", environ={}, cwd="/nonexistent")
    settings.update(WATCHED_FILES=[], SIM_MARKET=options.market, LOG_LEVEL=logging.CRITICAL)
    threads, files = threading.active_count(), handles()
    stage, rng = Stage(scene("close", options.seed), settings), Random(options.seed)
    bot = stage.enter(journal)
    stage.judge.counts, stage.judge.traded = deque(maxlen=500), deque(maxlen=500)
    bot.on_fill = lambda _: None  # the drill would keep every one
    engine, kinds = stage.engine, sorted(KINDS.keys() - ENDING - LASTING)
    begun_s, wall_s = engine.now(), time.time()
    faults = 0

    def strike() -> None:
        nonlocal faults
        (text,) = scene(rng.choice(kinds), rng.randrange(10**9)).faults
        kind = KINDS[text.partition(":")[0]]
        fault = stage.faults.add(text)
        faults += 1
        if kind.group != DEED and fault.end_s == float("inf"):
            engine.call_at(engine.now() + 20.0, lambda: stage.faults.clear(fault.text))
        stage.judge.excused_until_s = engine.now() + 40.0
        engine.call_at(engine.now() + EVERY_S, strike)

    engine.call_at(begun_s + 60.0, strike)
    bot.start()
    mb: list[float] = []
    head = "  hour  wall s   RSS MB  threads  handles  journal MB  faults    fills  objections"
    print(head, flush=True)
    while engine.now() < begun_s + options.hours * HOUR_S:
        bot.run_once()
        bot.wait_for_change()
        if engine.now() - begun_s >= (len(mb) + 1) * HOUR_S:
            mb.append(resident_mb())
            print(
                f"{len(mb):6} {time.time() - wall_s:7.0f} {mb[-1]:8.1f} "
                f"{threading.active_count():8} {handles():8} "
                f"{journal.stat().st_size / 1e6:11.1f} {faults:7} "
                f"{stage.judge.deeds['Trade']:8} {len(stage.judge.violations):11}",
                flush=True,
            )
    stage.faults.clear()
    bot.shut_down()
    stage.judge.check_gone()
    grown = mb[-1] - mb[min(WARM_UP_H, len(mb)) - 1] if mb else 0.0
    left = (threading.active_count() - threads, handles() - files)
    print(f"growth after hour {WARM_UP_H}: {grown:.1f} MB; threads, handles left over: {left}")
    for violation in stage.judge.violations:
        print(f"{violation.time_s - begun_s:.1f} s: {violation.text}")
    return int(grown >= GROWTH_MB or max(left) > 0 or bool(stage.judge.violations))


if __name__ == "__main__":
    sys.exit(main())
