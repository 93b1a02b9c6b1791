"""HitBTC's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.hitbtc_session import HitbtcSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.hitbtc_tongue import FaultyHitbtc
from market_maker.simulator.twin import PATIENCE_S, TwinStream, TwinTransport


class HitbtcTwinStream(TwinStream):
    """A socket that subscribes in HitBTC's words, a frame for each topic.

    With `answers_first` the reports of what a request has done come after its answer.
    """

    answers_first = False
    _waiting: list[Scoped] | None = None  # pushes that wait for an answer

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises ConnectionError without a connection."""
        if self._sink is None:
            raise ConnectionError("the stream is not connected")
        self._waiting = [] if self.answers_first else None
        is_topics = message.get("op") == "subscribe"
        for frame in message["args"] if is_topics else (message,):
            super().send(frame)
        waiting, self._waiting = self._waiting or [], None
        self.on_event(waiting)

    def on_event(self, messages: Sequence[Scoped]) -> None:
        if self._waiting is not None:
            self._waiting += messages
        else:
            super().on_event(messages)


class HitbtcTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        public_topics: Sequence[Row],
        private_topics: Sequence[Row],
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        """*faults* may be shared by several twins; *clock* is whose time their waiting takes."""
        self.faults = faults or Faults(engine)
        self.dialect = dialect = FaultyHitbtc(engine, self.faults)
        self.transport = TwinTransport(dialect, account, clock, timeout_s)
        self.streams = {
            "public": HitbtcTwinStream(
                dialect, lambda: HitbtcSession(dialect, "public"), public_topics
            ),
            "private": HitbtcTwinStream(
                dialect, lambda: HitbtcSession(dialect, "trading", account), private_topics
            ),
        }
        dialect.deliver = self._deliver
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        self._deliver(self.dialect.render(event))

    def _deliver(self, messages: Sequence[Scoped]) -> None:
        for stream in self.streams.values():
            stream.on_event(messages)
