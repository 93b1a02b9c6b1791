"""Every connector with the dialect it speaks to: the table of the contract suite."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from market_maker.drill.place import StageClock
from market_maker.exchanges.base import Connector
from market_maker.settings import Settings
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.synthetic import SyntheticMarket
from tests.binance_world import BinanceWorld
from tests.ccxt_world import CcxtWorld
from tests.hitbtc_world import HitbtcWorld
from tests.okx_world import OkxWorld
from tests.plain_world import PlainWorld
from tests.world import World

NO_STREAM = dict.fromkeys(
    ("duplicate", "reorder", "skip", "stale", "late-event", "late-position", "close", "freeze"),
    "nothing is streamed",
)
SPOT = dict.fromkeys(
    ("liquidation", "deleveraging"), "spot is owned: there is nothing to call in"
)  # fmt: skip
POLLED = SPOT | NO_STREAM
DECIMAL = dict.fromkeys(("tick-size", "lot-size"), "steps are powers of ten there")


class Venue(NamedTuple):
    """A connector and what it speaks to."""

    world: Callable[..., World]
    profile: str
    unfit: Mapping[str, str] = {}  # fault -> why it cannot happen there
    options: Mapping[str, Any] = {}  # of the world


# Of each language one is played with other markets beside its own, and the rest without: their
# traders take most of the time.
ALONE = {"instruments": [XBTUSD]}

VENUES = {
    "bitmex classic": Venue(World, "classic", {}, ALONE),
    "bitmex last": Venue(World, "last"),
    "okx by socket": Venue(OkxWorld, "ws"),
    "okx by rest": Venue(OkxWorld, "rest", {}, ALONE),
    "binance by socket": Venue(BinanceWorld, "ws", SPOT),
    "binance by shared socket": Venue(BinanceWorld, "shared", SPOT),
    "binance by rest": Venue(BinanceWorld, "rest", SPOT),
    "hitbtc": Venue(HitbtcWorld, "ws", SPOT),
    "hitbtc replaying": Venue(HitbtcWorld, "ws", SPOT, {"replays": True}),
    "hitbtc by rest": Venue(HitbtcWorld, "rest", SPOT),
    "ccxt polling binance": Venue(CcxtWorld, "", POLLED),
    "ccxt polling htx": Venue(CcxtWorld, "", POLLED | DECIMAL, {"venue": "htx"}),
    "ccxt polling kraken": Venue(CcxtWorld, "", POLLED | DECIMAL, {"venue": "kraken"}),
    "ccxt polling bybit": Venue(CcxtWorld, "", POLLED, {"venue": "bybit"}),
    "plain": Venue(PlainWorld, "", NO_STREAM),
}


class Booth:
    """A venue's world as the place of a scene of the drill."""

    def __init__(self, venue: Venue, seed: int) -> None:
        self.clock = StageClock()
        market = SyntheticMarket(seed)
        self.world = world = venue.world(market, seed, clock=self.clock, **venue.options)
        self.engine, self.account, self.faults = world.engine, world.account, world.faults
        self.symbol, self.unit = world.symbol, world.unit
        self.held, self.is_armed = world.held, world.is_armed
        self._profile = venue.profile

    def connector(self, settings: Settings) -> Connector:
        return self.world.connector(settings, self._profile, None)
