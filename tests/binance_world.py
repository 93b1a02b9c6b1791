"""A bot and an exchange that speaks Binance's language, in one process on a manual clock."""

from collections.abc import Callable, Mapping
from typing import Any

from market_maker.auth.binance import BinanceSigner
from market_maker.exchanges.base import Connector
from market_maker.exchanges.binance import BinanceConnector, public_topics
from market_maker.exchanges.binance_calls import FrameCalls, Limits, RestCalls
from market_maker.exchanges.binance_line import SharedLine
from market_maker.exchanges.binance_reads import ServerTime
from market_maker.settings import Settings
from market_maker.simulator.binance_twin import BinanceTwin
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.exchange import MarketSource
from tests.world import World

ENTRIES = ("ws", "rest")  # how orders go out


class BinanceWorld(World):
    """The *profile* of a bot is here how its orders go out: "ws", "shared" (a socket that another
    bot has too) or "rest"."""

    twin: BinanceTwin  # of the bot that came last
    symbol, unit = BTCUSDT.symbol, 1e-6

    def __init__(self, market: MarketSource | None = None, seed: int = 1, **engine: Any) -> None:
        super().__init__(market, seed, **{"instruments": [BTCUSDT], **engine})
        # what is lost of the next frame: nothing, the "request", the "answer", or all is "cut"
        self.lose: Callable[[], str] = lambda: ""

    def settings(self, **changes: Any) -> Settings:
        small = {
            "EXCHANGE": "binance", "SYMBOL": "BTCUSDT", "BINANCE_API_KEY": "k",
            "BINANCE_API_SECRET": "s", "ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001,
            "SPOT_BASE_INVENTORY": 1,
        }  # fmt: skip
        return super().settings(**{**small, **changes})

    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        symbol = settings.SYMBOL
        self.twin = BinanceTwin(
            self.engine,
            self.account,
            public_topics(symbol),
            faults=self.faults,
            clock=self.clock,
            timeout_s=settings.TIMEOUT,
        )
        time, limits = ServerTime(self.clock), Limits()
        signer = BinanceSigner(self.account.key, self.account.secret, time.now)
        frames = FrameCalls(self.send, signer, limits, self.clock, settings.TIMEOUT)
        transport = wrap(self.twin.transport) if wrap else self.twin.transport
        streams: dict[str, Any] = dict(self.twin.streams)
        if profile == "shared":
            line = SharedLine(streams["private"])
            line.member().attach(lambda _: None)  # of another bot, which does nothing
            streams["private"] = line.member()
        return BinanceConnector(
            RestCalls(transport, signer, limits),
            frames,
            streams,
            symbol,
            limits=limits,
            time=time,
            prefix=settings.ORDERID_PREFIX,
            account_key=str(self.account.number),
            spot_inventory=settings.SPOT_BASE_INVENTORY,
            order_entry="rest" if profile == "rest" else "ws",
        )

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame over the private socket."""
        stream, lost = self.twin.streams["private"], self.lose()
        if not lost or stream._sink is None:
            stream.send(frame)
        elif lost != "request":
            stream._session._say, say = (lambda _: None), stream._session._say  # type: ignore[attr-defined]
            stream._session.receive(frame)
            stream._session._say = say  # type: ignore[attr-defined]
        if lost == "cut":
            stream.reconnect()

    def held(self) -> float:
        """By the balance of the base currency, which pays fees; 1 BTC is inventory."""
        balance_sat = self.engine.margin_row(self.account.number, "XBt")["walletBalance"]
        return float(balance_sat - 100_000_000) / BTCUSDT.base_unit
