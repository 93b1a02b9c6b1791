"""Memory and CPU of a quoting bot in a busy market, as its system counts them.

    python benchmarks/memory.py [--seconds 30] [--json FILE]
    python benchmarks/memory.py --messages 3600000     # an hour at 1,000 a second, sped up

A quote 1,000 times a second, and a move that re-prices twelve orders every two seconds. With
--messages they come as fast as server and bot manage, until so many have come.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from common import NAUTILUS, ORIGINAL, arguments, finish, peer
from tick_to_order import ORDERS, Bot

PER_S = 1000
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def watch(bot: Bot, seconds: float, messages: int) -> dict[str, Any]:
    """CPU as a part of a core, and the memory ten times on the way."""
    pid, up, memory = bot.worker.process.pid, False, []
    bot.server.control(quotes_per_s=50_000 if messages else PER_S)
    before = bot.server.control()["told"]
    began, spent = time.monotonic(), cpu_s(pid)
    share, marks = 0.0, 0.0
    while share < 1:
        time.sleep(2)
        up = not up
        bot.server.control(move=1.003 if up else 1 / 1.003)
        told = bot.server.control()["told"] - before
        share = told / messages if messages else (time.monotonic() - began) / seconds
        if share >= marks:
            marks += 0.1
            memory.append(round(resident_mb(pid), 1))
    took = time.monotonic() - began
    bot.server.control(quotes_per_s=0)
    return {"cpu": (cpu_s(pid) - spent) / took, "rss_mb": memory, "messages": told, "seconds": took}


def main() -> None:
    options = arguments(__doc__, rounds=1, seconds=30.0, messages=0)
    wanted: dict[str, tuple[Any, str, dict[str, float]]] = {
        "ours": (sys.executable, "ours", {}),
        "original, LOOP_INTERVAL 0.001": (ORIGINAL, "original", {"LOOP_INTERVAL": 0.001}),
        "original, LOOP_INTERVAL 5": (ORIGINAL, "original", {"LOOP_INTERVAL": 5}),
        "nautilus_trader": (NAUTILUS, "nautilus", {}),
    }
    rows = {}
    print(f"{'':32}{'CPU':>8}{'messages':>12}{'seconds':>9}   MB from first to last")
    for name, (python, kind, settings) in wanted.items():
        if kind in options.without:
            continue
        bot = Bot(peer(options, python) if isinstance(python, tuple) else python, kind, **settings)
        try:
            bot.begin()
            bot.wake()
            rows[name] = found = watch(bot, options.seconds, options.messages)
        finally:
            bot.close()
        memory = " ".join(f"{value:g}" for value in found["rss_mb"])
        figures = f"{found['messages']:>12,}{found['seconds']:>9.0f}"
        print(f"  {name:30}{found['cpu']:>8.1%}{figures}   {memory}", flush=True)
    title = f"{ORDERS} orders re-priced every 2 s, {PER_S} quotes a second"
    table = {"title": title, "unit": "CPU, MB", "load": os.getloadavg()[0], "watched": rows}
    finish(options, "memory of an hour" if options.messages else "memory", [table])


if __name__ == "__main__":
    main()
