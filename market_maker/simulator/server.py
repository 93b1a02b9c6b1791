"""The built-in exchange on one port: REST under /api/v1, WebSocket under /realtime.

`python -m market_maker.simulator.server` and `marketmaker simulate` start it; the bot starts it
as a child with `--parent-pipe`.
"""

import argparse
import os
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.simulator.console import StatusLine, announcement
from market_maker.simulator.exchange import Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.limits import RateLimits
from market_maker.simulator.listener import Server, serve
from market_maker.simulator.options import read_options
from market_maker.utils.errors import SettingsError

__all__ = ["Server", "main", "serve"]

_LOOK_S = 1.0  # how often the status line is written


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exchange until Ctrl-C, SIGTERM, or the end of the parent. Answers the exit code."""
    options = read_options(argv)
    try:
        hub = _build(options)
        server = _open_port(hub, options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    accounts = [
        hub.engine.open_account(round(options.balance * 1e8), options.permissions)
        for _ in range(options.accounts)
    ]
    for fault in options.fault:
        hub.faults.add(fault)
    ended = threading.Event()
    if options.parent_pipe:
        threading.Thread(target=_await_parent, args=(ended,), daemon=True).start()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        server.start()
        print(announcement(server, hub.control.token, accounts, options), flush=True)
        _run(hub, ended, options)
        server.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _run(hub: FaultyHub, ended: threading.Event, options: argparse.Namespace) -> None:
    line = None if options.json else StatusLine(sys.stdout, hub)
    while not ended.wait(_LOOK_S):  # in slices: Windows delivers no signal to an endless wait
        if line is not None:
            line.show()
    if line is not None:
        line.end()


def _build(options: argparse.Namespace) -> FaultyHub:
    """The exchange the options ask for; raises SettingsError."""
    clock = Clock()
    # The seed is the market's: accounts, keys and executions are never the same twice.
    engine = Engine(clock, **_market(options))
    limits = None
    if not options.no_rate_limit:
        limits = RateLimits(options.profile, size=options.rate_limit, bulk_cost=options.bulk_cost)
    faults = Faults(engine, options.seed)
    token = secrets.token_urlsafe(18)
    return FaultyHub(engine, options.profile, clock, limits, faults=faults, token=token)


def _open_port(hub: FaultyHub, options: argparse.Namespace) -> Server:
    try:
        return hub.open_port(options.host, options.port)
    except OSError as error:
        fault = f"Cannot listen on {options.host}:{options.port}: {error.strerror or error}."
        raise SettingsError([f"{fault} Choose another --port, or 0 for any free one."]) from None


def _market(options: argparse.Namespace) -> dict[str, Any]:
    """The engine's arguments for the market the options ask for; raises SettingsError."""
    if options.data:
        from market_maker.simulator.market.recorded import RecordedMarket

        recorded = RecordedMarket(options.data, options.symbol.upper(), speed=options.speed)
        return {"market": recorded, "instruments": [recorded.instrument]}
    from market_maker.simulator.market.synthetic import SyntheticMarket

    return {"market": SyntheticMarket(seed=options.seed)}


def _await_parent(ended: threading.Event) -> None:
    # not through sys.stdin: its lock, held here, would abort the interpreter on its way out
    while os.read(0, 4096):
        pass
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
