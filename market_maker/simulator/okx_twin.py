"""OKX's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.okx_session import OkxSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.okx_tongue import FaultyOkx
from market_maker.simulator.twin import PATIENCE_S, TwinStream, TwinTransport


class OkxTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        public_topics: Sequence[Any],
        private_topics: Sequence[Any],
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        """*faults* may be shared by several twins; *clock* is whose time their waiting takes."""
        self.faults = faults or Faults(engine)
        self.dialect = dialect = FaultyOkx(engine, self.faults)
        self.transport = TwinTransport(dialect, account, clock, timeout_s)
        self.streams = {
            "public": TwinStream(dialect, lambda: OkxSession(dialect, "public"), public_topics),
            "private": TwinStream(
                dialect, lambda: OkxSession(dialect, "private", account), private_topics
            ),
        }
        dialect.deliver = self._deliver
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        self._deliver(self.dialect.render(event))

    def _deliver(self, messages: Sequence[Scoped]) -> None:
        for stream in self.streams.values():
            stream.on_event(messages)
