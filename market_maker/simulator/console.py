"""What `marketmaker simulate` shows: where it listens, its keys, and a line of how it goes."""

import argparse
import shutil
from collections.abc import Sequence
from typing import IO, Any

from market_maker import jsonx
from market_maker.simulator.control import PREFIX
from market_maker.simulator.exchange import Account
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.instruments import iso_time
from market_maker.simulator.listener import LOOPBACK, Server

WIDTH = 80


def announcement(
    server: Server, token: str, accounts: Sequence[Account], options: argparse.Namespace
) -> str:
    """All that a client needs to know: one line of JSON, or lines for a person."""
    tongue = server.hub.tongue
    control = server.base_url.removesuffix(f"{tongue.root}/") + PREFIX.rstrip("/")
    if options.json:
        keys = [tongue.keys(account) for account in accounts]
        return jsonx.dumps(
            {
                "base_url": server.base_url,
                "ws_url": server.ws_url if tongue.stream else None,
                "accounts": keys,
                "control_url": control,
                "control_token": token,
            }
        )
    source = (
        f"recorded data at {options.speed:g}x" if options.data else f"the {options.market} market"
    )
    lines = [
        f"Built-in exchange, play money, {source}, {_words(options)}.",
        f"REST       {server.base_url}",
        *([f"WebSocket  {server.ws_url}"] if tongue.stream else []),
        f"control    {control}",
        f"token      {token}",
    ]
    for account in accounts:
        lines += [f"{name:<10} {word}" for name, word in tongue.keys(account).items()]
    if options.host not in (LOOPBACK, "localhost", "::1"):
        lines += [
            f"Open beyond this machine: who reaches {options.host} can read the market, and who",
            "has a key can trade. Keys and orders travel in clear: use a network you trust.",
        ]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _words(options: argparse.Namespace) -> str:
    is_first = options.dialect == "bitmex"
    return f"profile {options.profile}" if is_first else f"in {options.dialect}'s words"


class StatusLine:
    """One line that is written over itself on a terminal; elsewhere there is none."""

    def __init__(self, out: IO[str], hub: FaultyHub) -> None:
        self._out, self._hub = out, hub
        self._is_terminal = out.isatty()
        self._before = (hub.engine.now(), hub.actions)

    def show(self) -> None:
        """Write it anew."""
        if self._is_terminal:
            width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) - 1
            self._write(f"\r{self.text()[:width]:<{width}}")

    def end(self) -> None:
        if self._is_terminal:
            self._write("\n")

    def text(self) -> str:
        """How it goes: time, touch, streams, order requests a second, open orders, faults."""
        hub = self._hub
        with hub.lock:
            status = hub.control.status()
            now_s, actions = hub.engine.now(), hub.actions
        (was_s, were), self._before = self._before, (now_s, actions)
        rate = (actions - were) / (now_s - was_s) if now_s > was_s else 0.0
        symbol, market = next(iter(status["markets"].items()))
        faults = [str(row["fault"]).partition(":")[0] for row in status["faults"]]
        parts = [
            iso_time(now_s)[11:19],
            f"{symbol} {_price(market['bidPrice'])}/{_price(market['askPrice'])}",
            f"streams {status['streams']}",
            f"orders {status['open_orders']}",
            f"{rate:.1f}/s",
        ]
        return "  ".join([*parts, *([f"faults {' '.join(faults)}"] if faults else [])])

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _price(price: Any) -> str:
    return "-" if price is None else f"{price:g}" if price < 1e5 else f"{price:.1f}"
