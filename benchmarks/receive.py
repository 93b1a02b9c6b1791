"""What receiving a message costs from the socket to the tables, and how many a second there can be.

    python benchmarks/receive.py [--rounds 5] [--json FILE]

Each client is sent the same frames by a server in a process of its own, as fast as it takes them.
Ours runs as in the bot: a thread that receives, and a loop that drains. The CPU is that of all
threads of the client.
"""

import sys

from common import Worker, arguments, finish, in_turn, report
from table_upkeep import APPLY_ONLY, workers

COUNT = {"ours": 50_000, "floor": 50_000}


def main() -> None:
    options = arguments(__doc__, rounds=5)
    tables, clients = [], workers(options)
    server = Worker(sys.executable, "stream_workers.py", "serve")
    try:
        port = server.hear()
        for workload in ("quote", "order", "instrument"):
            names = [n for n in clients if n not in APPLY_ONLY]
            kept: dict[str, list[list[float]]] = {name: [] for name in names}

            def run(name: str, workload: str = workload, kept=kept) -> list[float]:
                count = COUNT.get(name, 10_000)
                spent, rate = clients[name].ask(receive=workload, port=port, count=count)
                kept[name].append([rate])
                return [spent]

            spent = in_turn(options.rounds, {n: lambda n=n, r=run: r(n) for n in names})
            tables.append(report(f"{workload}: receive, parse and apply", "us of CPU", spent))
            tables.append(report(f"{workload}: messages a second", "1/s", kept))
    finally:
        for worker in [*clients.values(), server]:
            worker.close()
    finish(options, "receive", tables)


if __name__ == "__main__":
    main()
