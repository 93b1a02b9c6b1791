"""A bot and an exchange in one process, on one clock that moves only when told."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.clock import ManualClock
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges.base import Connector
from market_maker.exchanges.bitmex import BitMEXConnector, topics
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.market_maker import OrderManager
from market_maker.settings import Settings, load
from market_maker.simulator.exchange import Account, Engine, MarketSource
from market_maker.simulator.faults import Faults
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.twin import Twin
from market_maker.venue import gateway_rules

START_S = 1_600_000_000.0


class World:
    """An exchange with a market, and as many bots on it as a test asks for."""

    symbol = "XBTUSD"  # as the engine calls it
    unit = 1.0  # what one of the engine's contracts is in the bot's sizes

    def __init__(
        self,
        market: MarketSource | None = None,
        seed: int = 1,
        *,
        clock: ManualClock | None = None,
        **engine: Any,
    ) -> None:
        self.clock = clock or ManualClock(START_S)
        self.engine = Engine(
            self.clock, market=market or SyntheticMarket(seed=seed), seed=seed, **engine
        )
        self.clock.attach(self.engine)
        self.account: Account = self.engine.open_account()
        self.faults = Faults(self.engine, seed)  # none until a test adds one
        self._desks = -1

    def settings(self, **changes: Any) -> Settings:
        """The defaults, with *changes*."""
        settings = load("XBTUSD", environ={}, cwd="/nonexistent")
        settings.WATCHED_FILES = []  # a test must not restart itself because somebody saves a file
        settings.update(changes)
        return settings

    def desk(
        self,
        settings: Settings,
        profile: str = "classic",
        wrap: Callable[[Any], Any] | None = None,
        journal: Journal | None = None,
    ) -> Desk:
        """A desk over the twin; *wrap* may put something between it and the exchange."""
        self._desks += 1
        connector = self.connector(settings, profile, wrap)
        return Desk(
            connector,
            clock=self.clock,
            journal=journal or Journal(":memory:", self.clock),
            budget=RateBudget(self.clock, *connector.caps.budget),
            rng=random.Random(7 + self._desks),  # no two bots draw the same order ids
            rules=gateway_rules(settings),
            prefix=settings.ORDERID_PREFIX,
            dry_run=bool(settings.DRY_RUN),
        )

    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        """A connector over the exchange's wire in process."""
        twin = Twin(
            self.engine,
            self.account,
            profile=profile,
            topics=topics(settings.SYMBOL, True),
            faults=self.faults,
            clock=self.clock,
            timeout_s=settings.TIMEOUT,
        )
        transport = wrap(twin.transport) if wrap else twin.transport
        return BitMEXConnector(transport, twin.stream, settings.SYMBOL, bulk=settings.ORDER_BULK)

    def bot(
        self,
        strategy: type[OrderManager] = OrderManager,
        profile: str = "classic",
        wrap: Callable[[Any], Any] | None = None,
        journal: Journal | None = None,
        **changes: Any,
    ) -> OrderManager:
        """A manager that trades here, not yet started."""
        settings = self.settings(**changes)
        exchange = ExchangeInterface(
            bool(settings.DRY_RUN),
            desk=self.desk(settings, profile, wrap, journal),
            settings=settings,
            clock=self.clock,
            rng=random.Random(3),
        )
        return strategy(exchange, settings=settings, clock=self.clock, rng=exchange.rng)

    def run(self, bot: OrderManager, seconds: float) -> None:
        """Rounds of *bot* until *seconds* have gone by."""
        end_s = self.clock.now() + seconds
        if not bot.is_running:
            bot.start()
        while self.clock.now() < end_s:
            bot.run_once()
            bot.wait_for_change()

    def open_orders(self) -> list[Any]:
        """What rests on our account, as the exchange itself has it."""
        return [order for order in self.engine.orders(self.account.number) if order.leaves_qty]

    def position(self) -> Mapping[str, Any]:
        return self.engine.position_row(self.account.number, self.symbol)

    def held(self) -> float:
        """The position as the exchange has it, in its own contracts."""
        return float(self.position()["currentQty"] or 0)

    def is_armed(self) -> bool:
        """Whether the account's dead man's switch is."""
        return self.engine.timer(self.account.number) is not None
