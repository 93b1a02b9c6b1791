"""The built-in exchange over real sockets: bytes, threads, connections."""

import http.client
import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import websocket

from market_maker.clock import Clock, ManualClock
from market_maker.simulator import listener as listener_module
from market_maker.simulator import server as server_module
from market_maker.simulator import websocket as socket_module
from market_maker.simulator.auth import NAMES, signature
from market_maker.simulator.bitmex_tongue import BitmexTongue
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.exchange import Engine
from market_maker.simulator.hub import Hub
from market_maker.simulator.limits import RateLimits
from market_maker.simulator.server import Server, main, serve
from market_maker.simulator.websocket import accept_token

TIMEOUT_S = 10.0
RECORDINGS = Path(__file__).parents[3] / "shared/data"


class Exchange:
    """A served engine on the real clock, with one account."""

    def __init__(self, profile: str = "classic", limits: RateLimits | None = None) -> None:
        self.clock = Clock()
        self.engine = Engine(self.clock, seed=1)
        self.account = self.engine.open_account()
        self.server: Server = serve(
            BitmexTongue(Dialect(self.engine, profile)), clock=self.clock, limits=limits
        )
        self.port = self.server.server_port
        self.http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def credentials(
        self, verb: str, target: str, body: bytes = b"", expires: float | None = None
    ) -> dict[str, str]:
        until = str(expires if expires is not None else int(time.time()) + 30)
        signed = signature(self.account.secret, verb, target, until, body)
        return dict(zip(NAMES, (self.account.key, until, signed), strict=True))

    def call(
        self, verb: str, target: str, body: bytes = b"", kind: str = "", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        return self.raw(
            verb, target, body, {**self.credentials(verb, target, body), **headers}, kind
        )

    def raw(
        self, verb: str, target: str, body: bytes, headers: dict[str, str], kind: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        if kind:
            headers = {**headers, "Content-Type": kind}
        self.http.request(verb, target, body or None, headers)
        response = self.http.getresponse()
        text = response.read()
        lower = {name.lower(): value for name, value in response.getheaders()}
        return response.status, json.loads(text), lower

    def place(self, **fields: Any) -> Any:
        order = {"symbol": "XBTUSD", "orderQty": 100, "price": 59000, **fields}
        status, body, _ = self.call(
            "POST", "/api/v1/order", json.dumps(order).encode(), "application/json"
        )
        assert status == 200, body
        return body

    def connect(
        self, query: str = "", headers: dict[str, str] | None = None
    ) -> websocket.WebSocket:
        url = self.server.ws_url + (f"?{query}" if query else "")
        return websocket.create_connection(url, timeout=TIMEOUT_S, header=headers or {})

    def close(self) -> None:
        self.http.close()
        self.server.close()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with closing(Exchange()) as running:
        yield running


def read(client: websocket.WebSocket) -> Any:
    return json.loads(client.recv())


def read_until(client: websocket.WebSocket, wanted: Callable[[Any], bool]) -> Any:
    """The first message that is wanted; what comes before is passed over."""
    while True:
        message = read(client)
        if wanted(message):
            return message


# -- REST


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"symbol":"XBTUSD","orderQty":100,"price":59000.5}', "application/json"),
        (b'{"symbol":"XBTUSD","orderQty":100,"price":59000.5}', ""),
        (b"symbol=XBTUSD&orderQty=100&price=59000.5", "application/x-www-form-urlencoded"),
    ],
)
def test_an_order_is_placed_by_a_json_or_a_form_body(
    exchange: Exchange, body: bytes, kind: str
) -> None:
    status, order, headers = exchange.call("POST", "/api/v1/order", body, kind)
    assert (status, order["price"], order["ordStatus"]) == (200, 59000.5, "New")
    assert headers["content-type"].startswith("application/json")
    assert headers["date"].endswith("GMT")


def test_an_order_is_amended_by_a_put(exchange: Exchange) -> None:
    order = exchange.place()
    body = json.dumps({"orderID": order["orderID"], "orderQty": 300}).encode()
    status, row, _ = exchange.call("PUT", "/api/v1/order", body, "application/json")
    assert (status, row["orderID"], row["orderQty"]) == (200, order["orderID"], 300)


def test_parameters_of_a_delete_may_stand_in_the_query(exchange: Exchange) -> None:
    order = exchange.place(clOrdID="a/b+c")
    target = "/api/v1/order?clOrdID=" + quote("a/b+c", safe="")
    status, rows, _ = exchange.call("DELETE", target)
    assert status == 200
    assert (rows[0]["orderID"], rows[0]["ordStatus"]) == (order["orderID"], "Canceled")


def test_the_signature_covers_the_target_as_sent(exchange: Exchange) -> None:
    target = "/api/v1//order?filter=%7B%22open%22%3A+true%7D"
    assert exchange.call("GET", target)[0] == 200
    status, body, _ = exchange.raw("GET", target, b"", exchange.credentials("GET", "/api/v1/order"))
    assert (status, body["error"]["message"]) == (401, "Signature not valid.")


@pytest.mark.parametrize("target", ["/api/v1/order", "/api/v1/order?count=5"])
def test_the_signature_may_stand_in_the_query(exchange: Exchange, target: str) -> None:
    signed = exchange.credentials("GET", target)
    joined = target + ("&" if "?" in target else "?") + urlencode(signed)
    status, rows, _ = exchange.raw("GET", joined, b"", {})
    assert (status, rows) == (200, [])


def test_a_wrong_key_fails_on_public_routes_too(exchange: Exchange) -> None:
    headers = {**exchange.credentials("GET", "/api/v1/quote"), "api-key": "nobody"}
    status, body, _ = exchange.raw("GET", "/api/v1/quote", b"", headers)
    assert (status, body["error"]) == (401, {"message": "Invalid API Key.", "name": "HTTPError"})
    assert exchange.raw("GET", "/api/v1/quote", b"", {})[0] == 200


def test_an_old_request_is_told_the_time(exchange: Exchange) -> None:
    headers = exchange.credentials("GET", "/api/v1/order", expires=1)
    status, body, _ = exchange.raw("GET", "/api/v1/order", b"", headers)
    assert status == 400
    now = int(body["error"]["message"].rpartition(" ")[2])
    assert abs(now - time.time()) < 5


@pytest.mark.parametrize("target", ["/", "/api", "/api/v1/nothing", "/api/v10/order", "/realtime"])
def test_an_unknown_route_is_a_404_envelope(exchange: Exchange, target: str) -> None:
    status, body, _ = exchange.raw("GET", target, b"", {})
    assert (status, body) == (404, {"error": {"message": "Not Found", "name": "HTTPError"}})


def test_the_root_is_there_without_a_key(exchange: Exchange) -> None:
    for target in ("/api/v1", "/api/v1/"):
        status, body, _ = exchange.raw("GET", target, b"", {})
        assert status == 200
        assert abs(body["timestamp"] / 1000 - time.time()) < 5


def test_unreadable_json_is_a_400_and_the_connection_lives_on(exchange: Exchange) -> None:
    status, body, _ = exchange.call("POST", "/api/v1/order", b"{", "application/json")
    assert (status, body["error"]["message"]) == (400, "Invalid JSON in the body")
    before = exchange.http.sock
    assert exchange.call("GET", "/api/v1/order")[0] == 200
    assert exchange.http.sock is before


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: 5000000", 413),
        ("Content-Length: -1", 400),
        ("Content-Length: x", 400),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_a_body_of_no_usable_length_is_refused(exchange: Exchange, head: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), TIMEOUT_S) as line:
        line.sendall(f"POST /api/v1/order HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        answer = b""
        while part := line.recv(4096):
            answer += part
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_many_clients_are_answered_at_once(exchange: Exchange) -> None:
    statuses: list[int] = []

    def client() -> None:
        http_client = http.client.HTTPConnection("127.0.0.1", exchange.port, timeout=TIMEOUT_S)
        for _ in range(10):
            target = "/api/v1/user/margin"
            http_client.request("GET", target, headers=exchange.credentials("GET", target))
            statuses.append(http_client.getresponse().read() and 200)
        http_client.close()

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert statuses == [200] * 80


def test_no_request_line_is_ever_printed(
    exchange: Exchange, capfd: pytest.CaptureFixture[str]
) -> None:
    exchange.raw("GET", f"/api/v1/order?api-key={exchange.account.key}&api-signature=x", b"", {})
    exchange.http.request("BREW", "/api/v1/order")
    assert exchange.http.getresponse().status == 501
    assert capfd.readouterr() == ("", "")


# -- rate limits


def test_limits_are_counted_and_told() -> None:
    with closing(Exchange(limits=RateLimits("classic"))) as exchange:
        left = []
        for _ in range(3):
            _, _, headers = exchange.call("GET", "/api/v1/order")
            left.append(int(headers["x-ratelimit-remaining"]))
            assert headers["x-ratelimit-limit"] == "300"
            assert int(headers["x-ratelimit-reset"]) >= int(time.time())
        assert left[0] == 299
        assert left[2] <= left[1] <= left[0]


def test_a_refused_call_is_a_429_with_everything_to_wait_by() -> None:
    with closing(Exchange("last", RateLimits("last"))) as exchange:
        for _ in range(30):
            exchange.raw("GET", "/api/v1/quote", b"", {})
        status, body, headers = exchange.raw("GET", "/api/v1/quote", b"", {})
        while status == 200:  # a slow machine refills meanwhile
            status, body, headers = exchange.raw("GET", "/api/v1/quote", b"", {})
        assert status == 429
        assert body["error"]["name"] == "RateLimitError"
        assert {"retry-after", "x-ratelimit-reset", "x-ratelimit-limit"} <= set(headers)


# -- WebSocket


def test_the_handshake_token_is_the_one_of_the_rfc() -> None:
    assert accept_token("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_connection_is_welcomed_and_gets_what_its_query_asks(exchange: Exchange) -> None:
    exchange.place()
    with closing(exchange.connect("subscribe=quote:XBTUSD,instrument")) as client:
        assert read(client)["info"] == "Welcome to the BitMEX Realtime API."
        ack = read(client)
        assert ack["request"] == {"op": "subscribe", "args": "quote:XBTUSD"}
        partial = read(client)
        assert (partial["table"], partial["filter"]) == ("quote", {"symbol": "XBTUSD"})
        assert partial["data"][0]["bidPrice"] == 59000
        assert read(client)["subscribe"] == "instrument"
        assert len(read(client)["data"]) == 7  # four traded, three indices


def in_headers(exchange: Exchange, signed: dict[str, str]) -> websocket.WebSocket:
    return exchange.connect("subscribe=order", signed)


def in_query(exchange: Exchange, signed: dict[str, str]) -> websocket.WebSocket:
    return exchange.connect("subscribe=order&" + urlencode(signed))


def in_command(exchange: Exchange, signed: dict[str, str]) -> websocket.WebSocket:
    client = exchange.connect()
    arguments = [signed["api-key"], int(signed["api-expires"]), signed["api-signature"]]
    client.send(json.dumps({"op": "authKeyExpires", "args": arguments}))
    assert read_until(client, lambda m: "success" in m)["request"]["op"] == "authKeyExpires"
    client.send(json.dumps({"op": "subscribe", "args": ["order"]}))
    return client


@pytest.mark.parametrize("way", [in_headers, in_query, in_command])
@pytest.mark.parametrize("scale", [1, 1000], ids=["seconds", "milliseconds"])
def test_there_are_three_ways_to_authenticate_a_stream(
    exchange: Exchange, way: Any, scale: int
) -> None:
    expires = (int(time.time()) + 60) * scale
    with closing(
        way(exchange, exchange.credentials("GET", "/realtime", expires=expires))
    ) as client:
        partial = read_until(client, lambda m: m.get("action") == "partial")
        assert partial["filter"] == {"account": exchange.account.number}
        order = exchange.place()
        assert read(client)["data"][0]["orderID"] == order["orderID"]


@pytest.mark.parametrize("way", [in_headers, in_query])
def test_a_bad_key_fails_the_handshake(exchange: Exchange, way: Any) -> None:
    signed = {**exchange.credentials("GET", "/realtime"), "api-signature": "00"}
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        way(exchange, signed)


def test_a_bad_key_after_the_handshake_is_told_and_ends_the_connection(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        client.send('{"op":"authKeyExpires","args":["nobody",99999999999,"00"]}')
        answer = read(client)
        assert (answer["status"], answer["error"]) == (401, "Invalid API Key.")
        opcode, data = client.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        assert struct.unpack("!H", data[:2]) == (1008,)


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ('{"op":"subscribe","args":["margin"]}', 401, "User requested an account-locked"),
        ('{"op":"subscribe","args":["wallet"]}', 401, "User requested an account-locked"),
        ('{"op":"subscribe","args":["nothing"]}', 400, "Unknown table: nothing"),
        ('{"op":"subscribe","args":["trade:FOO"]}', 400, "Unknown or expired symbol."),
        ('{"op":"cancelAllAfter","args":60000}', 401, "Authorization Required"),
        ('{"op":"authKeyExpires","args":[]}', 401, "Invalid API Key."),
        ("{", 400, "Failed to decode incoming data: "),
    ],
)
def test_what_a_client_gets_wrong_it_is_told(
    exchange: Exchange, sent: str, status: int, error: str
) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        client.send(sent)
        answer = read(client)
        assert answer["status"] == status
        assert answer["error"].startswith(error)
        assert ("request" in answer) is (sent != "{")
        if "authKey" not in sent:
            client.send("ping")
            assert client.recv() == "pong"


def test_both_kinds_of_ping_are_answered(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        client.ping(b"hello")
        opcode, data = client.recv_data(control_frame=True)
        assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, b"hello")
        client.send("ping")
        assert client.recv() == "pong"
        client.send("help")
        assert "usage" in read(client)


def test_a_message_in_pieces_is_put_together(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        parts = [('{"op":"subscribe",', 0, 1), ('"args":', 0, 0), ('["quote"]}', 1, 0)]
        for text, fin, code in parts:
            client.send_frame(websocket.ABNF(fin, 0, 0, 0, code, 1, text))
        assert read(client)["subscribe"] == "quote"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda client: client.send_binary(b"x"), 1003),
        (lambda client: client.send("x" * 1_100_000), 1009),
        (lambda client: client.send_close(1000), 1000),
    ],
)
def test_the_server_closes_with_a_code(exchange: Exchange, spoil: Any, code: int) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        spoil(client)
        opcode, data = client.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        assert struct.unpack("!H", data[:2]) == (code,)


def test_garbage_instead_of_frames_ends_only_that_connection(exchange: Exchange) -> None:
    with closing(exchange.connect()) as client:
        read(client)
        client.sock.sendall(b"\xff" * 20)
        with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
            while True:
                client.recv_frame()
    assert exchange.call("GET", "/api/v1/order")[0] == 200


def test_an_upgrade_without_a_key_is_refused(exchange: Exchange) -> None:
    assert exchange.raw("GET", "/realtime", b"", {"Upgrade": "websocket"})[0] == 400


def test_events_are_queued_before_the_answer_is_sent(exchange: Exchange) -> None:
    client = exchange.connect("subscribe=order", exchange.credentials("GET", "/realtime"))
    with closing(client):
        read_until(client, lambda m: m.get("action") == "partial")
        for number in range(20):
            placed = exchange.place(price=59000 + number)
            assert read(client)["data"][0]["orderID"] == placed["orderID"]


def test_no_delta_is_lost_or_doubled_while_orders_flow(exchange: Exchange) -> None:
    """Connections join while another thread trades; each ends with the exchange's own book."""
    done = threading.Event()

    def trade() -> None:
        for number in range(300):
            with exchange.server.hub.lock:
                fields = {"symbol": "XBTUSD", "orderQty": 100, "price": 59000 + number % 37}
                exchange.engine.place(exchange.account.number, fields)
                if number % 5 == 4:
                    exchange.engine.cancel_all(exchange.account.number)
        done.set()

    trader = threading.Thread(target=trade)
    trader.start()
    books = []
    for _ in range(5):
        client = exchange.connect("subscribe=orderBookL2:XBTUSD")
        image = read_until(client, lambda m: m.get("action") == "partial")
        books.append((client, {row["id"]: row["size"] for row in image["data"]}))
    trader.join(TIMEOUT_S)
    assert done.is_set()
    exchange.place(price=50000)
    for client, rows in books:
        with closing(client):
            while 50000 not in {row["price"] for row in follow(client, rows)}:
                pass
            assert sorted(rows.values()) == sorted(
                level.size for level in exchange.engine.book("XBTUSD")[0]
            )


def follow(client: websocket.WebSocket, rows: dict[int, int]) -> Any:
    message = read(client)
    for row in message["data"]:
        if message["action"] == "insert":
            assert row["id"] not in rows
            rows[row["id"]] = row["size"]
        elif message["action"] == "update":
            assert row["id"] in rows
            rows[row["id"]] = row["size"]
        else:
            del rows[row["id"]]
    return message["data"]


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_module, "QUEUE_SIZE", 50)
    lazy = exchange.connect("subscribe=orderBookL2:XBTUSD,instrument")
    read(lazy)
    hub: Hub = exchange.server.hub
    assert len(hub._subscribers) == 1
    deadline = time.monotonic() + TIMEOUT_S
    big = "x" * 100_000
    while hub._subscribers and time.monotonic() < deadline:
        with hub.lock:
            for subscriber in list(hub._subscribers):
                subscriber.put(big)
    assert hub._subscribers == []
    assert exchange.call("GET", "/api/v1/order")[0] == 200
    lazy.close()


def test_a_timer_fires_without_any_request(exchange: Exchange) -> None:
    client = exchange.connect("subscribe=order", exchange.credentials("GET", "/realtime"))
    with closing(client):
        exchange.place()
        client.send('{"op":"cancelAllAfter","args":50}')
        cancelled = read_until(client, lambda m: m.get("action") == "update")
        assert cancelled["data"][0]["ordStatus"] == "Canceled"


def test_it_listens_on_the_loopback_of_the_newer_protocol_too() -> None:
    engine = Engine(Clock(), seed=1)
    try:
        server = serve(BitmexTongue(Dialect(engine)), "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with closing(server):
        assert server.base_url == f"http://[::1]:{server.server_port}/api/v1/"
        with closing(websocket.create_connection(server.ws_url, timeout=TIMEOUT_S)) as client:
            assert "Welcome" in read(client)["info"]
        connection = http.client.HTTPConnection("::1", server.server_port, timeout=TIMEOUT_S)
        connection.request("GET", "/api/v1")
        assert connection.getresponse().read()
        connection.close()


def test_more_connections_than_it_bears_are_closed_at_once(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exchange.raw("GET", "/api/v1", b"", {})[0] == 200
    monkeypatch.setattr(listener_module, "MAX_CONNECTIONS", 1)
    with socket.create_connection(("127.0.0.1", exchange.port), TIMEOUT_S) as line:
        assert line.recv(1) == b""
    assert exchange.raw("GET", "/api/v1", b"", {})[0] == 200


def test_closing_the_server_ends_every_connection() -> None:
    exchange = Exchange()
    client = exchange.connect()
    read(client)
    exchange.close()
    with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
        client.recv()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", exchange.port), 0.5).close()


# -- the command


def test_a_taken_port_is_one_line_and_exit_code_2(
    exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", str(exchange.port)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"127.0.0.1:{exchange.port}" in error


def test_missing_data_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "/no/such/folder"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["--accounts", "2", "--seed", "1"], 10),
        (["--host", "0.0.0.0", "--no-rate-limit"], 10),
    ],
)
def test_it_tells_a_person_where_it_is_and_how_it_ends(
    argv: list[str],
    lines: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "_await_parent", lambda ended: ended.set())
    before = signal.getsignal(signal.SIGINT)
    assert main([*argv, "--parent-pipe"]) == 0
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().out.splitlines()
    assert len(said) == lines
    assert said[0].startswith("Built-in exchange, play money, the practice market, profile last.")
    assert said[1].startswith("REST       http://")
    assert said[2].startswith("WebSocket  ws://")
    assert any(line.startswith("Open beyond this machine") for line in said) is ("--host" in argv)
    assert said[-1] == "Ctrl-C ends it."
    assert max(map(len, said)) <= 80


def test_it_tells_a_program_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_await_parent", lambda ended: ended.set())
    assert main(["--json", "--parent-pipe", "--accounts", "3"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["base_url"].startswith("http://127.0.0.1:")
    assert told["base_url"].endswith("/api/v1/")
    assert told["ws_url"].endswith("/realtime")
    assert told["control_url"].startswith("http://127.0.0.1:")
    assert len(told["control_token"]) == 24
    assert [set(account) for account in told["accounts"]] == [{"key", "secret"}] * 3


def test_it_replays_recorded_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not RECORDINGS.exists():
        pytest.skip("the recordings in ../shared/data are not here")
    monkeypatch.setattr(server_module, "_await_parent", lambda ended: ended.set())
    files = [
        str(RECORDINGS / f"bitmex_ETHUSD_{kind}_2020-03-04.csv.gz")
        for kind in ("book10", "quotes", "trades")
    ]
    argv = ["--data", *files, "--symbol", "ethusd", "--speed", "5", "--parent-pipe"]
    assert main(argv) == 0
    assert "recorded data at 5x" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--port", "x"], ["--port", "70000"], ["--speed", "0"], ["--accounts", "0"]]
)
def test_an_impossible_option_names_what_is_allowed(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert f"argument {argv[0]}: must be a number from" in capsys.readouterr().err


def test_a_request_that_fails_inside_is_logged_without_the_request(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(exchange.server.hub, "answer", fail)
    with pytest.raises((http.client.HTTPException, OSError)):
        exchange.call("GET", "/api/v1/order")
    assert "failed to answer a request" in caplog.text
    assert exchange.account.key not in caplog.text


def test_the_hub_tells_how_long_the_engine_may_rest() -> None:
    clock = ManualClock(1_600_000_000.0)
    engine = Engine(clock, seed=1)
    hub = Hub(BitmexTongue(Dialect(engine)), clock)
    assert hub.advance() == pytest.approx(2000)  # 13:00 UTC, when withdrawals go out
    engine.cancel_all_after(engine.open_account().number, 60_000)
    assert hub.advance() == pytest.approx(60)


def test_a_market_that_breaks_down_ends_the_program_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Hub) -> float:
        raise ArithmeticError("a market beyond reason")

    monkeypatch.setattr(Hub, "advance", fail)
    assert main(["--json"]) == 1
    assert "The market of the built-in exchange failed: it ends." in caplog.text
