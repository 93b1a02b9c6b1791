"""The stream against small real WebSocket servers on loopback."""

import itertools
import json
import logging
import random
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import wsproto.events
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import Clock
from market_maker.exchanges.frames import CLOSE, PING, PONG, TEXT, FrameReader
from market_maker.exchanges.stream import WebSocketStream
from market_maker.model.wire import BackOff, Connected, Disconnected, Message, Poll, Ready

SECRET = "nobody-may-see-this"
TOPICS = ["quote:XBTUSD", "order:XBTUSD", "margin"]


class NoWaiting(Clock):
    """Remembers waits instead of waiting; its monotonic time is set by hand."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.monotonic_s = 0.0

    def monotonic(self) -> float:
        return self.monotonic_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return event.is_set()


def stream_to(port: int, **options: Any) -> WebSocketStream:
    chosen: dict[str, Any] = {"clock": NoWaiting(), "rng": random.Random(1)}
    url = f"ws://127.0.0.1:{port}/realtime"
    return WebSocketStream(url, options.pop("topics", TOPICS), **chosen | options)


def next_of(events: Iterator[Any], kind: type) -> Any:
    return next(event for event in events if isinstance(event, kind))


def hold(peer: Any) -> None:
    """Keep the connection until the client goes."""
    peer.event(type(None))


def test_it_connects_subscribes_in_one_frame_and_yields_decoded_messages(
    serve_websocket: Any,
) -> None:
    heard: list[str] = []

    def script(peer: Any) -> None:
        heard.extend([peer.request.target, peer.text()])
        peer.send_text('{"info":"Welcome"}')
        peer.send_text('{"table":"quote","action":"partial","data":[]}')
        hold(peer)

    stream = stream_to(serve_websocket(script).port)
    events = iter(stream)
    seen = [next(events) for _ in range(4)]

    assert [type(event) for event in seen] == [Connected, Ready, Message, Message]
    assert [event.data for event in seen[2:]] == [
        {"info": "Welcome"},
        {"table": "quote", "action": "partial", "data": []},
    ]
    times = [event.recv_ns for event in seen]
    assert times == sorted(times) and times[0] > 0
    assert heard[0] == "/realtime"
    assert json.loads(heard[1]) == {"op": "subscribe", "args": TOPICS}
    stream.close()
    assert list(events) == []


def test_without_topics_nothing_is_subscribed(serve_websocket: Any) -> None:
    heard: list[str] = []

    def script(peer: Any) -> None:
        heard.append(peer.text())
        peer.send_text("1")

    stream = stream_to(serve_websocket(script).port, topics=[])
    events = iter(stream)
    next_of(events, Ready)
    stream.send({"op": "cancelAllAfter", "args": 60000})
    assert next(events).data == 1
    assert json.loads(heard[0]) == {"op": "cancelAllAfter", "args": 60000}


def test_each_connection_asks_for_fresh_headers_and_none_is_logged(
    serve_websocket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []

    def script(peer: Any) -> None:
        sent.append(dict(peer.request.extra_headers)[b"api-signature"].decode())

    signatures = iter([SECRET + "1", SECRET + "2"])
    with caplog.at_level(logging.DEBUG):
        stream = stream_to(
            serve_websocket(script).port, headers=lambda: {"api-signature": next(signatures)}
        )
        events = iter(stream)
        told = [next_of(events, Disconnected) for _ in range(2)]
    assert sent == [SECRET + "1", SECRET + "2"]
    assert SECRET not in caplog.text + repr(told) + repr(stream)


def test_silence_is_answered_by_a_ping_and_a_pong_is_swallowed(serve_websocket: Any) -> None:
    heard: list[str] = []

    def script(peer: Any) -> None:
        peer.text()
        for _ in range(2):
            heard.append(peer.text())
            peer.send_text("pong")
        peer.send_text("[7]")
        hold(peer)

    stream = stream_to(serve_websocket(script).port, ping_after_s=0.02, dead_after_s=10)
    events = iter(stream)
    kinds = []
    while not isinstance(event := next(events), Message):
        kinds.append(type(event))
    assert kinds[:4] == [Connected, Ready, Poll, Poll]
    assert event.data == [7]
    assert heard == ["ping", "ping"]
    stream.close()


def test_a_link_that_stays_silent_is_given_up(serve_websocket: Any) -> None:
    events = iter(stream_to(serve_websocket(hold).port, ping_after_s=0.02, dead_after_s=0.02))
    kinds = [type(next(events)) for _ in range(5)]
    assert kinds == [Connected, Ready, Poll, Disconnected, BackOff]


def test_a_half_closed_connection_is_lost(serve_websocket: Any) -> None:
    def script(peer: Any) -> None:
        peer.text()
        peer.socket.shutdown(socket.SHUT_WR)
        hold(peer)

    lost = next_of(iter(stream_to(serve_websocket(script).port)), Disconnected)
    assert lost.reason == "connection lost"


def test_a_frame_that_is_cut_off_is_a_lost_connection(serve_websocket: Any) -> None:
    def script(peer: Any) -> None:
        peer.text()
        peer.socket.sendall(b'\x81\x05{"a"')

    events = iter(stream_to(serve_websocket(script).port))
    assert [type(next(events)) for _ in range(3)] == [Connected, Ready, Disconnected]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x85mask12345",
        b"\x80\x01x",
        b"\x81\x7f" + b"\xff" * 8,
        b"\x01\x01a\x81\x01b",
        b"\x83\0",
    ],
)
def test_a_peer_that_breaks_the_protocol_is_left(serve_websocket: Any, frame: bytes) -> None:
    def script(peer: Any) -> None:
        peer.text()
        peer.socket.sendall(frame)
        hold(peer)

    lost = next_of(iter(stream_to(serve_websocket(script).port)), Disconnected)
    assert "no WebSocket as expected" in lost.reason


def test_the_exchanges_own_words_at_a_close_are_told(serve_websocket: Any) -> None:
    def script(peer: Any) -> None:
        peer.text()
        peer.send_close(1001, "going\naway")

    lost = next_of(iter(stream_to(serve_websocket(script).port)), Disconnected)
    assert lost.reason == "closed by the exchange (1001: going away)"


def test_fragments_pings_and_long_frames_are_understood(serve_websocket: Any) -> None:
    long = "x" * 300_000
    pongs: list[bytes] = []

    def script(peer: Any) -> None:
        peer.text()
        peer.send_text('{"a":', final=False)
        peer.send_ping(b"are you there")
        pongs.append(bytes(peer.event(wsproto.events.Pong).payload))
        peer.send_text("1}")
        for size in (125, 126, 65_535, 65_536, 300_000):
            peer.send_text(json.dumps(long[: size - 2]))
        hold(peer)

    stream = stream_to(serve_websocket(script).port)
    events = (event for event in stream if isinstance(event, Message))
    assert next(events).data == {"a": 1}
    assert pongs == [b"are you there"]
    assert [len(next(events).data) for _ in range(5)] == [123, 124, 65_533, 65_534, 299_998]
    stream.close()


@pytest.mark.parametrize("after", [b"", b"\x81\x01{", b"\x89\x00", b"\x88\x02\x03\xe8"])
def test_frames_that_came_together_say_so_until_the_last(
    serve_websocket: Any, after: bytes
) -> None:
    def script(peer: Any) -> None:
        peer.text()
        peer.socket.sendall(b"\x81\x011\x81\x012" + after)
        hold(peer)

    stream = stream_to(serve_websocket(script).port)
    messages = (event for event in stream if isinstance(event, Message))
    assert [(m.data, m.more) for m in (next(messages), next(messages))] == [(1, True), (2, False)]
    stream.close()


def test_what_is_not_json_is_skipped_and_logged_once(
    serve_websocket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Any) -> None:
        peer.text()
        for text in ("{", "hello", "", "[" * 100_000, '{"status":400,"error":"Unknown table: x"}'):
            peer.send_text(text)
        hold(peer)

    stream = stream_to(serve_websocket(script).port)
    message = next_of(iter(stream), Message)
    assert message.data == {"status": 400, "error": "Unknown table: x"}
    assert len(caplog.records) == 1
    stream.close()


# Coming back


def test_it_comes_back_with_growing_jittered_waits(serve: Any) -> None:
    server = serve(lambda connection: None)
    server.stop_listening()
    clock = NoWaiting()
    events = iter(stream_to(server.port, clock=clock))
    seen = [(next_of(events, Disconnected), next_of(events, BackOff)) for _ in range(12)]
    next(events)

    assert {lost.reason for lost, _ in seen} == {"connection refused"}
    delays = [back_off.delay_s for _, back_off in seen]
    assert clock.waits[:12] == delays
    for attempt, delay_s in enumerate(delays):
        longest = min(30.0, 0.25 * 2**attempt)
        assert max(0.25, longest / 2) <= delay_s <= longest
    assert len(set(delays[2:])) == len(delays[2:])


def test_a_connection_that_lasted_starts_over_with_short_waits(serve_websocket: Any) -> None:
    clock = NoWaiting()
    events = iter(stream_to(serve_websocket(lambda peer: peer.text()).port, clock=clock))
    for _ in range(6):
        long = next_of(events, BackOff).delay_s
    next_of(events, Ready)
    clock.monotonic_s += 10
    assert next_of(events, BackOff).delay_s == 0.25 < long


@pytest.mark.parametrize(
    "answer, reason, at_least_s",
    [
        (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 44\r\n\r\n"
            b'{"error":{"message":"Signature not valid."}}',
            "handshake 401: Signature not valid.",
            0.0,
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "handshake 403: Forbidden", 0.0),
        (
            b"HTTP/1.1 503\r\nContent-Length: 8\r\n\r\n<b>no\r\n!",
            "answers 503 with a page: no !",
            0.0,
        ),
        (b"HTTP/1.1 403\r\nContent-Length: 8\r\n\r\n<b>no</b>", "answers 403 with a page: no", 0.0),
        (
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 29\r\nContent-Length: 25\r\n\r\n"
            b'{"error":"Rate limited."}',
            "handshake 429: Rate limited.",
            29.0,
        ),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 1e99\r\n\r\n", "handshake 429: Slow", 3600.0),
        (
            b"HTTP/1.1 503 Busy\r\nDate: Sat, 28 Nov 2026 05:00:00 GMT\r\n"
            b"Retry-After: Sat, 28 Nov 2026 05:00:40 GMT\r\n\r\n",
            "handshake 503: Busy",
            40.0,
        ),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: soon\r\n\r\n", "handshake 429: Slow", 0.0),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.invalid/\r\n\r\n",
            "no WebSocket as expected (WebSocketException)",
            0.0,
        ),
        (b"", "connection lost", 0.0),
        (b"220 smtp ready\r\n\r\n", "no WebSocket as expected", 0.0),
    ],
)
def test_a_refused_handshake_says_why_and_obeys_retry_after(
    answer: bytes, reason: str, at_least_s: float, serve: Any, read_request: Any
) -> None:
    def handler(connection: socket.socket) -> None:
        read_request(connection.makefile("rb"))
        connection.sendall(answer)

    events = iter(stream_to(serve(handler).port, headers=lambda: {"api-key": SECRET}))
    lost, back_off = next(events), next(events)
    assert lost.reason.removeprefix("127.0.0.1:").lstrip("0123456789 ").startswith(reason)
    assert SECRET not in lost.reason
    assert max(0.25, at_least_s) <= back_off.delay_s <= 3600


def test_a_handshake_that_never_ends_times_out(serve: Any) -> None:
    server = serve(lambda connection: connection.recv(1) and threading.Event().wait(5))
    lost = next(iter(stream_to(server.port, connect_timeout_s=0.05)))
    assert lost.reason == "timed out"


# Closing


@pytest.mark.parametrize("phase", ["waiting", "handshake", "back-off"])
def test_close_ends_the_generator_from_another_thread(
    phase: str, serve: Any, serve_websocket: Any
) -> None:
    reached = threading.Event()

    def silent(peer: Any) -> None:
        peer.recv(1) if phase == "handshake" else peer.text()
        reached.set()
        threading.Event().wait(10)

    server = serve_websocket(silent) if phase == "waiting" else serve(silent)
    if phase == "back-off":
        server.stop_listening()
    stream = stream_to(server.port, clock=Clock(), connect_timeout_s=30, ping_after_s=30)
    seen: list[Any] = []

    def read() -> None:
        for event in stream:
            seen.append(event)
            if isinstance(event, BackOff):
                reached.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert reached.wait(10)
    stream.close()
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert phase == "back-off" or not any(isinstance(event, Disconnected) for event in seen)


def test_sending_without_a_connection_is_an_error() -> None:
    stream = stream_to(9)
    with pytest.raises(ConnectionError):
        stream.send({"op": "x"})
    stream.close()
    assert list(stream) == []


# Proxies


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_loopback_never_goes_through_a_proxy(
    name: str, serve_websocket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    stream = stream_to(serve_websocket(hold).port)
    events = iter(stream)
    assert isinstance(next(events), Connected)
    stream.close()


@pytest.mark.parametrize(
    "scheme, name, port", [("wss", "HTTPS_PROXY", 443), ("ws", "HTTP_PROXY", 80)]
)
def test_other_hosts_go_through_the_proxy_of_the_environment(
    scheme: str,
    name: str,
    port: int,
    serve: Any,
    read_request: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def handler(connection: socket.socket) -> None:
        seen.append(read_request(connection.makefile("rb")))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    monkeypatch.setenv(name, f"http://user:p%40ss@127.0.0.1:{serve(handler).port}")
    stream = WebSocketStream(
        f"{scheme}://exchange.invalid/realtime",
        TOPICS,
        clock=NoWaiting(),
        rng=random.Random(1),
        headers=lambda: {"api-key": SECRET},
    )
    lost = next(iter(stream))
    assert lost.reason == "the proxy does not connect us"
    line, headers, _ = seen[0]
    assert line == f"CONNECT exchange.invalid:{port} HTTP/1.1"
    assert headers["proxy-authorization"].startswith("Basic ")
    assert SECRET not in repr(seen)


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "exchange.invalid")
    stream = WebSocketStream(
        "wss://exchange.invalid/realtime", [], clock=NoWaiting(), rng=random.Random(1)
    )
    assert next(iter(stream)).reason == "the host's name is not known"


# Frames


def frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([head, size]) + payload
    if size < 65_536:
        return bytes([head, 126]) + struct.pack(">H", size) + payload
    return bytes([head, 127]) + struct.pack(">Q", size) + payload


whole = st.tuples(
    st.sampled_from([TEXT, TEXT, TEXT, PING, PONG, CLOSE]),
    st.binary(max_size=140) | st.sampled_from([b"x" * 126, b"y" * 65_535, b"z" * 65_536]),
)


@settings(deadline=None)
@given(st.lists(whole, max_size=8), st.lists(st.integers(0, 200_000), max_size=12))
def test_frames_come_out_whole_however_the_bytes_are_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(*one) for one in frames)
    reader = FrameReader()
    got = []
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, stop in itertools.pairwise(edges):
        got += reader.feed(data[start:stop])
    assert got == frames


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(1, 7))
def test_fragments_come_out_joined(parts: list[bytes], step: int) -> None:
    last = len(parts) - 1
    data = b""
    for index, part in enumerate(parts):
        data += frame((1 if index == 0 else 0) | (0x80 if index == last else 0), part)
        data += b"" if index == last else frame(PING, b"between")
    reader = FrameReader()
    got = []
    for start in range(0, len(data), step):
        got += reader.feed(data[start : start + step])
    assert [one for one in got if one[0] == TEXT] == [(TEXT, b"".join(parts))]
    assert len(got) == len(parts)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_can_do_more_than_be_refused(chunks: list[bytes]) -> None:
    reader = FrameReader()
    try:
        frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    except ValueError:
        return
    read = sum(len(payload) for _, payload in frames)
    assert read <= sum(map(len, chunks))
