"""The exchange's WebSocket as a generator of events, which alone knows how to persist.

websocket-client makes the connection (TLS, proxy, handshake); frames are read by our own
FrameReader, many from one read of the socket.
Nothing here logs or tells a header, and errors are told in our own words.
"""

import contextlib
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

import websocket
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.exchanges.frames import CLOSE, PING, TEXT, FrameReader
from market_maker.exchanges.throttle import retry_after_s
from market_maker.exchanges.transport import ca_bundle, is_loopback
from market_maker.exchanges.wire_errors import REFUSED, page_phrase, unnamed
from market_maker.model.latency import Latency
from market_maker.model.wire import (
    BackOff,
    Connected,
    Disconnected,
    Message,
    Poll,
    Ready,
    StreamEvent,
)

logger = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 30.0
_LONGEST_ASKED_S = 3_600.0  # that an exchange may ask us to wait
_STEADY_S = 10.0  # a connection that lasted this long was a good one: start over with short waits
_READ_BYTES = 65_536
_NOTHING: Any = object()  # no message; null is one
LOGIN_REFUSED = "login refused"


class _Lost(Exception):
    """The connection is over; the text says why, `retry_after_s` when to come back at best."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def _subscription(topics: list[Any]) -> Mapping[str, Any]:
    return {"op": "subscribe", "args": topics}


def _login_refusal(answer: Mapping[str, Any]) -> str:
    return "" if answer.get("event") == "login" else str(answer.get("msg") or "no reason given")


class WebSocketStream:
    """Yields what *url* sends about *topics*, connecting again by itself until `close()`.

    *headers* is asked for fresh ones at each connection, *login* for a frame to send before any
    subscription, where a venue wants one, and *login_refusal* why its answer is no yes;
    *subscription* makes the frame, or the frames, that follow topics.
    After *ping_after_s* seconds of silence it sends *ping_text* (None: a ping frame) and yields
    Poll; after *dead_after_s* more it gives the connection up. To be iterated by one thread;
    `send` and `close` may come from others.
    """

    pushed = False

    def __init__(
        self,
        url: str,
        topics: Sequence[Any],
        *,
        clock: Clock,
        rng: random.Random,
        headers: Callable[[], Mapping[str, str]] | None = None,
        login: Callable[[], Mapping[str, Any]] | None = None,
        login_refusal: Callable[[Mapping[str, Any]], str] = _login_refusal,
        subscription: Callable[[list[Any]], Mapping[str, Any] | list[Any]] = _subscription,
        ping_text: str | None = "ping",
        ping_after_s: float = 5.0,
        dead_after_s: float = 5.0,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._url = url
        self._topics = list(topics)
        self._headers = headers
        self._login, self._login_refusal = login, login_refusal
        self._subscription, self._ping_text = subscription, ping_text
        self._clock = clock
        self._rng = rng
        self._ping_after_s = ping_after_s
        self._dead_after_s = dead_after_s
        self._connect_timeout_s = connect_timeout_s
        self._closed = Event()
        self._socket: websocket.WebSocket | None = None
        self._malformed_logged = False
        self._latency: Latency | None = None

    def measure(self, latency: Latency) -> None:
        self._latency = latency

    def __iter__(self) -> Iterator[StreamEvent]:
        failures = 0
        while not self._closed.is_set():
            started_s = self._clock.monotonic()
            try:
                yield from self._live()
            except _Lost as lost:
                if self._closed.is_set():
                    return
                if self._clock.monotonic() - started_s >= _STEADY_S:
                    failures = 0
                delay_s = max(self._delay_s(failures), lost.retry_after_s)
                failures += 1
                yield Disconnected(time.monotonic_ns(), str(lost))
                yield BackOff(time.monotonic_ns(), delay_s)
                self._clock.wait(self._closed, delay_s)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one JSON frame; raises ConnectionError when there is no connection."""
        connection = self._socket
        if connection is None or not connection.connected:
            raise ConnectionError("the stream is not connected")
        try:
            connection.send(jsonx.dumps(dict(message)))
        except (websocket.WebSocketException, OSError) as error:
            raise ConnectionError("the stream was lost while sending") from error

    def subscribe(self, topic: Any) -> None:
        """Follow *topic* too, now and after every reconnect."""
        self._topics.append(topic)
        with suppress(ConnectionError):  # without a connection the next one subscribes
            for frame in self._frames([topic]):
                self.send(frame)

    def reconnect(self) -> None:
        """Drop the connection; the generator makes a new one, with fresh images."""
        connection = self._socket
        if connection is not None and connection.sock is not None:
            _shut(connection.sock)

    def close(self) -> None:
        """End the generator, which may be waiting in another thread. May be called twice."""
        self._closed.set()
        self.reconnect()

    def _delay_s(self, failures: int) -> float:
        longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures, 10))
        # Many bots lose the same exchange at the same moment: they must not return together.
        return max(_FIRST_DELAY_S, longest * self._rng.uniform(0.5, 1.0))

    def _live(self) -> Iterator[StreamEvent]:
        """One connection, from its making to its loss, which is raised."""
        connection: Any = websocket.WebSocket(sslopt=_tls(), enable_multithread=True)
        self._socket = connection  # before connecting, so that close() can interrupt it
        try:
            self._connect(connection)
            yield Connected(time.monotonic_ns())
            if self._login is not None:
                self._log_in(connection)
            if self._topics:
                for frame in self._frames(self._topics):
                    connection.send(jsonx.dumps(dict(frame)))
            yield Ready(time.monotonic_ns())
            yield from self._receive(connection)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise _Lost(_phrase(error)) from None
        finally:
            self._socket = None
            connection.shutdown()

    def _frames(self, topics: list[Any]) -> list[Any]:
        frames = self._subscription(topics)
        return [frames] if isinstance(frames, Mapping) else frames

    def _connect(self, connection: Any) -> None:
        try:
            connection.settimeout(self._connect_timeout_s)
            connection.connect(
                self._url,
                header=dict(self._headers()) if self._headers else {},
                redirect_limit=0,  # following one would show our headers to somebody else
                **_proxy_options(self._url),
            )
        except websocket.WebSocketBadStatusException as refusal:
            raise _refused(refusal, urlsplit(self._url).netloc) from None
        if self._closed.is_set():
            raise _Lost("closed")

    def _log_in(self, connection: Any) -> None:
        """Show who we are and wait for a yes, which comes before anything else."""
        assert self._login is not None
        connection.send(jsonx.dumps(dict(self._login())))
        answer = jsonx.loads(connection.recv())
        refusal = self._login_refusal(answer if isinstance(answer, dict) else {})
        if refusal:
            raise _Lost(f"{LOGIN_REFUSED}: {refusal}")

    def _receive(self, connection: Any) -> Iterator[StreamEvent]:
        sock = connection.sock
        reader = FrameReader()
        recv, now_ns = sock.recv, time.monotonic_ns
        feed: Callable[[bytes], list[tuple[int, bytes]]] = reader.feed
        loads: Callable[[bytes], Any] = jsonx.loads
        if self._latency is not None:
            feed, loads = self._latency.timed("receive", feed), self._latency.timed("parse", loads)
        sock.settimeout(self._ping_after_s)
        asked = False
        while True:
            try:
                data = recv(_READ_BYTES)
            except TimeoutError:
                if asked:
                    raise _Lost("no sign of life after a ping") from None
                asked = True
                sock.settimeout(self._dead_after_s)
                self._ask_for_life(connection)
                yield Poll(now_ns())
                continue
            recv_ns = now_ns()
            if not data:
                raise _Lost("connection lost")
            if asked:
                asked = False
                sock.settimeout(self._ping_after_s)
            waiting = _NOTHING  # whoever listens need not wake up before the last of them
            for head, payload in feed(data):
                if head != TEXT:
                    if waiting is not _NOTHING:
                        yield Message(recv_ns, waiting)
                        waiting = _NOTHING
                    self._control(connection, head, payload)
                    continue
                try:
                    message = loads(payload)
                except (ValueError, RecursionError):
                    self._not_json(payload)
                    continue
                if waiting is not _NOTHING:
                    yield Message(recv_ns, waiting, True)
                waiting = message
            if waiting is not _NOTHING:
                yield Message(recv_ns, waiting)

    def _ask_for_life(self, connection: Any) -> None:
        if self._ping_text is None:
            connection.ping()
        else:
            connection.send(self._ping_text)

    def _control(self, connection: Any, head: int, payload: bytes) -> None:
        if head == PING:
            connection.pong(payload)
        elif head == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            text = _one_line(payload[2:])
            raise _Lost(f"closed by the exchange ({code or 'no code'}{text and ': '}{text})")

    def _not_json(self, payload: bytes) -> None:
        if payload != b"pong" and not self._malformed_logged:
            self._malformed_logged = True
            logger.warning("Skipped a frame of %d bytes that is not JSON.", len(payload))


def _tls() -> dict[str, Any]:
    bundle = ca_bundle() or DEFAULT_CA_BUNDLE_PATH
    return {"ca_cert_path" if Path(bundle).is_dir() else "ca_certs": bundle}


def _proxy_options(url: str) -> dict[str, Any]:
    """What makes websocket-client take the proxy that REST takes, or none."""
    parts = urlsplit(url)
    rest_url = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/"
    proxy = None
    if not is_loopback(parts.hostname):
        proxy = select_proxy(rest_url, get_environ_proxies(rest_url))
    if not proxy:
        # Without a host it would look into the environment itself, for loopback too.
        return {"http_proxy_host": "none", "http_proxy_port": 1, "http_no_proxy": ["*"]}
    at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    options: dict[str, Any] = {
        "http_proxy_host": at.hostname,
        "http_proxy_port": at.port or 80,
        "proxy_type": at.scheme if at.scheme.startswith("socks") else "http",
    }
    if at.username:
        options["http_proxy_auth"] = (unquote(at.username), unquote(at.password or ""))
    return options


def _refused(refusal: websocket.WebSocketBadStatusException, host: str) -> _Lost:
    body = getattr(refusal, "resp_body", None) or b""
    text = _one_line(body)
    try:
        error = jsonx.loads(body)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        pass
    asked_s = retry_after_s(refusal.resp_headers or {}) or 0.0
    reason = f"handshake {refusal.status_code}: {text or refusal.status_message or 'refused'}"
    if text.startswith("<"):  # a firewall or a proxy: it tells nothing of the key
        page = body.decode("utf-8", "replace")
        reason = page_phrase(host, refusal.status_code, page)
    is_busy = refusal.status_code in (429, 503)
    return _Lost(reason, min(asked_s, _LONGEST_ASKED_S) if is_busy else 0.0)


def _one_line(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())[:200]


def _phrase(error: Exception) -> str:
    """What went wrong, without the words of the exception: they may quote what we sent."""
    if isinstance(error, websocket.WebSocketProxyException):
        return "the proxy does not connect us"
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return "timed out"
    if isinstance(error, websocket.WebSocketAddressException | socket.gaierror):
        return unnamed(error)
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate is not accepted"
    if isinstance(error, websocket.WebSocketConnectionClosedException | OSError):
        return "connection lost"
    return f"no WebSocket as expected ({type(error).__name__})"


def _shut(sock: socket.socket) -> None:
    """Wake a thread that reads from *sock*."""
    with contextlib.suppress(OSError):  # it may be gone already
        # Not SSLSocket's own: that takes the TLS state away from under the reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
