"""OKX's two sockets: which of their frames are answers and notes rather than data."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.exchanges.feed import JoinedFeed, Table
from market_maker.exchanges.okx_tables import OkxTables
from market_maker.model.wire import Message, Stream

_UPGRADE = "64008"  # the venue is about to close the connection
_REFUSALS = {"60005", "60006", "60007", "60009", "60011", "60022", "60024"}  # of the login


class OkxFeed(JoinedFeed):
    """`on_reply` hears the answers to order frames."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: OkxTables,
        read_images: Callable[[], Iterable[Table]],
        on_reply: Callable[[Mapping[str, Any]], None],
    ) -> None:
        super().__init__(streams, tables, read_images)
        self._on_reply = on_reply

    def _note(self, message: Message, data: Mapping[str, Any]) -> bool:
        if "op" in data and "id" in data:
            self._on_reply(data)
        elif "event" not in data:
            return False
        elif data["event"] == "error":
            status = 401 if str(data.get("code")) in _REFUSALS else 400
            self._say_refused(message, status, f"{data.get('code')} {data.get('msg')}")
        elif str(data.get("code")) == _UPGRADE:
            self.reconnect()
        return True
