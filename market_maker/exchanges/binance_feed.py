"""Binance's public streams and the WebSocket API as the one stream that the bot listens to.

The account's events come over the same connection as the answers to requests, once a signed
request has subscribed them: the API keys in use (HMAC) log no session in.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.exchanges.binance_calls import FrameCalls, new_number
from market_maker.exchanges.binance_orders import refusal
from market_maker.exchanges.binance_tables import BinanceTables, Table
from market_maker.exchanges.feed import JoinedFeed
from market_maker.model.wire import Answer, Message, Ready, Stream, StreamEvent

logger = logging.getLogger("root")

SUBSCRIBE = "userDataStream.subscribe.signature"
_ACTIVE = -2035  # another bot on this connection has subscribed the account already


class BinanceFeed(JoinedFeed):
    """Joins the sockets; *calls* has the private one, where there is one."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: BinanceTables,
        read_images: Callable[[], Iterable[Table]],
        calls: FrameCalls | None,
    ) -> None:
        super().__init__(streams, tables, read_images)
        self._calls = calls
        self._asked = ""  # the id of the request that subscribes
        self._is_subscribed = calls is None

    def _hear(self, name: str, event: StreamEvent) -> None:
        if name == "private" and isinstance(event, Ready) and self._calls is not None:
            with self._lock:
                self._is_subscribed = False
                try:
                    self._asked = new_number()
                    self._calls.tell(self._asked, SUBSCRIBE, {})
                except ConnectionError:
                    return  # it is told as lost right away
        super()._hear(name, event)

    def _is_whole(self) -> bool:
        return self._is_subscribed

    def _has_lost(self, name: str) -> None:
        if name == "private" and self._calls is not None:
            self._is_subscribed = False
            self._calls.lost()

    def _note(self, message: Message, data: Mapping[str, Any]) -> bool:
        event = data.get("event")
        if isinstance(event, Mapping) and event.get("e") == "serverShutdown":
            logger.info("The exchange is about to close the connection: connecting anew.")
            self.reconnect()
            return True
        if isinstance(event, Mapping) and event.get("e") == "eventStreamTerminated":
            self.reconnect()
            return True
        if "stream" in data or "event" in data:
            return False
        if str(data.get("id")) == self._asked and "status" in data:
            self._subscribed(message, data)
        elif self._calls is None or not self._calls.reply(data):
            if data.get("error") or "code" in data:
                logger.warning("The exchange refuses a frame: %s", data.get("error") or data)
            elif "status" in data:  # what confirms a topic of the market bears none
                logger.info("Skipped an answer to a request that nobody waits for.")
        return True

    def _subscribed(self, message: Message, data: Mapping[str, Any]) -> None:
        self._asked = ""
        told = (data.get("error") or {}).get("code")
        if data["status"] == 200 or told == _ACTIVE:
            self._is_subscribed = True
            self._begin_if_whole(message.recv_ns)
            return
        answer = Answer(int(data["status"]), data.get("error"), {})
        judged = refusal(answer)
        status = judged.answer.status if judged.answer is not None else 400
        self._say_refused(message, status, judged.text)
