"""A bot and an exchange that can only be asked, in one process on a manual clock."""

from collections.abc import Callable
from functools import partial
from typing import Any

from market_maker.exchanges.base import Connector
from market_maker.exchanges.plain import PlainVenue
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.poller import Pace
from market_maker.model.wire import Answer, Request
from market_maker.settings import Settings
from market_maker.simulator.dialects.plain import PlainRest
from market_maker.simulator.exchange import Account
from market_maker.simulator.faults import UNHARMED, Fate, Faults
from market_maker.simulator.twin import TwinTransport
from tests.world import World


class Faulty:
    """The dialect with the wire's faults before it."""

    def __init__(self, rest: PlainRest, faults: Faults) -> None:
        self.rest, self.faults = rest, faults

    def fate(self, request: Request, account: Account | None) -> Fate:
        if not self.faults.active:
            return UNHARMED
        return self.faults.fate(request.verb, request.path, account.number if account else 0)

    def meet(self, fate: Fate, request: Request, account: Account | None) -> Answer:
        engine = self.rest.engine
        if fate.late_s is not None:
            act = partial(self.rest.handle, request, account)
            engine.call_at(engine.now() + fate.late_s, act)
        own = self.rest.handle(request, account) if fate.acts else None
        return fate.answer or own or Answer(500, "", {})


class PlainWorld(World):
    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        transport: Any = TwinTransport(
            Faulty(PlainRest(self.engine), self.faults), self.account, self.clock, settings.TIMEOUT
        )
        return PolledConnector(
            PlainVenue(wrap(transport) if wrap else transport, settings.SYMBOL),
            settings.SYMBOL,
            clock=self.clock,
            pace=Pace(),
            account_key=str(self.account.number),
        )
