"""One order over REST, client side: from the call to its answer, beyond the server's time.

python benchmarks/rest_order.py [--rounds 7] [--json FILE]
"""

import sys

from common import CCXT, ORIGINAL, Server, Worker, arguments, finish, in_turn, peer, report


def measure(options, orders: int, times: int, service_ms: float, scale: float, more=()):  # type: ignore[no-untyped-def]
    """Figures of every client that re-prices *orders* orders *times* times a round."""
    wanted = {"ours": sys.executable, **dict.fromkeys(more, sys.executable)}
    wanted |= {"original": ORIGINAL, "ccxt": CCXT, "raw": sys.executable}
    servers, workers = [], {}
    try:
        for name, python in wanted.items():
            if name in options.without:
                continue
            python = peer(options, python) if isinstance(python, tuple) else python
            server = Server()
            servers.append(server)
            server.control(service_ms=service_ms, bulk=name == "ours-bulk")
            told = server.told
            script = ("workers.py", name, told["port"], told["key"], told["secret"])
            workers[name] = Worker(python, *script)
            workers[name].ask(orders=orders, times=10)
        return in_turn(
            options.rounds,
            {
                name: lambda w=worker: [s * scale for s in w.ask(orders=orders, times=times)]
                for name, worker in workers.items()
            },
        )
    finally:
        for worker in workers.values():
            worker.close()
        for server in servers:
            server.__exit__()


def main() -> None:
    options = arguments(__doc__, rounds=7)
    found = measure(options, 1, 150, 0, 1e6)
    table = report("One order over REST, service time 0", "us", found)
    finish(options, "rest_order", [table])


if __name__ == "__main__":
    main()
