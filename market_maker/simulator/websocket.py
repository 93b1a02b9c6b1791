"""One WebSocket connection of the server: a reading loop and a writing thread.

Messages wait in a bounded queue, so that a slow reader can never hold up the exchange: whose
queue is full is dropped, as exchanges do.
"""

import base64
import contextlib
import hashlib
import queue
import socket
import struct
import threading

from wsproto.connection import Connection, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from market_maker.simulator.hub import Hub
from market_maker.simulator.multiplex import Multiplexer
from market_maker.simulator.tongue import Session

QUEUE_SIZE = 10_000  # frames; about a minute of a busy market
MAX_FRAME = 65_536  # characters a client may send in one message
_LAST_WORDS_S = 1.0  # for the end of a conversation
_LAST_READS = 100  # ... and as many pieces of it
_CHUNK = 65_536
_BATCH = 200  # frames written with one system call
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def accept_token(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a client's key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def text_frame(text: str) -> bytes:
    """One whole text frame of a server (RFC 6455, 5.2): wsproto takes ten times as long."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def hear_out(connection: socket.socket) -> None:
    """Say no more, and hear a talking client out: cutting the line destroys our last words."""
    with contextlib.suppress(OSError):
        connection.settimeout(_LAST_WORDS_S)
        connection.shutdown(socket.SHUT_WR)
        for _ in range(_LAST_READS):
            if not connection.recv(_CHUNK):
                break


class SocketClient:
    """A connection after its handshake."""

    def __init__(
        self,
        hub: Hub | Multiplexer,
        session: Session,
        connection: socket.socket,
        sent_ahead: bytes = b"",
    ) -> None:
        self.session = session
        self._hub = hub
        self._socket = connection
        self._sent_ahead = sent_ahead
        self._protocol = Connection(ConnectionType.SERVER)
        self._outgoing: queue.Queue[str | Event | None] = queue.Queue(QUEUE_SIZE)
        self._text: list[str] = []  # parts of a message that is still arriving
        self._text_size = 0

    def put(self, text: str) -> None:
        """Queue one text frame; a client too slow to take it is dropped."""
        self._enqueue(text)

    def run(self, topics: list[str]) -> None:
        """Serve the connection until it ends."""
        writer = threading.Thread(target=self._write, name="simulator-writer", daemon=True)
        writer.start()
        try:
            self._hub.join(self, topics)
            self._read()
        except (OSError, RemoteProtocolError):
            pass
        finally:
            self._hub.leave(self)
            self._enqueue(None)
            writer.join(_LAST_WORDS_S)
            hear_out(self._socket)
            self.drop()

    def drop(self) -> None:
        """Cut the line; both threads notice."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _enqueue(self, item: str | Event | None) -> None:
        try:
            self._outgoing.put_nowait(item)
        except queue.Full:
            self.drop()

    def _read(self) -> None:
        data = self._sent_ahead or self._socket.recv(_CHUNK)
        while data:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if not self._on_frame(event):
                    return
            data = self._socket.recv(_CHUNK)

    def _on_frame(self, event: Event) -> bool:
        """Act on a frame; False when the conversation is over."""
        match event:
            case TextMessage():
                return self._on_text(event)
            case Ping():
                self._enqueue(event.response())
            case CloseConnection():
                self._enqueue(event.response())
                return False
            case BytesMessage():
                self._enqueue(CloseConnection(1003, "text frames only"))
                return False
        return True

    def _on_text(self, event: TextMessage) -> bool:
        if event.data:
            self._text.append(event.data)
            self._text_size += len(event.data)
        if self._text_size > MAX_FRAME:
            self._enqueue(CloseConnection(1009, "message too big"))
            return False
        if event.message_finished:
            text, self._text, self._text_size = "".join(self._text), [], 0
            self._hub.receive(self, text)
        if self.session.ending:
            self._enqueue(CloseConnection(1008, self.session.ending))
            return False
        return True

    def _write(self) -> None:
        try:
            while True:
                batch = [self._outgoing.get()]
                while len(batch) < _BATCH and not self._outgoing.empty():
                    batch.append(self._outgoing.get())
                frames = b"".join(map(self._encode, batch))
                self._hub.thawed.wait()
                self._socket.sendall(frames)
                if None in batch:
                    return
        except (OSError, LocalProtocolError):
            self.drop()

    def _encode(self, item: str | Event | None) -> bytes:
        if isinstance(item, str):
            return text_frame(item)
        return b"" if item is None else self._protocol.send(item)
