"""How the user's bot comes to trade at a place, and is heard no more than a rehearsal should be."""

import contextlib
import io
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path

from market_maker.clock import ManualClock
from market_maker.drill.place import Place
from market_maker.drill.strategy import load, put_on
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.settings import Settings
from market_maker.venue import gateway_rules


def seat(
    place: Place, settings: Settings, seed: int, journal_path: str | Path = ":memory:"
) -> OrderManager:
    """The bot of the *settings*, connected and not yet started; raises SettingsError."""
    connector, clock = place.connector(settings), place.clock
    desk = Desk(
        connector,
        clock=clock,
        journal=Journal(journal_path, clock),
        budget=RateBudget(clock, *connector.caps.budget),
        rng=random.Random(seed),
        rules=gateway_rules(settings),
        prefix=settings.ORDERID_PREFIX,
    )
    rng = random.Random(-seed)
    exchange = ExchangeInterface(desk=desk, settings=settings, clock=clock, rng=rng)
    return put_on(load(settings), exchange, settings=settings, clock=clock, rng=rng)


class LastWords(logging.Handler):
    """Keeps the first error of the log: why the run ended."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        said = f"{type(error).__name__}: {error}" if error else record.getMessage()
        self.text = self.text or said.removeprefix("Stopping: ")


@contextlib.contextmanager
def silence(clock: ManualClock, last_words: logging.Handler) -> Iterator[None]:
    """What strategies print is not shown, and those that sleep do so on the manual clock."""
    logger, sleep = logging.getLogger("root"), time.sleep
    handlers, logger.handlers = logger.handlers, [last_words]
    time.sleep = clock.sleep  # type: ignore[assignment]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        time.sleep = sleep
        logger.handlers = handlers
