"""The port of the built-in exchange: accepts connections and paces the engine."""

import contextlib
import logging
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from typing import Any

from market_maker.clock import Clock
from market_maker.simulator.handler import Connection
from market_maker.simulator.hub import Hub
from market_maker.simulator.limits import Limits
from market_maker.simulator.tongue import Tongue

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 1000  # at a time; each has a thread
_MIN_PACE_S = 0.002  # how long the engine rests at least between two looks at the clock
_MAX_PACE_S = 0.05  # ... and at most: a request may have set a timer meanwhile

logger = logging.getLogger("root")


class Server(socketserver.ThreadingTCPServer):
    """A running exchange. Threads: one accepts, one paces the engine, one per connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would let two servers share a port
    request_queue_size = 128

    def __init__(self, hub: Hub, host: str = LOOPBACK, port: int = 0) -> None:
        """Bind to *port*, or any free one for 0; raises OSError when it is taken."""
        self.hub = hub
        self._host = f"[{host}]" if ":" in host else host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._connections: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._is_open = threading.Event()  # to new connections
        self._is_open.set()
        self.has_failed = False  # the market broke down: no time passes any more
        self.on_failure: Callable[[], None] = lambda: None
        super().__init__((host, port), Connection)  # type: ignore[arg-type]
        self.server_port = int(self.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://{self._host}:{self.server_port}{self.hub.tongue.root}/"

    @property
    def ws_url(self) -> str:
        return f"ws://{self._host}:{self.server_port}{self.hub.tongue.stream}"

    def start(self) -> None:
        for name, target in (("accept", self._accept), ("pace", self._pace)):
            threading.Thread(target=target, name=f"simulator-{name}", daemon=True).start()

    def close(self) -> None:
        """Stop, and cut every connection."""
        self._stopping.set()
        self._is_open.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def refuse(self, is_refusing: bool) -> None:
        """Close the port to new connections, or open it again."""
        if is_refusing and self._is_open.is_set():
            self._is_open.clear()
            self.shutdown()
        elif not is_refusing:
            self._is_open.set()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            self.serve_forever(poll_interval=_MAX_PACE_S)  # how long close() waits at most
            if not self._stopping.is_set():
                self.socket.close()
                self._is_open.wait()
                self._reopen()

    def _reopen(self) -> None:
        while not self._stopping.is_set():
            self.socket = socket.socket(self.address_family, self.socket_type)
            try:
                self.server_bind()
                self.server_activate()
                return
            except OSError:  # somebody has our port at the moment
                self.socket.close()
                self._stopping.wait(_MAX_PACE_S)

    def _pace(self) -> None:
        delay_s: float | None = 0.0
        while not self._stopping.wait(
            _MAX_PACE_S if delay_s is None else min(_MAX_PACE_S, max(_MIN_PACE_S, delay_s))
        ):
            try:
                delay_s = self.hub.advance()
            except Exception:  # the top of a thread: an exchange that stands still must say so
                logger.exception("The market of the built-in exchange failed: it ends.")
                self.has_failed = True
                self._stopping.set()
                self.on_failure()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        if len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(request)
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        Connection(request, str(client_address[0]), self.hub).serve()

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            logger.exception("The built-in exchange failed to answer a request")


def serve(
    tongue: Tongue,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
) -> Server:
    """Start serving an engine in *tongue*; raises OSError when the port is taken."""
    server = Server(Hub(tongue, clock or Clock(), limits), host, port)
    server.start()
    return server
