"""HitBTC's two sockets: answers, the snapshot that the private one begins with, refusals."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.exchanges.feed import JoinedFeed, Table
from market_maker.exchanges.hitbtc_requests import Requests
from market_maker.exchanges.hitbtc_tables import HitbtcTables
from market_maker.model.rows import Row
from market_maker.model.wire import Message, Stream

SUBSCRIPTIONS = range(1, 100)  # the ids of frames that subscribe
_REFUSALS = (1001, 1002, 1003, 1004, 1005)


class HitbtcFeed(JoinedFeed):
    """Begins once the open orders have come: from there on no report is missing."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: HitbtcTables,
        read_images: Callable[[], Iterable[Table]],
        requests: Requests | None,
    ) -> None:
        super().__init__(streams, tables, read_images)
        self.snapshot: list[Row] | None = None  # the open orders that the socket began with
        self._requests = requests
        self._has_account = "private" in streams

    def tell(self, tables: Iterable[Table]) -> None:
        """Hand on what an answer that nobody waits for amounts to."""
        with self._lock:
            if self.is_live:
                for table in tables:
                    self._sink(Message(0, table))

    def _is_whole(self) -> bool:
        return not self._has_account or self.snapshot is not None

    def _has_begun(self) -> None:
        if self._requests is not None:
            self._requests.reconcile({str(raw["client_order_id"]) for raw in self.snapshot or ()})

    def _has_lost(self, name: str) -> None:
        if name == "private":
            self.snapshot = None
            if self._requests is not None:
                self._requests.lose()

    def _note(self, message: Message, data: Mapping[str, Any]) -> bool:
        if data.get("method") == "spot_orders":
            # What came before is in it.
            self._held = [m for m in self._held if m.data.get("method") != "spot_order"]
            self.snapshot = list(data.get("params") or ())
            self._begin_if_whole(message.recv_ns)
            return True
        if data.get("method") == "spot_order" and self._requests is not None:
            self._requests.see(data.get("params") or {})
        if "ch" in data or "method" in data:
            return False
        if data.get("id") in SUBSCRIPTIONS:
            self._on_subscription(message, data)
        elif self._requests is not None:
            self._requests.reply(data)
        return True

    def _on_subscription(self, message: Message, data: Mapping[str, Any]) -> None:
        error = data.get("error")
        if isinstance(error, Mapping):
            status = 401 if error.get("code") in _REFUSALS else 400
            self._say_refused(message, status, f"{error.get('message')} ({error.get('code')})")
