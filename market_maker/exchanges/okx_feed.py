"""OKX's two sockets: which of their frames are answers and notes rather than data."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.exchanges.feed import JoinedFeed, Table
from market_maker.exchanges.okx_frames import OrderFrames
from market_maker.exchanges.okx_tables import OkxTables
from market_maker.model.wire import Message, Stream

_UPGRADE = "64008"  # the venue is about to close the connection
_REFUSALS = {"60005", "60006", "60007", "60009", "60011", "60022", "60024"}  # of the login


class OkxFeed(JoinedFeed):
    """*frames* hear the answers to them, and when none will come any more."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: OkxTables,
        read_images: Callable[[], Iterable[Table]],
        frames: OrderFrames | None,
    ) -> None:
        super().__init__(streams, tables, read_images)
        self._frames = frames

    def _note(self, message: Message, data: Mapping[str, Any]) -> bool:
        if "op" in data and "id" in data:
            if self._frames is not None:
                self._frames.reply(data)
        elif "event" not in data:
            return False
        elif data["event"] == "error":
            status = 401 if str(data.get("code")) in _REFUSALS else 400
            self._say_refused(message, status, f"{data.get('code')} {data.get('msg')}")
        elif str(data.get("code")) == _UPGRADE:
            self.reconnect()
        return True

    def _has_lost(self, name: str) -> None:
        if name == "private" and self._frames is not None:
            self._frames.lose()
