"""Faults over real sockets, and the control call."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from market_maker.auth.APIKeyAuth import generate_signature
from market_maker.clock import Clock
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.wire import Answer, Request
from market_maker.simulator.bitmex_tongue import faulty_bitmex
from market_maker.simulator.control import TOKEN_HEADER
from market_maker.simulator.exchange import Engine
from market_maker.simulator.faults import BAD_GATEWAY
from market_maker.simulator.faulty_hub import FaultyHub

TIMEOUT_S = 10.0
TOKEN = "a-token-of-this-test"


class Exchange:
    """A served engine on the real clock, one account, and the bot's own transport to it."""

    def __init__(self) -> None:
        clock = Clock()
        self.engine = Engine(clock, seed=1)
        self.account = self.engine.open_account()
        self.hub = FaultyHub(faulty_bitmex(self.engine, "classic"), clock, token=TOKEN)
        self.server = self.hub.open_port()
        self.server.start()
        self.transport = HttpTransport(self.server.base_url, self.sign, timeout_s=0.3)

    def sign(self, verb: str, target: str, body: str) -> dict[str, str]:
        expires = int(time.time()) + 5
        signed = generate_signature(self.account.secret, verb, target, expires, body)
        names = ("api-key", "api-expires", "api-signature")
        return dict(zip(names, (self.account.key, str(expires), signed), strict=True))

    def add(self, text: str) -> None:
        with self.hub.lock:
            self.hub.faults.add(text)
        self.hub.advance()

    def clear(self) -> None:
        with self.hub.lock:
            self.hub.faults.clear()

    def place(self) -> Answer:
        order = {"symbol": "XBTUSD", "orderQty": 100, "price": 59000}
        return self.transport.send([Request("POST", "/order", None, order)])[0]

    def resting(self) -> int:
        with self.hub.lock:
            return self.engine.open_order_count()

    def stream(self, topics: str = "order") -> websocket.WebSocket:
        signed = self.sign("GET", "/realtime", "")
        return websocket.create_connection(
            f"{self.server.ws_url}?subscribe={topics}", timeout=TIMEOUT_S, header=signed
        )

    def control(
        self, verb: str, path: str, body: Any = None, **headers: str | None
    ) -> tuple[int, Any]:
        given = {TOKEN_HEADER: TOKEN, **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.server_port, timeout=TIMEOUT_S
        )
        connection.request(
            verb,
            path,
            body if isinstance(body, str) else json.dumps(body),
            {name: value for name, value in given.items() if value is not None},
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.clear()
    made.transport.close()
    made.server.close()


def frames(link: websocket.WebSocket, count: int) -> list[Any]:
    return [json.loads(link.recv()) for _ in range(count)]


@pytest.mark.parametrize(
    ("fault", "error", "resting"),
    [
        ("drop-request", "timed out", 0),
        ("drop-answer", "timed out", 1),
        ("drop-request:lost=cut", "connection lost", 0),
        ("drop-answer:lost=cut", "connection lost", 1),
        ("late-answer:seconds=0.6", "timed out", 1),
    ],
)
def test_a_lost_answer_is_an_unknown_outcome_to_the_bot_s_transport(
    exchange: Exchange, fault: str, error: str, resting: int
) -> None:
    exchange.add(fault)
    assert exchange.place() == Answer(0, None, {}, True, error)
    assert exchange.resting() == resting


@pytest.mark.parametrize("fault", ["late-act:seconds=0.5", "late-request:seconds=0.5"])
def test_the_exchange_may_act_when_the_client_is_gone(exchange: Exchange, fault: str) -> None:
    exchange.add(fault)
    assert exchange.place().error == "timed out"
    assert exchange.resting() == 0
    deadline_s = time.monotonic() + TIMEOUT_S
    while not exchange.resting() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert exchange.resting() == 1


def test_a_lost_answer_leaves_the_next_request_unharmed(exchange: Exchange) -> None:
    exchange.add("drop-answer:count=1")
    assert exchange.place().status == 0
    assert exchange.place().status == 200


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_statuses_arrive_as_they_are(exchange: Exchange, status: int) -> None:
    exchange.add(f"{status}")
    answer = exchange.place()
    assert answer.status == status
    assert (answer.body == BAD_GATEWAY) == (status == 502)
    assert (answer.headers["content-type"] == "text/html; charset=utf-8") == (status == 502)
    assert answer.headers.get("retry-after") == ("5" if status == 429 else None)


def test_the_stream_is_cut(exchange: Exchange) -> None:
    link = exchange.stream()
    frames(link, 3)
    exchange.add("close")
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        link.recv()
    exchange.stream().close()


def test_the_stream_freezes_and_thaws_without_loss(exchange: Exchange) -> None:
    link = exchange.stream()
    frames(link, 3)
    exchange.add("freeze:for=60")
    exchange.place()
    link.send("ping")
    link.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        link.recv()
    exchange.clear()
    link.settimeout(TIMEOUT_S)
    assert json.loads(link.recv())["action"] == "insert"
    assert link.recv() == "pong"
    link.close()


def test_a_stale_stream_still_answers_pings(exchange: Exchange) -> None:
    link = exchange.stream()
    frames(link, 3)
    exchange.add("stale")
    exchange.place()
    link.send("ping")
    assert link.recv() == "pong"
    link.close()


def test_new_connections_are_refused_and_taken_again(exchange: Exchange) -> None:
    exchange.transport.close()
    exchange.add("refuse:for=60")
    address = ("127.0.0.1", exchange.server.server_port)
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(address, TIMEOUT_S).close()
        except ConnectionRefusedError:
            break
    assert exchange.place() == Answer(0, None, {}, False, "connection refused")
    exchange.clear()
    while exchange.place().status != 200 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert exchange.place().status == 200


def test_a_refusing_server_closes(exchange: Exchange) -> None:
    exchange.add("refuse:for=60")
    exchange.server.close()


def test_a_clock_ahead_refuses_our_signatures_and_says_its_time(exchange: Exchange) -> None:
    exchange.add("clock-skew:seconds=60")
    answer = exchange.place()
    assert answer.status in (400, 401)
    assert "This request has expired" in answer.body["error"]["message"]
    assert 55 < exchange.transport.server_offset_s < 65


def test_late_rows_come_over_the_wire_too(exchange: Exchange) -> None:
    link = exchange.stream("order,position")
    frames(link, 5)
    exchange.add("late-position:seconds=0.2")
    exchange.place()
    assert [frame["table"] for frame in frames(link, 2)] == ["order", "position"]
    link.close()


# -- the control call -------------------------------------------------------------------------


def test_faults_are_added_listed_and_cleared_while_it_runs(exchange: Exchange) -> None:
    status, rows = exchange.control("POST", "/control/fault", {"add": "503:count=1"})
    assert (status, [row["fault"] for row in rows]) == (200, ["503:count=1"])
    assert exchange.place().status == 503
    assert exchange.control("GET", "/control/fault")[1][0]["hits"] == 1
    assert exchange.control("POST", "/control/fault", {"clear": "503"}) == (200, [])
    assert exchange.place().status == 200


def test_the_status_says_what_goes_on(exchange: Exchange) -> None:
    exchange.place()
    status, found = exchange.control("GET", "/control/status")
    assert status == 200
    assert found["open_orders"] == 1
    assert found["profile"] == "classic"
    assert found["markets"]["XBTUSD"]["bidPrice"] == 59000


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({TOKEN_HEADER: None}, "Send the token that was printed at the start"),
        ({TOKEN_HEADER: "wrong"}, "Send the token that was printed at the start"),
        ({TOKEN_HEADER: "wröng"}, "Send the token that was printed at the start"),
        ({"Origin": "http://localhost:3000"}, "not taken from web pages"),
        ({"Origin": "null"}, "not taken from web pages"),
        ({"Referer": "http://evil.example/"}, "not taken from web pages"),
        ({"Sec-Fetch-Site": "cross-site"}, "not taken from web pages"),
        ({"X-Forwarded-For": "10.0.0.1"}, "not taken from web pages or through proxies"),
        ({"Host": "evil.example"}, "this machine's own name only"),
        ({"Host": "127.0.0.1.evil.example:80"}, "this machine's own name only"),
        ({"Host": "localhost@evil.example"}, "this machine's own name only"),
    ],
)
def test_a_call_that_a_web_page_could_make_is_refused(
    exchange: Exchange, headers: dict[str, str | None], text: str
) -> None:
    status, body = exchange.control("POST", "/control/fault", {"add": "503"}, **headers)
    assert status == 403
    assert text in body["error"]["message"]
    assert exchange.place().status == 200


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8080"])
def test_every_own_name_of_the_machine_will_do(exchange: Exchange, host: str) -> None:
    assert exchange.control("GET", "/control/fault", Host=host) == (200, [])


def test_no_page_is_allowed_to_send_the_token(exchange: Exchange) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", exchange.server.server_port, timeout=9)
    connection.request("OPTIONS", "/control/fault", headers={"Origin": "http://evil.example"})
    response = connection.getresponse()
    assert response.status >= 400
    allowed = [name for name, _ in response.getheaders() if name.lower().startswith("access-")]
    assert allowed == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"add": "nonsense"}, "No fault is named 'nonsense'"),
        ({"add": 5}, "No fault is named '5'"),
        ({"add": "503", "clear": "503"}, 'Send {"add"'),
        ({}, 'Send {"add"'),
        ([], 'Send {"add"'),
        ("{", 'Send {"add"'),
        ("[" * 100_000, 'Send {"add"'),
    ],
)
def test_a_bad_call_is_one_clear_line(exchange: Exchange, body: Any, text: str) -> None:
    status, answer = exchange.control("POST", "/control/fault", body)
    assert status == 400
    assert answer["error"]["message"].startswith(text)


def test_an_account_gets_keys_with_rights_of_their_own(exchange: Exchange) -> None:
    first = exchange.account.key
    wanted = {"of": first, "permissions": "orderCancel,withdraw"}
    status, told = exchange.control("POST", "/control/key", wanted)
    assert (status, told["permissions"]) == (200, ["orderCancel", "withdraw"])
    made = exchange.engine.account_by_key(told["key"])
    assert made is not None
    assert (made.number, made.secret) == (exchange.account.number, told["secret"])
    assert exchange.control("POST", "/control/key", {"disable": told["key"]}) == (
        200,
        {"key": told["key"], "enabled": False},
    )
    assert exchange.place().status == 200
    exchange.control("POST", "/control/key", {"disable": first})
    refused = exchange.place()
    assert (refused.status, refused.body["error"]["message"]) == (403, "This key is disabled.")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"of": "nobody", "permissions": "order"}, "No account has this key."),
        ({"disable": "nobody"}, "No account has this key."),
        ({"of": "OURS", "permissions": "order,orderCancel"}, "a key has either the right"),
        ({"of": "OURS", "permissions": ["order"]}, "a key's rights are read, order"),
        ({"of": "OURS"}, 'Send {"of": KEY'),
        ({"disable": "OURS", "of": "OURS"}, 'Send {"of": KEY'),
        ("[", 'Send {"of": KEY'),
    ],
)
def test_an_impossible_key_is_one_clear_line(exchange: Exchange, body: Any, text: str) -> None:
    if isinstance(body, dict):
        ours = exchange.account.key
        body = {name: ours if value == "OURS" else value for name, value in body.items()}
    status, answer = exchange.control("POST", "/control/key", body)
    assert status == 400
    assert answer["error"]["message"].startswith(text)


def test_an_unknown_control_path_is_not_found(exchange: Exchange) -> None:
    assert exchange.control("GET", "/control/keys")[0] == 404
    assert exchange.control("DELETE", "/control/fault")[0] == 404


def test_without_a_token_no_control_call_is_taken(exchange: Exchange) -> None:
    exchange.hub.control.token = ""
    assert exchange.control("GET", "/control/status", **{TOKEN_HEADER: ""})[0] == 403
