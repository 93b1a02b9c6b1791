"""A bot and an exchange that can only be asked, in one process on a manual clock."""

from collections.abc import Callable
from typing import Any

from market_maker.exchanges.base import Connector
from market_maker.exchanges.plain import PlainVenue
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.reads import Pace
from market_maker.settings import Settings
from market_maker.simulator.plain_tongue import FaultyPlain
from market_maker.simulator.twin import TwinTransport
from tests.world import World


class PlainWorld(World):
    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        transport: Any = TwinTransport(
            FaultyPlain(self.engine, self.faults), self.account, self.clock, settings.TIMEOUT
        )
        return PolledConnector(
            PlainVenue(
                wrap(transport) if wrap else transport,
                settings.SYMBOL,
                lambda: self.engine.skew_s,
            ),
            settings.SYMBOL,
            clock=self.clock,
            pace=Pace(),
            account_key=str(self.account.number),
        )
