"""OKX's two sockets, public and private, as the one stream that the bot listens to.

Only when both are subscribed are the images read over REST and handed on, then what came
meanwhile, then what comes. When one is lost, both begin anew: half a view is none.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from requests.exceptions import RequestException

from market_maker.exchanges.base import Sink
from market_maker.exchanges.okx_tables import BookGap, OkxTables, Table
from market_maker.exchanges.receiver import start_receiving
from market_maker.exchanges.stream import LOGIN_REFUSED
from market_maker.model.wire import (
    BackOff,
    Connected,
    Disconnected,
    Message,
    Poll,
    Ready,
    Stream,
    StreamEvent,
)

logger = logging.getLogger("root")

_UPGRADE = "64008"  # the venue is about to close the connection
_MAX_HELD = 10_000
_REFUSALS = {"60005", "60006", "60007", "60009", "60011", "60022", "60024"}  # of the login


class OkxFeed:
    """Joins the sockets. `reply` hears the answers to order frames."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: OkxTables,
        read_images: Callable[[], Iterable[Table]],
        on_reply: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.tables = tables
        self.is_live = False
        self._streams = streams  # "public" and, with a key, "private"
        self._read_images = read_images
        self._on_reply = on_reply
        self._ready: set[str] = set()
        self._held: list[Message] = []  # frames that came before the images
        self._sink: Sink = lambda _: None
        self._lock = threading.RLock()  # the sockets have a thread each

    def start(self, sink: Sink) -> None:
        self._sink = sink
        for name, stream in self._streams.items():
            start_receiving(stream, partial(self._hear, name), f"receive-{name}")

    def reconnect(self) -> None:
        for stream in self._streams.values():
            stream.reconnect()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()

    def _hear(self, name: str, event: StreamEvent) -> None:
        with self._lock:
            match event:
                case Message():
                    self._message(event)
                case Ready():
                    self._ready.add(name)
                    if self._ready == self._streams.keys():
                        self._begin(event)
                case Disconnected():
                    self._lose(name, event)
                case Poll() | BackOff():
                    self._sink(event)
                case Connected():
                    self._ready.discard(name)

    def _begin(self, event: Ready) -> None:
        try:
            images = list(self._read_images())
        except (RequestException, ConnectionError, LookupError, ValueError) as error:
            logger.warning("The account and the market cannot be read yet: %s", error)
            self.reconnect()
            return
        self._sink(Connected(event.recv_ns))
        self._sink(event)
        for table in images:
            self._sink(Message(event.recv_ns, table))
        self.is_live = True
        held, self._held = self._held, []
        for message in held:
            self._message(message)

    def _lose(self, name: str, event: Disconnected) -> None:
        self._ready.discard(name)
        self._held = []
        if event.reason.startswith(LOGIN_REFUSED):
            self._sink(Message(event.recv_ns, {"status": 401, "error": event.reason}))
        if not self.is_live and self._ready:
            return
        was_live, self.is_live = self.is_live, False
        if was_live:
            self._sink(event)
            for other in self._ready.copy():
                self._streams[other].reconnect()

    def _message(self, message: Message) -> None:
        data = message.data
        if not isinstance(data, Mapping):
            return
        if "op" in data and "id" in data:
            self._on_reply(data)
        elif "event" in data:
            self._note(message, data)
        elif not self.is_live:
            if len(self._held) >= _MAX_HELD:
                self.reconnect()
            self._held.append(message)
        else:
            self._translate(message, data)

    def _translate(self, message: Message, data: Mapping[str, Any]) -> None:
        try:
            for table in self.tables.read(data):
                self._sink(Message(message.recv_ns, table))
        except BookGap as gap:
            logger.warning("%s: connecting anew.", gap)
            self.reconnect()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The venue may change a column; what we believe must not come from half a frame.
            logger.warning("A frame of %s cannot be read: %r", data.get("arg"), error)
            self.reconnect()

    def _note(self, message: Message, data: Mapping[str, Any]) -> None:
        if data["event"] == "error":
            status = 401 if str(data.get("code")) in _REFUSALS else 400
            text = f"{data.get('code')} {data.get('msg')}"
            request = {"op": "subscribe"}
            error = {"status": status, "error": text, "request": request}
            self._sink(Message(message.recv_ns, error))
        elif str(data.get("code")) == _UPGRADE:
            self.reconnect()
