"""The built-in exchange on one port: REST under /api/v1, WebSocket under /realtime.

`python -m market_maker.simulator.server` and `marketmaker simulate` start it; the bot starts it
as a child with `--parent-pipe`.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.simulator.dialects.bitmex import PROFILES, Dialect
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.hub import Hub
from market_maker.simulator.limits import RateLimits
from market_maker.simulator.listener import LOOPBACK, Server, serve
from market_maker.utils.errors import SettingsError

__all__ = ["Server", "main", "serve"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exchange until Ctrl-C, SIGTERM, or the end of the parent. Answers the exit code."""
    options = _parser().parse_args(argv)
    try:
        server = _build(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    accounts = [
        server.hub.engine.open_account(balance_sat=round(options.balance * 1e8))
        for _ in range(options.accounts)
    ]
    ended = threading.Event()
    if options.parent_pipe:
        threading.Thread(target=_await_parent, args=(ended,), daemon=True).start()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        server.start()
        _announce(server, accounts, options)
        while not ended.wait(1.0):  # in slices: Windows delivers no signal to an endless wait
            pass
        server.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _build(options: argparse.Namespace) -> Server:
    """The server the options ask for, bound and not yet started; raises SettingsError."""
    clock = Clock()
    # The seed is the market's: accounts, keys and executions are never the same twice.
    engine = Engine(clock, **_market(options))
    limits = None if options.no_rate_limit else RateLimits(options.profile)
    hub = Hub(engine, Dialect(engine, options.profile), clock, limits)
    try:
        return Server(hub, options.host, options.port)
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


def _announce(server: Server, accounts: Sequence[Account], options: argparse.Namespace) -> None:
    if options.json:
        keys = [{"key": account.key, "secret": account.secret} for account in accounts]
        line = {"base_url": server.base_url, "ws_url": server.ws_url, "accounts": keys}
        print(jsonx.dumps(line), flush=True)
        return
    source = f"recorded data at {options.speed:g}x" if options.data else "a synthetic market"
    print(f"Built-in exchange, play money, {source}, profile {options.profile}.")
    print(f"REST       {server.base_url}")
    print(f"WebSocket  {server.ws_url}")
    for account in accounts:
        print(f"key        {account.key}")
        print(f"secret     {account.secret}")
    if options.host not in (LOOPBACK, "localhost", "::1"):
        print(f"Open beyond this machine: who reaches {options.host} can trade here.")
    print("Ctrl-C ends it.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="marketmaker simulate",
        description="Run the built-in exchange alone. It speaks BitMEX's protocol; play money.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--port",
        type=_between(int, 0, 65_535),
        default=0,
        metavar="N",
        help="port; 0 takes any free one",
    )
    add("--host", default=LOOPBACK, help=f"address to listen on (default {LOOPBACK})")
    add("--json", action="store_true", help="first line is JSON: base_url, ws_url, accounts")
    add("--profile", choices=PROFILES, default="last", help="age of the protocol (default last)")
    add("--data", nargs="+", metavar="PATH", help="replay recordings: a folder or files")
    add("--symbol", default="XBTUSD", help="symbol to replay from --data (default XBTUSD)")
    add(
        "--speed",
        type=_between(float, 0.01, 1000),
        default=1.0,
        metavar="X",
        help="replay X times as fast",
    )
    add("--seed", type=int, metavar="N", help="the same market every time")
    add(
        "--balance",
        type=_between(float, 0, 1_000_000),
        default=1.0,
        metavar="XBT",
        help="per account (default 1)",
    )
    add(
        "--accounts",
        type=_between(int, 1, 1000),
        default=1,
        metavar="N",
        help="how many (default 1)",
    )
    add("--no-rate-limit", action="store_true", help="never answer 429")
    add("--parent-pipe", action="store_true", help="end when standard input ends")
    return parser


def _between(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """A reader of numbers from *low* to *high*."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            number = kind(text)
            if low <= number <= high:
                return number
        raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}, was {text}")

    return read


if __name__ == "__main__":
    sys.exit(main())
