"""Binance's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.simulator.binance_tongue import FaultyBinance
from market_maker.simulator.dialects.binance_rows import ms
from market_maker.simulator.dialects.binance_session import ApiSession, PublicSession
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Faults
from market_maker.simulator.twin import PATIENCE_S, TwinStream, TwinTransport


class BinanceTwinStream(TwinStream):
    """A socket that subscribes in Binance's words."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises ConnectionError without a connection."""
        if self._sink is None:
            raise ConnectionError("the stream is not connected")
        if message.get("op") == "subscribe":
            if not message["args"]:
                return
            message = {"method": "SUBSCRIBE", "params": list(message["args"]), "id": 1}
        super().send(message)

    def push(self, message: dict[str, Any]) -> None:
        """Hand one frame to the client."""
        self._push(message)


class BinanceTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        topics: Sequence[str],
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        """*faults* may be shared by several twins; *clock* is whose time their waiting takes."""
        self.faults = faults or Faults(engine)
        self.dialect = dialect = FaultyBinance(engine, self.faults)
        self.transport = TwinTransport(dialect, account, clock, timeout_s)
        self.streams = {
            "public": BinanceTwinStream(dialect, lambda: PublicSession(dialect, []), topics),
            "private": BinanceTwinStream(dialect, lambda: ApiSession(dialect), ()),
        }
        dialect.deliver = self._deliver
        engine.listeners.append(self._on_event)

    def shut_down(self) -> None:
        """Announce that the server goes down."""
        told = {"event": {"e": "serverShutdown", "E": ms(self.dialect.engine.now())}}
        self.streams["private"].push(told)

    def _on_event(self, event: Event) -> None:
        self._deliver(self.dialect.render(event))

    def _deliver(self, messages: Sequence[Scoped]) -> None:
        for stream in self.streams.values():
            stream.on_event(messages)
