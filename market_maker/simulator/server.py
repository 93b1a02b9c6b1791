"""The built-in exchange on one port: REST under /api/v1, WebSocket under /realtime.

`python -m market_maker.simulator.server` and `marketmaker simulate` start it; the bot starts it
as a child with `--parent-pipe`.
"""

import argparse
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from market_maker.clock import Clock
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.console import StatusLine, announcement
from market_maker.simulator.exchange import Engine, MarketSource
from market_maker.simulator.fault_kinds import BadFault
from market_maker.simulator.faults import Faults
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.instruments import XBT_USDT, Instrument
from market_maker.simulator.limits import Limits, RateLimits
from market_maker.simulator.listener import Server, serve
from market_maker.simulator.listings import all_instruments
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.options import read_options
from market_maker.simulator.state_file import StateFile
from market_maker.simulator.tongue import Tongue
from market_maker.utils.errors import SettingsError

if TYPE_CHECKING:
    from market_maker.simulator.market.recorder import Recorder

__all__ = ["Server", "main", "serve"]

_LOOK_S = 1.0  # how often the status line and the state are written

logger = logging.getLogger("root")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exchange until Ctrl-C, SIGTERM, or the end of the parent. Answers the exit code."""
    options = read_options(argv)
    try:
        file = StateFile(options.state) if options.state else None
        hub = _build(options, file)
        server = _open_port(hub, options)
        recorder = _record(hub.engine, options)
        _open_accounts(hub.engine, options)
        _save(hub, file)
        for fault in options.fault:
            hub.faults.add(fault)
    except (SettingsError, BadFault) as error:
        print(error, file=sys.stderr)
        return 2
    ended = threading.Event()
    if options.parent_pipe:
        threading.Thread(target=_await_parent, args=(ended,), daemon=True).start()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    server.on_failure = ended.set
    try:
        server.start()
        text = announcement(server, hub.control.token, hub.engine.accounts(), options)
        print(text, flush=True)
        _run(hub, file, ended, None if options.json else StatusLine(sys.stdout, hub))
        server.close()
        _try_to_save(hub, file)
        if recorder is not None:
            with hub.lock:
                recorder.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if file is not None:
            file.close()
    return 1 if server.has_failed else 0


def _run(
    hub: FaultyHub, file: StateFile | None, ended: threading.Event, line: StatusLine | None
) -> None:
    while not ended.wait(_LOOK_S):  # in slices: Windows delivers no signal to an endless wait
        _try_to_save(hub, file)
        if line is not None:
            line.show()
    if line is not None:
        line.end()


def _save(hub: FaultyHub, file: StateFile | None) -> None:
    """Write what changed since the last time, if anything did; raises SettingsError."""
    if file is not None:
        with hub.lock:
            text = file.render(hub.engine, hub.actions)
        if text is not None:
            file.write(text)


def _try_to_save(hub: FaultyHub, file: StateFile | None) -> None:
    try:
        _save(hub, file)
    except SettingsError as error:
        logger.error("%s", error)


def _build(options: argparse.Namespace, file: StateFile | None) -> FaultyHub:
    """The exchange the options ask for; raises SettingsError."""
    clock = Clock()
    market, instruments = _market(options)
    if file is not None and file.state is not None and not options.data:
        instruments = file.state.over(instruments)
    # The seed is the market's: accounts, keys and executions are never the same twice.
    engine = Engine(clock, instruments)
    if file is not None:
        file.restore(engine)
    tongue, limits = _TONGUES[options.dialect](options, engine, Faults(engine, options.seed))
    kept = None if options.no_rate_limit else limits
    hub = FaultyHub(tongue, clock, kept, token=secrets.token_urlsafe(18))
    engine.open_market(market)
    return hub


Dialected = tuple[Tongue, Limits | None]  # a language, and limits that are counted before it


def _bitmex(options: argparse.Namespace, engine: Engine, faults: Faults) -> Dialected:
    limits = RateLimits(options.profile, size=options.rate_limit, bulk_cost=options.bulk_cost)
    return faulty_bitmex(engine, options.profile, faults), limits


def _okx(_: argparse.Namespace, engine: Engine, faults: Faults) -> Dialected:
    from market_maker.simulator.okx_limits import OkxLimits
    from market_maker.simulator.okx_tongue import faulty_okx

    return faulty_okx(engine, faults), OkxLimits()


def _binance(options: argparse.Namespace, engine: Engine, faults: Faults) -> Dialected:
    from market_maker.simulator.binance_tongue import faulty_binance

    tongue = faulty_binance(engine, faults)
    tongue.dialect.api.weights.is_on = not options.no_rate_limit  # each request has its weight
    return tongue, None


def _hitbtc(_: argparse.Namespace, engine: Engine, faults: Faults) -> Dialected:
    from market_maker.simulator.hitbtc_tongue import faulty_hitbtc

    return faulty_hitbtc(engine, faults), None  # the dialect counts order requests itself


def _plain(_: argparse.Namespace, engine: Engine, faults: Faults) -> Dialected:
    from market_maker.simulator.plain_tongue import PlainLimits, faulty_plain

    return faulty_plain(engine, faults), PlainLimits()


_TONGUES = {  # by the name that --dialect gives
    "bitmex": _bitmex, "okx": _okx, "binance": _binance, "hitbtc": _hitbtc, "plain": _plain,
}  # fmt: skip


def _record(engine: Engine, options: argparse.Namespace) -> "Recorder | None":
    if not options.record:
        return None
    from market_maker.simulator.market.recorder import Recorder

    return Recorder(options.record, engine)


def _open_accounts(engine: Engine, options: argparse.Namespace) -> None:
    """As many as were asked for, those of a run before among them."""
    for _ in range(options.accounts - len(engine.accounts())):
        engine.open_account(round(options.balance * 1e8), options.permissions)


def _open_port(hub: FaultyHub, options: argparse.Namespace) -> Server:
    try:
        return hub.open_port(options.host, options.port)
    except OSError as error:
        fault = f"Cannot listen on {options.host}:{options.port}: {error.strerror or error}."
        raise SettingsError([f"{fault} Choose another --port, or 0 for any free one."]) from None


def _market(options: argparse.Namespace) -> tuple[MarketSource, Sequence[Instrument]]:
    """The market the options ask for and what is traded there; raises SettingsError."""
    if options.data:
        from market_maker.simulator.market.recorded import RecordedMarket

        recorded = RecordedMarket(options.data, options.symbol.upper(), speed=options.speed)
        return recorded, [recorded.instrument]
    from market_maker.simulator.market.synthetic import SyntheticMarket

    market = SyntheticMarket(options.seed, PRESETS[options.market])
    if options.dialect == "okx":
        from market_maker.simulator.dialects.okx_rows import INSTRUMENTS

        return market, INSTRUMENTS
    if options.dialect == "binance":
        from market_maker.simulator.dialects.binance_rows import BTCUSDT

        return market, [BTCUSDT]
    if options.dialect == "hitbtc":
        return market, [XBT_USDT]
    return market, all_instruments(Clock().now())


def _await_parent(ended: threading.Event) -> None:
    # not through sys.stdin: its lock, held here, would abort the interpreter on its way out
    while os.read(0, 4096):
        pass
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
