"""Small loopback servers: facts of the wire need real sockets."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wsproto
import wsproto.events

Handler = Callable[[socket.socket], None]


class LoopbackServer:
    """Gives every connection to *handler* in a thread of its own."""

    def __init__(self, handler: Handler) -> None:
        self.connections: list[socket.socket] = []
        self._handler = handler
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections.append(connection)
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._handler(connection)

    def stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self) -> None:
        self.stop_listening()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], LoopbackServer]]:
    """Starts servers that end with the test."""
    servers: list[LoopbackServer] = []

    def start(handler: Handler) -> LoopbackServer:
        servers.append(LoopbackServer(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def read_request(connection: Any) -> tuple[str, dict[str, str], bytes] | None:
    """One HTTP request from a socket's file: first line, headers, body; None at its end."""
    line = connection.readline().decode().strip()
    if not line:
        return None
    headers = {}
    while header := connection.readline().decode().strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return line, headers, connection.read(int(headers.get("content-length", 0)))


@pytest.fixture(name="read_request")
def read_request_fixture() -> Any:
    return read_request


class WebSocketPeer:
    """The server's end of one WebSocket, spoken with wsproto."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self._events: list[Any] = []
        self.request = self.event(wsproto.events.Request)
        self._send(wsproto.events.AcceptConnection())

    def event(self, kind: type) -> Any:
        """Wait for the next event of this kind, dropping others; OSError when the client goes."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, kind):
                    return event
            data = self.socket.recv(65536)
            if not data:
                raise OSError("the client has gone")
            self._ws.receive_data(data)
            self._events.extend(self._ws.events())

    def text(self) -> str:
        return str(self.event(wsproto.events.TextMessage).data)

    def send_text(self, text: str, final: bool = True) -> None:
        self._send(wsproto.events.TextMessage(text, message_finished=final))

    def send_ping(self, payload: bytes) -> None:
        self._send(wsproto.events.Ping(payload))

    def send_close(self, code: int, reason: str) -> None:
        self._send(wsproto.events.CloseConnection(code, reason))

    def _send(self, event: Any) -> None:
        self.socket.sendall(self._ws.send(event))


@pytest.fixture
def serve_websocket(serve: Any) -> Callable[[Callable[[WebSocketPeer], None]], LoopbackServer]:
    """Starts servers that give each WebSocket to *script* after the handshake."""
    return lambda script: serve(lambda connection: script(WebSocketPeer(connection)))


@pytest.fixture
def websocket_peer() -> type[WebSocketPeer]:
    return WebSocketPeer
