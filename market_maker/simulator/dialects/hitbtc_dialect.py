"""HitBTC's language over the engine as one: calls, channels, and both sockets' clients."""

from collections.abc import Callable

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.hitbtc import API, HitbtcRest
from market_maker.simulator.dialects.hitbtc_feed import HitbtcFeed
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine


class HitbtcDialect:
    """HitBTC v3 over one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.rest = HitbtcRest(engine)
        self.feed = HitbtcFeed(self.rest)
        self.feed.on_late = lambda: self.deliver(self.feed.take_late())
        self.deliver: Callable[[list[Scoped]], None] = lambda _: None

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call; *account* is whose key signed it."""
        return self.rest.handle(request._replace(path=request.path.removeprefix(API)), account)

    def render(self, event: Event) -> list[Scoped]:
        """The pushes that tell of *event*, each with whom it is for."""
        return self.feed.render(event)

    def ask(
        self, request: Request, account: Account | None, reply: Callable[[Answer], None]
    ) -> None:
        """Act on a call that came by the stream; *reply* hears its answer."""
        reply(self.handle(request, account))
