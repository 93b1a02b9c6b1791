"""A bot and an exchange that speaks OKX's language, in one process on a manual clock."""

from collections.abc import Callable
from typing import Any

from market_maker.exchanges.base import Connector
from market_maker.exchanges.okx import OkxConnector, private_topics, public_topics
from market_maker.exchanges.okx_reads import instrument_type
from market_maker.exchanges.okx_rows import instrument_id
from market_maker.settings import Settings
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.exchange import MarketSource
from market_maker.simulator.okx_twin import OkxTwin
from tests.world import World

ENTRIES = ("ws", "rest")  # how orders go out


class OkxWorld(World):
    """The *profile* of a bot is here how its orders go out: "ws" or "rest"."""

    def __init__(self, market: MarketSource | None = None, seed: int = 1, **engine: Any) -> None:
        super().__init__(market, seed, **{"instruments": INSTRUMENTS, **engine})

    twin: OkxTwin  # of the bot that came last

    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        symbol = settings.SYMBOL
        topics = (instrument_id(symbol), instrument_type(symbol))
        self.twin = OkxTwin(
            self.engine,
            self.account,
            public_topics(*topics),
            private_topics(*topics),
            faults=self.faults,
            clock=self.clock,
            timeout_s=settings.TIMEOUT,
        )
        return OkxConnector(
            wrap(self.twin.transport) if wrap else self.twin.transport,
            self.twin.streams,
            symbol,
            clock=self.clock,
            prefix=settings.ORDERID_PREFIX,
            account_key=str(self.account.number),
            order_entry="rest" if profile == "rest" else "ws",
            spot_inventory=settings.SPOT_BASE_INVENTORY,
            timeout_s=settings.TIMEOUT,
        )

    def is_armed(self) -> bool:
        return self.twin.dialect.rest.desk.is_armed(self.account)
