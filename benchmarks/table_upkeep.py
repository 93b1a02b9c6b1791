"""What one message of the stream costs, parsed and folded in, microseconds of CPU.

    python benchmarks/table_upkeep.py [--rounds 7] [--json FILE]

The floor is orjson and a dict for each table, with no checks. The original follows no order book;
its figures there are what its code would cost.
"""

import sys
from functools import partial

from common import BITMEX_WS, CCXT, ORIGINAL, Worker, arguments, finish, in_turn, peer, report
from frames import WORKLOADS

WANTED = {
    "ours": sys.executable, "ours, sorted book": sys.executable, "original": ORIGINAL,
    "bitmex-ws": BITMEX_WS, "ccxt.pro": CCXT, "floor": sys.executable,
}  # fmt: skip


APPLY_ONLY = ("ours, sorted book", "ccxt.pro")  # are not timed from the socket


def follows(name: str, workload: str) -> bool:
    """Whether a client has something to do with such frames."""
    if name == "ours, sorted book":
        return "book" in workload
    return (name, workload) != ("ccxt.pro", "quote")


def workers(options) -> dict[str, Worker]:
    found = {}
    for name, python in WANTED.items():
        if name not in options.without:
            python = peer(options, python) if isinstance(python, tuple) else python
            found[name] = Worker(python, "stream_workers.py", name)
    return found


def main() -> None:
    options = arguments(__doc__, rounds=7)
    tables, clients = [], workers(options)
    try:
        for workload in WORKLOADS:
            quick = [name for name in clients if name.startswith(("ours", "floor"))]
            slow = 200 if "book" in workload else 1000
            counts = {n: 4000 if n in quick else slow for n in clients if follows(n, workload)}
            runs = {
                name: partial(client.ask, apply=workload, count=counts[name])
                for name, client in clients.items()
                if name in counts
            }
            tables.append(report(workload, "us", in_turn(options.rounds, runs)))
    finally:
        for worker in clients.values():
            worker.close()
    finish(options, "table_upkeep", tables)


if __name__ == "__main__":
    main()
