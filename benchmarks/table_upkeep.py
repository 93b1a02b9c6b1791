"""What one message of the stream costs, parsed and folded in, microseconds of CPU.

    python benchmarks/table_upkeep.py [--rounds 7] [--json FILE]

The floor is orjson and a dict for each table, with no checks. The original follows no order book;
its figures there are what its code would cost.
"""

import sys

from common import BITMEX_WS, ORIGINAL, Worker, arguments, finish, in_turn, peer, report
from frames import WORKLOADS

WANTED = {
    "ours": sys.executable, "original": ORIGINAL, "bitmex-ws": BITMEX_WS, "floor": sys.executable,
}  # fmt: skip


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
            counts = {n: 4000 if n in ("ours", "floor") else 1000 for n in clients}
            if "book" in workload:
                counts |= {n: 200 for n in clients if n not in ("ours", "floor")}
            runs = {
                name: lambda asked={"apply": workload, "count": counts[name]}, client=client: (
                    client.ask(**asked)
                )
                for name, client in clients.items()
            }
            tables.append(report(workload, "us", in_turn(options.rounds, runs)))
    finally:
        for worker in clients.values():
            worker.close()
    finish(options, "table_upkeep", tables)


if __name__ == "__main__":
    main()
