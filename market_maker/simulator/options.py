"""The options of `marketmaker simulate`."""

import argparse
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from market_maker.arguments import Parser
from market_maker.simulator.dialects.bitmex import PROFILES
from market_maker.simulator.fault_kinds import KINDS, BadFault, help_text, parse
from market_maker.simulator.keys import ORDER_PERMISSIONS, read_permissions
from market_maker.simulator.listener import LOOPBACK
from market_maker.simulator.market.presets import DEFAULT, PRESETS

DIALECTS = ("bitmex", "okx", "binance", "hitbtc", "plain")
_EPILOG = """faults (--fault NAME or NAME:key=value,...; '--fault help' explains them):
  {names}
"""


class _FaultHelp(argparse.Action):
    """Collects faults; the word help shows them all instead."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        if values == "help":
            print(help_text(), end="")
            parser.exit(0)
        try:
            parse(values)
        except BadFault as bad:
            parser.error(str(bad))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])
        return


def read_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options in *argv*; leaves the program with one line where they are wrong."""
    parser = Parser(
        prog="marketmaker simulate",
        description="Run the built-in exchange alone, in the words of an exchange; play money.",
        epilog=_EPILOG.format(names=_wrapped(list(KINDS))),
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=79),
    )
    _add_wire(parser.add_argument_group("where and how it speaks"))
    _add_market(parser.add_argument_group("market"))
    _add_accounts(parser.add_argument_group("accounts"))
    faults = parser.add_argument_group("trouble").add_argument
    faults(
        "--fault",
        action=_FaultHelp,
        default=[],
        metavar="NAME[:key=value,...]",
        help="break something; may be given several times",
    )
    parser.add_argument("--parent-pipe", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _add_wire(group: Any) -> None:
    add = group.add_argument
    port = _between(int, 0, 65_535)
    add("--port", type=port, default=0, metavar="N", help="port; 0 takes any free one (default)")
    add("--host", type=_host, default=LOOPBACK, help=f"address to listen on (default {LOOPBACK})")
    add("--dialect", choices=DIALECTS, default=DIALECTS[0], help="whose language (default bitmex)")
    add("--profile", choices=PROFILES, default="last", help="age of the protocol (default last)")
    add("--json", action="store_true", help="first line is JSON: addresses, keys, control token")
    add("--no-rate-limit", action="store_true", help="never answer 429")
    add(
        "--rate-limit",
        type=_between(int, 1, 1_000_000),
        metavar="N",
        help="requests of an account per window of the profile",
    )
    add(
        "--bulk-cost",
        type=_between(float, 0, 1),
        default=0.1,
        metavar="X",
        help="what each order of a bulk call costs (default 0.1; 0.5 is the rule of 2015)",
    )


def _add_market(group: Any) -> None:
    add = group.add_argument
    add(
        "--market",
        choices=PRESETS,
        default=DEFAULT,
        help=f"how the made-up market behaves (default {DEFAULT})",
    )
    add("--data", nargs="+", metavar="PATH", help="replay recordings: a folder or files")
    add("--symbol", default="XBTUSD", help="symbol to replay from --data (default XBTUSD)")
    speed = _between(float, 0.01, 1000)
    add("--speed", type=speed, default=1.0, metavar="X", help="replay X times as fast")
    add("--record", metavar="FILE", help="write the run in a form that --data reads")
    add("--seed", type=int, metavar="N", help="the same market, and the same faults, every time")


def _add_accounts(group: Any) -> None:
    add = group.add_argument
    add(
        "--accounts",
        type=_between(int, 1, 1000),
        default=1,
        metavar="N",
        help="how many (default 1)",
    )
    add(
        "--balance",
        type=_between(float, 0, 1_000_000),
        default=1.0,
        metavar="XBT",
        help="per account (default 1)",
    )
    add("--state", metavar="FILE", help="keep accounts and orders in FILE over restarts")
    add(
        "--permissions",
        type=_permissions,
        default=ORDER_PERMISSIONS,
        metavar="LIST",
        help="rights of the keys: read, order, orderCancel, withdraw (default order,withdraw)",
    )


def _host(text: str) -> str:
    if not text.strip():  # to a socket, no address is every address
        raise argparse.ArgumentTypeError("must be an address, such as 0.0.0.0 for all")
    return text


def _permissions(text: str) -> frozenset[str]:
    try:
        return read_permissions(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _between(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """A reader of numbers from *low* to *high*."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            number = kind(text)
            if low <= number <= high:
                return number
        raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}, was {text}")

    return read


def _wrapped(names: Sequence[str]) -> str:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 74:
            lines.append("")
        lines[-1] += f"{name}  "
    return "\n  ".join(line.rstrip() for line in lines)
