"""Binance spot's language over the engine as one: requests, streams, and events."""

from collections.abc import Callable

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance import BinanceApi
from market_maker.simulator.dialects.binance_stream import BinanceFeed
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine


class BinanceDialect:
    """Binance spot over one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.api = BinanceApi(engine)
        self.feed = BinanceFeed(self.api)
        self.deliver: Callable[[list[Scoped]], None] = _nowhere

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call; *account* is whose key signed it."""
        return self.api.handle(request, account)

    def render(self, event: Event) -> list[Scoped]:
        """The frames that tell of *event*, each with whom it is for."""
        return self.feed.render(event)

    def ask(
        self, request: Request, account: Account | None, reply: Callable[[Answer], None]
    ) -> None:
        """Act on a call that came by the WebSocket API; *reply* hears its answer."""
        reply(self.handle(request, account))


def _nowhere(messages: list[Scoped]) -> None:
    """Nobody listens yet."""
