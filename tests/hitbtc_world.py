"""A bot and an exchange that speaks HitBTC's language, in one process on a manual clock."""

from collections.abc import Callable
from typing import Any

from market_maker.exchanges.base import Connector
from market_maker.exchanges.hitbtc import HitbtcConnector, private_topics, public_topics
from market_maker.settings import Settings
from market_maker.simulator.exchange import MarketSource
from market_maker.simulator.hitbtc_twin import HitbtcTwin
from market_maker.simulator.instruments import XBT_USDT
from tests.hitbtc_doubles import Line
from tests.world import World

ENTRIES = ("ws", "rest")  # how orders go out
SPOT = XBT_USDT.symbol
CONTRACT = 1e-6  # BTC: what the engine counts in
INVENTORY = 1.0  # BTC, which every account starts with


class HitbtcWorld(World):
    """The *profile* of a bot is here how its orders go out: "ws" or "rest"."""

    symbol, unit = SPOT, CONTRACT
    twin: HitbtcTwin  # of the bot that came last, and what lies between
    hitbtc: HitbtcConnector
    line: Line

    def __init__(
        self,
        market: MarketSource | None = None,
        seed: int = 1,
        *,
        answers_first: bool = False,
        replays: bool = False,
        **engine: Any,
    ) -> None:
        super().__init__(market, seed, instruments=[XBT_USDT], **engine)
        self._answers_first, self._replays = answers_first, replays

    def settings(self, **changes: Any) -> Settings:
        sizes = {"ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001, "SYMBOL": "BTCUSDT"}
        return super().settings(**sizes | changes)

    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        symbol = settings.SYMBOL
        self.twin = HitbtcTwin(
            self.engine,
            self.account,
            public_topics(symbol),
            private_topics(),
            faults=self.faults,
            clock=self.clock,
            timeout_s=settings.TIMEOUT,
        )
        private = self.twin.streams["private"]
        private.answers_first = self._answers_first
        self.line = Line(private)
        streams: Any = {"public": self.twin.streams["public"], "private": self.line}
        self.hitbtc = HitbtcConnector(
            wrap(self.twin.transport) if wrap else self.twin.transport,
            streams,
            symbol,
            clock=self.clock,
            prefix=settings.ORDERID_PREFIX,
            account_key=str(self.account.number),
            order_entry="rest" if profile == "rest" else "ws",
            spot_inventory=INVENTORY,
            timeout_s=settings.TIMEOUT,
            replays=self._replays,
        )
        return self.hitbtc
