"""From a frame that moves the price to the orders that follow it, as the exchange sees both.

    python benchmarks/tick_to_order.py [--rounds 5] [--json FILE]

Twelve resting orders are re-priced at each move. "first" is when the first amend has arrived,
"acknowledged" when the answer to the last has left. Warm: a quote that changes nothing every 2 ms
in between; ticking: a quote every 2 ms that moves the touch by a tick and back, which is worth no
amend; idle: nothing; burst: 10,000 a second, for our bot alone. A move of 0.3 % needs one
phase, of 2 % two: the new bids would meet the old asks, so ours wait for their side to move away
first, which the peers do not. A bot that polls is stopped while it is not its turn: it would keep
a core busy.
"""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import NAUTILUS, ORIGINAL, Server, Worker, arguments, finish, in_turn, peer, report

ORDERS = 12
PAUSE_S = 0.12


class Bot:
    """A bot on a server of its own; only its own turn finds it at work."""

    def __init__(self, python: str | Path, name: str, **settings: Any) -> None:
        self.server, self.up = Server(), False
        told = self.server.told
        words = [f"{key}={value}" for key, value in settings.items()]
        self.worker = Worker(python, "bots.py", name, *list(told.values()), *words)
        self.polls = "LOOP_INTERVAL" in settings
        self.pause_s = max(PAUSE_S, 1.3 * settings.get("LOOP_INTERVAL", 0))

    def begin(self) -> None:
        end_s = time.monotonic() + 60
        while self.server.control()["open"] != ORDERS:
            if time.monotonic() > end_s or self.worker.process.poll() is not None:
                raise SystemExit(f"a bot does not quote: {self.worker.process.args}")
            time.sleep(0.2)
        self.server.control(move=1.003)
        time.sleep(3)
        self.rest()

    def wake(self) -> None:
        self.worker.process.send_signal(signal.SIGCONT)

    def rest(self) -> None:
        if self.polls:
            self.worker.process.send_signal(signal.SIGSTOP)

    def moves(
        self, count: int, ratio: float, service_ms: float, **market: Any
    ) -> list[list[float]]:
        """For each move: ms to the first amend and until all are acknowledged."""
        found = []
        self.wake()
        self.server.control(service_ms=service_ms, **market)
        time.sleep(0.3)
        for _ in range(count):
            self.up = not self.up
            self.server.control(move=ratio if self.up else 1 / ratio)
            end_s = time.monotonic() + 5 + self.pause_s
            time.sleep(self.pause_s)
            seen = self.server.control()
            while len(seen["answered_ns"]) < ORDERS and time.monotonic() < end_s:
                time.sleep(self.pause_s / 4)
                seen = self.server.control()
            if len(seen["answered_ns"]) >= ORDERS:
                first, last = seen["arrived_ns"][0], seen["answered_ns"][ORDERS - 1]
                found.append([(first - seen["moved_ns"]) / 1e6, (last - seen["moved_ns"]) / 1e6])
            time.sleep(self.pause_s)
        self.server.control(quotes_per_s=0)
        self.rest()
        if len(found) < count / 2:
            raise SystemExit(f"{count - len(found)} of {count} moves had no {ORDERS} amends")
        return found

    def close(self) -> None:
        self.worker.close()
        self.server.__exit__()


def start(options: Any, bots: dict[str, Bot]) -> None:
    bots["ours"] = Bot(sys.executable, "ours", MIN_REQUOTE_INTERVAL=0.0)
    bots["floor"] = Bot(sys.executable, "floor")
    if "original" not in options.without:
        python = peer(options, ORIGINAL)
        bots["original, LOOP_INTERVAL 0.001"] = Bot(python, "original", LOOP_INTERVAL=0.001)
    if "nautilus" not in options.without:
        bots["nautilus_trader"] = Bot(peer(options, NAUTILUS), "nautilus")
    for bot in bots.values():
        bot.begin()


def main() -> None:
    options = arguments(__doc__, rounds=5)
    tables = []
    bots: dict[str, Bot] = {}
    try:
        start(options, bots)
        for label, ratio, quotes, ticking in (
            ("warm", 1.003, 500, False), ("ticking", 1.003, 500, True), ("idle", 1.003, 0, False),
            ("two phases, warm", 1.02, 500, False), ("burst", 1.003, 10_000, False),
        ):  # fmt: skip
            market = {"quotes_per_s": quotes, "ticking": ticking}
            asked = {"ours": bots["ours"]} if label == "burst" else bots
            for service_ms in (0, 5):
                kept: dict[str, list[list[list[float]]]] = {name: [] for name in asked}

                def run(
                    name: str, bot: Bot, ratio: float, service: float, market: Any, kept: Any
                ) -> Callable[[], list[float]]:
                    def once() -> list[float]:
                        kept[name].append(bot.moves(8, ratio, service, **market))
                        return [first for first, _ in kept[name][-1]]

                    return once

                runs = {n: run(n, b, ratio, service_ms, market, kept) for n, b in asked.items()}
                firsts = in_turn(options.rounds, runs)
                title = f"{label}, service time {service_ms} ms: "
                tables.append(report(title + "to the first amend", "ms", firsts))
                lasts = {n: [[last for _, last in r] for r in rounds] for n, rounds in kept.items()}
                tables.append(report(title + "to all acknowledged", "ms", lasts))
    finally:
        for bot in bots.values():
            bot.close()
    finish(options, "tick_to_order", tables)


if __name__ == "__main__":
    main()
