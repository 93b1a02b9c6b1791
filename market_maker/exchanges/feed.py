"""A venue's two sockets, public and private, as the one stream that the bot listens to.

Only when both are subscribed are the images made and handed on, then what came meanwhile, then
what comes. When one is lost, both begin anew: half a view is none.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from requests.exceptions import RequestException

from market_maker.exchanges.base import Sink
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

Table = dict[str, Any]

_MAX_HELD = 10_000


class BookGap(Exception):
    """An update of the book does not follow the one before: it must be read anew."""


class Translator(Protocol):
    """Makes table messages of a venue's frames."""

    def read(self, message: Mapping[str, Any]) -> list[Table]: ...


class JoinedFeed:
    """Joins the sockets "public" and, with a key, "private". A venue's own feed says in `_note`
    which frames are answers and notes rather than data, and in `_is_whole` what must have come
    before it can begin."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tables: Translator,
        read_images: Callable[[], Iterable[Table]],
    ) -> None:
        self.tables = tables
        self.is_live = self._was_live = False
        self._streams = streams
        self._read_images = read_images
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

    # -- what venues differ in -----------------------------------------------------------------

    def _note(self, message: Message, data: Mapping[str, Any]) -> bool:
        """Act on a frame that is no data; False for one that is."""
        raise NotImplementedError

    def _is_whole(self) -> bool:
        """Whether all is here that the images are made of."""
        return True

    def _has_begun(self) -> None:
        """The images are handed on."""

    def _has_lost(self, name: str) -> None:
        """A socket is gone."""

    # -- within --------------------------------------------------------------------------------

    def _hear(self, name: str, event: StreamEvent) -> None:
        with self._lock:
            match event:
                case Message():
                    self._message(event)
                case Ready():
                    self._ready.add(name)
                    self._begin_if_whole(event.recv_ns)
                case Disconnected():
                    self._lose(name, event)
                case Poll() | BackOff():
                    self._sink(event)
                case Connected():
                    self._ready.discard(name)

    def _begin_if_whole(self, recv_ns: int) -> None:
        if self.is_live or self._ready != self._streams.keys() or not self._is_whole():
            return
        try:
            images = list(self._read_images())
        except (RequestException, ConnectionError, LookupError, ValueError) as error:
            logger.warning("The account and the market cannot be read yet: %s", error)
            self.reconnect()
            return
        self._sink(Connected(recv_ns))
        self._sink(Ready(recv_ns))
        for table in images:
            self._sink(Message(recv_ns, table))
        self.is_live = self._was_live = True
        held, self._held = self._held, []
        for message in held:
            self._message(message)
        self._has_begun()

    def _lose(self, name: str, event: Disconnected) -> None:
        self._ready.discard(name)
        self._held = []
        self._has_lost(name)
        if event.reason.startswith(LOGIN_REFUSED):
            self._sink(Message(event.recv_ns, {"status": 401, "error": event.reason}))
        was_live, self.is_live = self.is_live, False
        if was_live or not self._was_live:  # why a start fails is of use, of later tries not
            self._sink(event)
        if was_live:
            for other in self._ready.copy():
                self._streams[other].reconnect()

    def _message(self, message: Message) -> None:
        data = message.data
        if not isinstance(data, Mapping) or self._note(message, data):
            return
        if self.is_live:
            self._translate(message, data)
            return
        if len(self._held) >= _MAX_HELD:
            self.reconnect()
        self._held.append(message)

    def _translate(self, message: Message, data: Mapping[str, Any]) -> None:
        try:
            for table in self.tables.read(data):
                self._sink(Message(message.recv_ns, table))
        except BookGap as gap:
            logger.warning("%s: connecting anew.", gap)
            self.reconnect()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The venue may change a column; what we believe must not come from half a frame.
            what = data.get("arg") or data.get("ch") or data.get("method")
            logger.warning("A frame of %s cannot be read: %r", what, error)
            self.reconnect()

    def _say_refused(self, message: Message, status: int, text: str) -> None:
        """The venue refuses a subscription or the key."""
        request = {"op": "subscribe"}
        self._sink(Message(message.recv_ns, {"status": status, "error": text, "request": request}))
