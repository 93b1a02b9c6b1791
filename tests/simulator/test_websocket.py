"""The stream over real sockets: frames, acknowledgements, errors, and who is dropped."""

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from market_maker.simulator import session as session_module
from market_maker.simulator import websocket as socket_module
from market_maker.simulator.auth import NAMES, signature
from market_maker.simulator.limits import RateLimits
from market_maker.simulator.websocket import text_frame
from tests.simulator.test_server import TIMEOUT_S, Exchange, read, read_until

CLOSE = websocket.ABNF.OPCODE_CLOSE


@pytest.fixture(params=["classic", "last"])
def exchange(request: pytest.FixtureRequest) -> Iterator[Exchange]:
    with closing(Exchange(request.param)) as running:
        yield running


@pytest.fixture
def last() -> Iterator[Exchange]:
    with closing(Exchange("last")) as running:
        yield running


def signed_with(account: Any, expires: int | None = None) -> dict[str, str]:
    until = str(expires or int(time.time()) + 30)
    text = signature(account.secret, "GET", "/realtime", until)
    return dict(zip(NAMES, (account.key, until, text), strict=True))


def ask(client: websocket.WebSocket, op: str, args: Any) -> Any:
    """The first answer to a command."""
    client.send(json.dumps({"op": op, "args": args}))
    return read(client)


def end_of(client: websocket.WebSocket) -> tuple[int, str]:
    """Code and reason of the close frame that ends the connection."""
    while True:
        opcode, data = client.recv_data()
        if opcode == CLOSE:
            return struct.unpack("!H", data[:2])[0], data[2:].decode()


# -- frames


@given(st.one_of(st.text(max_size=300), st.integers(0, 70_000).map(lambda size: "x" * size)))
def test_a_frame_written_by_hand_is_the_text(text: str) -> None:
    reader = Connection(ConnectionType.CLIENT)
    reader.receive_data(text_frame(text))
    events = list(reader.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert "".join(event.data for event in events) == text
    assert events[-1].message_finished


def test_a_connection_is_welcomed_as_its_age_did(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        welcome = read(client)
    assert welcome["info"] == "Welcome to the BitMEX Realtime API."
    assert welcome["docs"] == "https://www.bitmex.com/app/wsAPI"
    if exchange.server.hub.dialect.is_classic:
        assert welcome["limit"] == {"remaining": 39}
        assert "heartbeatEnabled" not in welcome
    else:
        assert (welcome["version"], welcome["limit"]) == ("2.0.0", {})
        assert welcome["heartbeatEnabled"] is False


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [
        (websocket.ABNF.OPCODE_BINARY, b"x", 1003),
        (websocket.ABNF.OPCODE_TEXT, b"\xff\xfe", 1007),
        (3, b"x", 1002),
        (websocket.ABNF.OPCODE_CONT, b"x", 1002),
        (websocket.ABNF.OPCODE_PING, b"x" * 126, 1002),
        (CLOSE, b"\x03", 1002),
        (CLOSE, struct.pack("!H", 1001), 1001),
    ],
)
def test_what_no_client_may_send_ends_it_with_a_code(
    last: Exchange, opcode: int, data: bytes, code: int
) -> None:
    with closing(last.connect()) as client:
        read(client)
        head = (
            bytes((0x80 | opcode, 0x80 | len(data)))
            if len(data) < 126
            else (bytes((0x80 | opcode, 0xFE)) + struct.pack("!H", len(data)))
        )
        client.sock.sendall(head + bytes(4) + data)  # a mask of zeroes
        assert end_of(client)[0] == code


def test_a_close_without_a_code_is_answered(last: Exchange) -> None:
    with closing(last.connect()) as client:
        read(client)
        client.sock.sendall(b"\x88\x80" + bytes(4))
        opcode, data = client.recv_data()
        assert (opcode, data) == (CLOSE, b"")


def test_an_unmasked_frame_ends_it(last: Exchange) -> None:
    with closing(last.connect()) as client:
        read(client)
        client.sock.sendall(b"\x81\x04ping")
        assert end_of(client)[0] == 1002


def test_endless_empty_pieces_cost_nothing(last: Exchange) -> None:
    with closing(last.connect()) as client:
        read(client)
        client.sock.sendall((b"\x01\x80" + bytes(4)) + (b"\x00\x80" + bytes(4)) * 20_000)
        client.ping()
        assert client.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
        (subscriber,) = last.server.hub._subscribers
        assert subscriber._text == []  # type: ignore[attr-defined]


def test_frames_sent_with_the_handshake_are_heard(last: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", last.port), TIMEOUT_S) as line:
        line.sendall(
            b"GET /realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            b"\x81\x84" + bytes(4) + b"ping"
        )
        data = b""
        while b"\x81\x04pong" not in data:
            more = line.recv(4096)
            assert more, data
            data += more
    assert data.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in data


def test_the_platforms_path_is_the_same_stream(last: Exchange) -> None:
    url = last.server.ws_url + "Platform?subscribe=quote"
    with closing(websocket.create_connection(url, timeout=TIMEOUT_S)) as client:
        assert "Welcome" in read(client)["info"]
        assert read(client)["subscribe"] == "quote"


def test_a_version_of_websocket_that_nobody_speaks_is_refused(last: Exchange) -> None:
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "8"}
    status, body, _ = last.raw("GET", "/realtime", b"", headers)
    assert (status, body["error"]["message"]) == (400, "Sec-WebSocket-Version must be 13")


# -- the handshake


@pytest.mark.parametrize("way", ["headers", "query"])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"api-signature": "00"}, 401),
        ({"api-key": "nobody"}, 401),
        ({"api-expires": "1"}, 401),
        ({}, 101),
    ],
)
def test_the_handshake_tells_a_bad_key(
    last: Exchange, way: str, change: dict[str, str], status: int
) -> None:
    assert handshake(last, way, signed_with(last.account) | change) == status


def test_the_handshake_tells_an_old_signature_and_a_disabled_key(last: Exchange) -> None:
    assert handshake(last, "headers", signed_with(last.account, 1_500_000_000)) == 400
    last.engine.disable_key(last.account.key)
    assert handshake(last, "headers", signed_with(last.account)) == 403
    status, body, _ = last.call("GET", "/api/v1/quote")
    assert (status, body["error"]["message"]) == (403, "This key is disabled.")


def handshake(exchange: Exchange, way: str, signed: dict[str, str]) -> int:
    try:
        if way == "headers":
            client = exchange.connect("subscribe=margin", signed)
        else:
            client = exchange.connect("subscribe=margin&" + urlencode(signed))
    except websocket.WebSocketBadStatusException as refused:
        return int(refused.status_code)
    with closing(client):
        return 101


def test_too_many_connections_are_refused_with_the_time_to_wait() -> None:
    with closing(Exchange("classic", RateLimits("classic"))) as exchange:
        for left in range(39, -1, -1):
            client = exchange.connect()
            assert read(client)["limit"] == {"remaining": left}
            client.close()
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            exchange.connect()
        assert refused.value.status_code == 429
        headers = refused.value.resp_headers or {}
        wait_s = int(headers["retry-after"])
        assert 80 <= wait_s <= 90
        text = f"Rate limit exceeded, retry in {wait_s} seconds."
        assert json.loads(refused.value.resp_body) == {"error": text}
        assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(headers)


# -- acknowledgements


def test_each_topic_is_acknowledged_with_the_whole_request(exchange: Exchange) -> None:
    topics = ["trade:XBTUSD", "quote:xbtusd", "orderBookL2_25:XBTUSD"]
    with closing(exchange.connect()) as client:
        read(client)
        client.send(json.dumps({"op": "subscribe", "args": topics}))
        frames = [read(client) for _ in range(6)]
    acks, partials = frames[::2], frames[1::2]
    assert [ack["subscribe"] for ack in acks] == topics
    assert [ack["request"] for ack in acks] == [{"op": "subscribe", "args": topics}] * 3
    assert all(ack["success"] is True for ack in acks)
    assert [frame["action"] for frame in partials] == ["partial"] * 3
    assert [frame["table"] for frame in partials] == ["trade", "quote", "orderBookL2_25"]
    pools = [] if exchange.server.hub.dialect.is_classic else ["Primary"] * 3
    assert [ack["pool"] for ack in acks if "pool" in ack] == pools


def test_a_single_argument_is_repeated_as_it_was_sent(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        assert ask(client, "subscribe", "trade:XBTUSD")["request"]["args"] == "trade:XBTUSD"
        read(client)
        answer = ask(client, "unsubscribe", "trade:XBTUSD")
        request = {"op": "unsubscribe", "args": "trade:XBTUSD"}
        assert answer == {"success": True, "unsubscribe": "trade:XBTUSD", "request": request}
        assert ask(client, "unsubscribe", "trade:XBTUSD")["status"] == 400


def test_who_has_unsubscribed_hears_no_more(last: Exchange) -> None:
    with closing(last.connect("subscribe=quote:XBTUSD,orderBookL2:XBTUSD")) as client:
        read_until(client, lambda m: m.get("table") == "orderBookL2")
        ask(client, "unsubscribe", ["quote:XBTUSD"])
        last.place(price=59999)
        assert {read(client)["table"]} == {"orderBookL2"}
        client.send("ping")
        assert client.recv() == "pong"


@pytest.mark.parametrize("op", ["subscribe", "unsubscribe"])
def test_a_request_of_very_many_topics_is_refused_as_one(last: Exchange, op: str) -> None:
    with closing(last.connect()) as client:
        read(client)
        answer = ask(client, op, ["chat"] * 201)
        text = "Max Pending subscription limit reached, please try again later."
        assert (answer["status"], answer["error"]) == (503, text)
        client.send("ping")
        assert client.recv() == "pong"


def test_a_topic_twice_is_an_error_and_goes_on(last: Exchange) -> None:
    with closing(last.connect("subscribe=quote")) as client:
        read_until(client, lambda m: m.get("action") == "partial")
        answer = ask(client, "subscribe", ["quote", "trade"])
        text = "You are already subscribed to this topic:quote. Please see the documentation at "
        assert (answer["status"], answer["meta"]) == (400, {})
        assert answer["error"] == text + "https://www.bitmex.com/app/wsAPI."
        assert answer["request"] == {"op": "subscribe", "args": ["quote", "trade"]}
        assert read(client)["subscribe"] == "trade"


@pytest.mark.parametrize("bad", ["trade:FOO", "nothing", "margin", "order:XBTUSD"])
def test_one_bad_topic_fails_the_request(exchange: Exchange, bad: str) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        answer = ask(client, "subscribe", ["quote:XBTUSD", bad, "trade:XBTUSD"])
        assert answer["status"] in (400, 401)
        client.send("ping")
        assert client.recv() == "pong"  # nothing was subscribed


def test_an_unknown_symbol_is_named_by_the_later_api(exchange: Exchange) -> None:
    is_classic = exchange.server.hub.dialect.is_classic
    with closing(exchange.connect("subscribe=trade:FOO")) as client:
        read(client)
        answer = read(client)
    see = " Please see the documentation at https://www.bitmex.com/app/wsAPI."
    text = "Unknown or expired symbol." if is_classic else f"Unknown or expired symbol: FOO.{see}"
    assert answer["error"] == text
    assert answer["request"] == {"op": "subscribe", "args": "trade:FOO"}


@pytest.mark.parametrize("text", ["help", '"help"', '{"op":"help"}'])
def test_help_may_be_asked_for_in_words_and_in_json(last: Exchange, text: str) -> None:
    with closing(last.connect()) as client:
        read(client)
        client.send(text)
        told = read(client)
        assert {"info", "usage", "ops", "subscribe", "subscriptionSubjects"} <= set(told)
        assert {"subscribe", "unsubscribe", "authKeyExpires", "cancelAllAfter"} <= set(told["ops"])


# -- commands


def test_a_second_authentication_is_an_error_that_ends_nothing(last: Exchange) -> None:
    signed = signed_with(last.account)
    arguments = [signed["api-key"], int(signed["api-expires"]), signed["api-signature"]]
    with closing(last.connect()) as client:
        read(client)
        first = ask(client, "authKeyExpires", arguments)
        request = {"op": "authKeyExpires", "args": arguments}
        assert first == {"success": True, "request": request}
        assert ask(client, "authKeyExpires", arguments)["status"] == 400
        assert ask(client, "subscribe", "margin")["success"] is True


def test_the_scheme_with_nonces_is_named_and_ends_the_connection(last: Exchange) -> None:
    nonce = int(time.time() * 1000)
    signed = signature(last.account.secret, "GET", "/realtime", str(nonce))
    with closing(last.connect()) as client:
        read(client)
        answer = ask(client, "authKey", [last.account.key, nonce, signed])
        assert answer["status"] == 401
        assert "api-expires" in answer["error"]
        assert end_of(client) == (1008, "authentication failed")


@pytest.mark.parametrize(
    ("permissions", "status"),
    [((), 403), (("withdraw",), 403), (("orderCancel",), 0), (("order",), 0)],
)
def test_the_dead_mans_switch_needs_a_right(
    last: Exchange, permissions: tuple[str, ...], status: int
) -> None:
    key = last.engine.add_key(last.account.number, permissions)
    with closing(last.connect("", signed_with(key))) as client:
        read(client)
        answer = ask(client, "cancelAllAfter", 60_000)
        assert answer.get("status", 0) == status
        assert answer["request"] == {"op": "cancelAllAfter", "args": 60_000}
        if status:
            assert answer["error"] == "Access Denied"
        else:
            assert answer["cancelTime"] > answer["now"]
            assert ask(client, "cancelAllAfter", [0])["cancelTime"] == 0


def test_the_dead_mans_switch_costs_a_token_and_is_refused_without_one() -> None:
    with closing(Exchange("last", RateLimits("last", size=3))) as exchange:
        with closing(exchange.connect("", signed_with(exchange.account))) as client:
            read(client)
            answers = [ask(client, "cancelAllAfter", 60_000) for _ in range(4)]
        assert ["cancelTime" in answer for answer in answers] == [True, True, True, False]
        wait_s = answers[-1]["meta"]["retryAfter"]
        assert answers[-1] == {
            "status": 429,
            "error": f"Rate limit exceeded, retry in {wait_s} seconds.",
            "meta": {"retryAfter": wait_s},
            "request": {"op": "cancelAllAfter", "args": 60_000},
        }
        assert exchange.call("GET", "/api/v1/order")[0] == 429  # the same tokens as REST


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", "null", '{"op":"fly"}', '{"op":["x"]}', "[" * 50_000, ""]
)
def test_many_errors_end_the_connection(last: Exchange, text: str) -> None:
    with closing(last.connect()) as client:
        read(client)
        for _ in range(session_module.MAX_ERRORS):
            client.send(text)
            assert read(client)["status"] == 400
        client.send(text)
        assert read(client)["status"] == 400
        assert end_of(client) == (1008, "too many errors")


# -- several streams over one socket


def test_one_socket_carries_several_streams_each_with_its_own_account(last: Exchange) -> None:
    signed = signed_with(last.account)
    arguments = [signed["api-key"], int(signed["api-expires"]), signed["api-signature"]]
    url = last.server.ws_url + "md"
    with closing(websocket.create_connection(url, timeout=TIMEOUT_S)) as client:
        send(client, 1, "a", "mine")
        assert read(client)[3]["info"] == "Welcome to the BitMEX Realtime API."
        send(client, 1, "b", "public")
        assert read(client)[:3] == [0, "b", "public"]
        send(client, 0, "a", "mine", {"op": "authKeyExpires", "args": arguments})
        assert read(client)[:3] == [0, "a", "mine"]
        send(client, 0, "b", "public", {"op": "subscribe", "args": "order"})
        assert read(client)[3]["status"] == 401
        send(client, 0, "a", "mine", {"op": "subscribe", "args": ["order"]})
        assert read(client)[3]["subscribe"] == "order"
        assert read(client)[3]["action"] == "partial"
        placed = last.place()
        _, name, _, message = read(client)
        assert (name, message["data"][0]["orderID"]) == ("a", placed["orderID"])
        send(client, 0, "b", "public", "ping")
        assert read(client) == [0, "b", "public", "pong"]
        client.send("ping")
        assert client.recv() == "pong"
        assert last.server.hub.streams == 2
        send(client, 2, "a", "mine")
        assert read(client) == [2, "a", "mine"]
        send(client, 0, "a", "mine", "ping")
        assert read(client) == [2, "a", "mine"]  # it is closed
        send(client, 0, "b", "public", {"op": "authKeyExpires", "args": ["x", 99999999999, "00"]})
        assert read(client)[3]["status"] == 401
        assert read(client) == [2, "b", "public"]
    wait_for(lambda: not last.server.hub.streams)


@pytest.mark.parametrize("text", ["{", "[]", "[9,1,2]", "[0,[],1]", "[0,1,2,3,4]", '{"op":"help"}'])
def test_a_frame_of_another_form_is_an_error_on_a_multiplexed_socket(
    last: Exchange, text: str
) -> None:
    url = last.server.ws_url + "md"
    with closing(websocket.create_connection(url, timeout=TIMEOUT_S)) as client:
        client.send(text)
        assert "[type, id, topic, payload]" in read(client)["error"]


def test_a_socket_carries_only_so_many_streams(last: Exchange) -> None:
    url = last.server.ws_url + "md"
    with closing(websocket.create_connection(url, timeout=TIMEOUT_S)) as client:
        for number in range(20):
            send(client, 1, str(number), "t")
            assert read(client)[0] == 0
        send(client, 1, "20", "t")
        assert read(client) == [2, "20", "t"]


def send(client: websocket.WebSocket, *frame: Any) -> None:
    client.send(json.dumps(frame))


# -- who does not read


def test_a_client_that_does_not_read_is_dropped_at_its_bound_and_the_others_miss_nothing(
    last: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy_size = 200
    keen = last.connect("subscribe=orderBookL2:XBTUSD")
    read_until(keen, lambda m: m.get("action") == "partial")
    monkeypatch.setattr(socket_module, "QUEUE_SIZE", lazy_size)
    lazy = last.connect("subscribe=orderBookL2:XBTUSD")
    hub = last.server.hub
    wait_for(lambda: len(hub._subscribers) == 2)
    fields = {"symbol": "XBTUSD", "orderQty": 100, "price": 50_000}
    sent = 0
    while len(hub._subscribers) == 2:
        assert sent < 200_000
        with hub.lock:
            for _ in range(50):
                order = hub.engine.place(last.account.number, fields)
                hub.engine.cancel(last.account.number, [order.order_id])
        for _ in range(100):
            assert read(keen)["table"] == "orderBookL2"
        sent += 100
    assert sent > lazy_size
    with contextlib.suppress(ConnectionError):
        while lazy.sock.recv(1_000_000):  # what was on its way, and then the end
            pass
    assert last.call("GET", "/api/v1/order")[0] == 200
    keen.close()
    lazy.close()


def wait_for(condition: Any) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_client_that_goes_away_is_forgotten(last: Exchange) -> None:
    client = last.connect("subscribe=instrument")
    wait_for(lambda: len(last.server.hub._subscribers) == 1)
    client.sock.setsockopt(
        socket.SOL_SOCKET,
        socket.SO_LINGER,
        struct.pack("hh" if os.name == "nt" else "ii", 1, 0),
    )
    client.sock.close()  # a reset, as of a process that was killed
    wait_for(lambda: not last.server.hub._subscribers)
    wait_for(lambda: not last.server._connections)
