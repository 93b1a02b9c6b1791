"""Where a scene is played: an exchange with one account, and the bot's way to it."""

import math
from collections.abc import Callable
from typing import Any, Protocol

from market_maker.clock import ManualClock
from market_maker.exchanges.base import Connector
from market_maker.exchanges.bitmex import BitMEXConnector, topics
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.market.presets import PRESETS
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.twin import Twin
from market_maker.utils.errors import SettingsError

START_S = 1_600_000_000.0


class StageClock(ManualClock):
    """A manual clock at whose end the bot hears what Ctrl-C would tell it."""

    def __init__(self, start_s: float = START_S) -> None:
        super().__init__(start_s)
        self.curtain_s = math.inf
        self.is_busy: Callable[[], bool] = lambda: False  # an answer is awaited: not now
        self._depth = 0

    def _move(self, until_s: float, event: object) -> None:
        self._depth += 1
        try:
            super()._move(until_s, event)  # type: ignore[arg-type]
        finally:
            self._depth -= 1
        if not self._depth and self.now_s >= self.curtain_s and not self.is_busy():
            self.curtain_s = math.inf
            raise KeyboardInterrupt


class Place(Protocol):
    """An exchange in whatever language, with the account that the bot has there."""

    clock: StageClock
    engine: Engine
    account: Account
    faults: Faults
    symbol: str  # as the engine calls it
    unit: float  # what one of its contracts is in the bot's sizes

    def connector(self, settings: Any) -> Connector:
        """The bot's way to it."""

    def held(self) -> float:
        """What the account holds, in contracts of the engine."""

    def is_armed(self) -> bool:
        """Whether the account's dead man's switch is."""


class Home:
    """The built-in exchange in BitMEX's language, as the bot has it by default."""

    unit = 1.0

    def __init__(
        self,
        seed: int,
        settings: Any,
        recorded: RecordedMarket | None = None,
        start_s: float = START_S,
    ) -> None:
        """With the market of SIM_MARKET, or a *recorded* one of the symbol, from *start_s* on."""
        self.clock = StageClock(start_s)
        self.symbol = str(settings.SYMBOL)
        market = recorded or SyntheticMarket(seed, PRESETS[settings.SIM_MARKET])
        listed = [recorded.instrument] if recorded else None
        self.engine = Engine(self.clock, listed, market=market, seed=seed)
        if self.symbol not in self.engine.symbols():
            known = ", ".join(self.engine.symbols())
            raise SettingsError([f"The drill has no {self.symbol}: choose one of {known}."])
        self.clock.attach(self.engine)
        self.account = self.engine.open_account(round(settings.SIM_BALANCE * 1e8))
        self.faults = Faults(self.engine, seed)

    def connector(self, settings: Any) -> Connector:
        twin = Twin(
            self.engine, self.account, settings.SIM_PROFILE, topics(self.symbol, True),
            faults=self.faults, clock=self.clock, timeout_s=settings.TIMEOUT,
        )  # fmt: skip
        return BitMEXConnector(twin.transport, twin.stream, self.symbol, bulk=settings.ORDER_BULK)

    def held(self) -> float:
        return float(self.engine.position_row(self.account.number, self.symbol)["currentQty"] or 0)

    def is_armed(self) -> bool:
        return self.engine.timer(self.account.number) is not None
