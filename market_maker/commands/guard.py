"""`marketmaker guard` and `marketmaker unlock`: a dead man's switch in a process of its own."""

import logging
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from market_maker import venue
from market_maker.clock import Clock
from market_maker.exchanges.base import ODD, Connector, ExchangeError, first_answers, no_start
from market_maker.exchanges.batches import batches
from market_maker.exchanges.guard import GuardServer, Watch, parse_address
from market_maker.model.rows import Row
from market_maker.settings import Settings
from market_maker.utils.errors import BotError, SettingsError, StopTrading

logger = logging.getLogger("root")

_LOOK_S = 0.25
_PAUSE_S = 1.0  # between two tries to cancel
_SKEW_S = 1.0


def guard(settings: Settings, listen: str | None = None) -> int:
    """Cancel the bot's orders when its heartbeat stops; runs until Ctrl-C or SIGTERM."""
    if venue.is_play_money(settings):
        print("The built-in exchange needs no guard: it ends with the bot.")
        return 0
    where = listen or settings.GUARD
    if not where:
        raise SettingsError(["GUARD is not set: name the address, or say --listen HOST:PORT"])
    address = _address(where)
    if not settings.GUARD_SECRET:
        raise SettingsError(["GUARD_SECRET is missing: put it into .env or the environment"])
    clock = Clock()
    connector = venue.open_connector(settings, str(settings.SYMBOL), clock)
    path = venue.guard_lock(settings, connector)
    watch = Watch(clock, path.exists)
    name = venue.guard_name(settings, connector)
    try:
        if not path.exists():  # else it has work to do, whatever the exchange says now
            _try_out(connector)
        server = GuardServer(address, settings.GUARD_SECRET, name, watch)
    except OSError as error:
        connector.stop()
        where = ":".join(map(str, address))
        raise SettingsError([f"Cannot listen on {where}: {error.strerror or error}"]) from None
    except StopTrading:
        connector.stop()
        raise
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    host, port = server.server_address[:2]
    what = (connector.symbol, connector.name, host, port)
    logger.info("Guarding %s on %s; listening on %s:%s.", *what)
    clock.repeat(lambda: server.serve_forever(poll_interval=_LOOK_S), "guard")
    try:
        if path.exists():  # the guard before this one may have died over its work
            logger.warning("Locked: %s", path.read_text(encoding="utf-8").strip())
            clear(connector, settings.ORDERID_PREFIX, clock, ended)
        while not ended.wait(_LOOK_S):
            if watch.is_due() and watch.lock(lambda: _write(path)):
                logger.error("The bot has fallen silent: cancelling its orders.")
                clear(connector, settings.ORDERID_PREFIX, clock, ended)
    finally:
        server.shutdown()
        server.server_close()
        connector.stop()
    return 0


def _try_out(connector: Connector) -> None:
    """Raise StopTrading where the guard could not cancel once it must; what may pass is said."""
    try:
        with first_answers():
            connector.fetch_open_orders()
    except ExchangeError as error:
        reason = no_start(error)
        if isinstance(reason, SettingsError):
            raise reason from None
        logger.warning("The guard cannot see the orders yet: %s", error.message)


def clear(
    connector: Connector, prefix: str, clock: Clock, ended: threading.Event | None = None
) -> int:
    """Cancel the orders that bear *prefix* until the exchange lists none, also after the last
    request of the bot can have arrived. On a venue without client ids: all of the symbol.

    Answers how many were found. Does not give up before *ended* is set.
    """
    stop = ended or threading.Event()
    found: set[str] = set()
    clean_since_s: float | None = None
    while not stop.is_set():
        try:
            rows = connector.fetch_open_orders()
            ids = [str(row["orderID"]) for row in rows if _is_ours(row, connector, prefix)]
            for batch in batches(ids, max(1, connector.caps.max_cancel)):
                connector.cancel(batch)
            found.update(ids)
            clean_since_s = None if ids else clean_since_s or clock.monotonic()
        except (ExchangeError, BotError, *ODD) as error:  # a key may be taken again, too
            logger.warning("Cannot cancel yet: %s", error)
            clean_since_s = None
        settle_s = (connector.caps.request_expiry_s or 5.0) + _SKEW_S
        if clean_since_s is not None and clock.monotonic() - clean_since_s > settle_s:
            logger.info("Cancelled %d orders; the exchange lists none of ours.", len(found))
            return len(found)
        clock.wait(stop, _PAUSE_S)
    logger.error("Ended before it was certain that no order is left.")
    return len(found)


def unlock(settings: Settings) -> int:
    """Let a bot that the guard has stopped trade again."""
    if venue.is_play_money(settings):
        print("The built-in exchange has no guard: there is nothing to unlock.")
        return 0
    connector = venue.open_connector(settings, str(settings.SYMBOL), Clock())
    connector.stop()
    path = venue.guard_lock(settings, connector)
    if not path.exists():
        print(f"No guard has locked {connector.symbol} here.")
        return 0
    print(path.read_text(encoding="utf-8").strip())
    path.unlink()
    print(f"A bot may trade {connector.symbol} again.")
    return 0


def _is_ours(row: Row, connector: Connector, prefix: str) -> bool:
    if not connector.caps.client_ids:
        return True
    return str(row.get("clOrdID") or "").startswith(prefix)


def _write(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.fromtimestamp(Clock().now(), UTC)
    path.write_text(f"The bot fell silent at {moment:%Y-%m-%d %H:%M:%S} UTC.\n", encoding="utf-8")


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except ValueError as error:
        raise SettingsError([f"GUARD: {error}"]) from None
