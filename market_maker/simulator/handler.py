"""One connection of the server: its requests in turn, or the upgrade to WebSocket."""

import contextlib
import socket

from market_maker.clock import Clock
from market_maker.model.wire import Answer
from market_maker.simulator import http1
from market_maker.simulator.dialects.bitmex import route_path
from market_maker.simulator.http1 import BadRequest, Head
from market_maker.simulator.hub import Hub
from market_maker.simulator.multiplex import Multiplexer
from market_maker.simulator.session import MULTIPLEXED
from market_maker.simulator.tongue import Call
from market_maker.simulator.websocket import SocketClient, accept_token, hear_out

IDLE_S = 300.0  # how long a connection may be silent between two requests
REQUEST_S = 10.0  # how long a request may take to arrive, from its first byte
_CHUNK = 65_536
_TIME = Clock()  # sockets live in real time, whatever time the engine has


class Connection:
    """Reads requests off a socket and answers them, until it closes."""

    def __init__(self, connection: socket.socket, address: str, hub: Hub) -> None:
        self._socket = connection
        self._address = address
        self._hub = hub
        self._buffer = b""  # came, and is not yet used: a client may send ahead
        self._deadline_s: float | None = None  # when the request must be here

    def serve(self) -> None:
        """Answer until the client goes, is silent too long, or sends what cannot be read."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while self._serve_one():
                pass
        except BadRequest as bad:
            self._reply(self._hub.tongue.refusal(bad.status, bad.message), False)
            hear_out(self._socket)
        except (TimeoutError, EOFError):
            pass

    def _serve_one(self) -> bool:
        """Answer one request; whether there may be another."""
        self._deadline_s = _TIME.monotonic() + REQUEST_S if self._buffer else None
        head = self._read_head()
        if self._is_upgrade(head):
            self._upgrade(head)
            return False
        answer = self._hub.answer(self._call(head, self._read_body(head)))
        if not answer.status:
            self._vanish(answer)
            return False
        self._reply(answer, head.keeps_alive)
        return head.keeps_alive

    def _vanish(self, lost: Answer) -> None:
        """Never answer: the client hears nothing until it gives up, or loses the connection."""
        if lost.error == "timed out":
            with contextlib.suppress(OSError):
                self._socket.settimeout(IDLE_S)
                while self._socket.recv(_CHUNK):
                    pass

    # -- reading

    def _read_head(self) -> Head:
        while self._buffer[:2] == b"\r\n":  # some clients end a body with an empty line
            self._buffer = self._buffer[2:]
        while (end := self._buffer.find(http1.END)) < 0:
            if len(self._buffer) > http1.MAX_HEAD:
                raise BadRequest(431, "Request Header Fields Too Large")
            if b"\n\n" in self._buffer:
                raise BadRequest(400, "Lines must end with CR LF")
            self._read_more()
        if end > http1.MAX_HEAD:
            raise BadRequest(431, "Request Header Fields Too Large")
        head = http1.parse_head(self._buffer[:end])
        self._buffer = self._buffer[end + len(http1.END) :]
        return head

    def _read_body(self, head: Head) -> bytes:
        if head.awaits_continue and len(self._buffer) < head.length:
            self._socket.sendall(http1.CONTINUE)
        while len(self._buffer) < head.length:
            self._read_more()
        body, self._buffer = self._buffer[: head.length], self._buffer[head.length :]
        return body

    def _read_more(self) -> None:
        """Add what comes next to the buffer; raises BadRequest, TimeoutError or EOFError."""
        if self._deadline_s is None:
            self._socket.settimeout(IDLE_S)
            data = self._socket.recv(_CHUNK)
            self._deadline_s = _TIME.monotonic() + REQUEST_S
        else:
            left_s = self._deadline_s - _TIME.monotonic()
            try:
                self._socket.settimeout(max(left_s, 0.001))
                data = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise BadRequest(408, "Request Timeout") from None
        if not data:
            raise EOFError
        self._buffer += data

    def _call(self, head: Head, body: bytes) -> Call:
        return Call(head.verb, head.target, head.headers, body, self._address)

    # -- answering

    def _reply(self, answer: Answer, keeps_alive: bool) -> None:
        self._socket.sendall(http1.render_answer(answer, self._hub.now(), keeps_alive))

    def _is_upgrade(self, head: Head) -> bool:
        wants = "websocket" in head.headers.get("upgrade", "").lower()
        return wants and head.verb == "GET" and _path(head) in self._hub.tongue.sockets

    def _upgrade(self, head: Head) -> None:
        key = head.headers.get("sec-websocket-key")
        if not key:
            raise BadRequest(400, "Sec-WebSocket-Key is missing")
        if head.headers.get("sec-websocket-version") != "13":
            raise BadRequest(400, "Sec-WebSocket-Version must be 13")
        opened = self._hub.open_session(self._call(head, b""))
        if isinstance(opened, Answer):
            self._reply(opened, False)
            return
        session, topics = opened
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_token(key).encode() + b"\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.settimeout(None)
        hub = Multiplexer(self._hub) if _path(head) == MULTIPLEXED else self._hub
        SocketClient(hub, session, self._socket, self._buffer).run(topics)


def _path(head: Head) -> str:
    return route_path(head.target.partition("?")[0])
