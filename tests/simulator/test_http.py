"""HTTP/1.1 over a real socket pair: framing, limits, and what is refused."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.model.wire import Answer
from market_maker.simulator import handler, http1
from market_maker.simulator.bitmex_tongue import BitmexTongue
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.exchange import Engine
from market_maker.simulator.handler import Connection
from market_maker.simulator.http1 import BadRequest, parse_head, render_answer
from market_maker.simulator.parameters import parse_body, parse_query
from market_maker.simulator.tongue import Call

TIMEOUT_S = 5.0


class Echo:
    """In place of the hub: answers with what it understood."""

    tongue = BitmexTongue(Dialect(Engine(ManualClock())))

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def now(self) -> float:
        return 0.0

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        told = {"verb": call.verb, "target": call.target, "body": call.body.decode("latin-1")}
        return Answer(200, told, {"x-ratelimit-remaining": "7"})


class Line:
    """The client's end of a served connection."""

    def __init__(self) -> None:
        self.hub = Echo()
        self.socket, server = _tcp_pair()
        self.socket.settimeout(TIMEOUT_S)
        self._server = server
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._server:
            Connection(self._server, "x", self.hub).serve()  # type: ignore[arg-type]

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def read(self) -> tuple[int, Any, bytes]:
        """Status, body and head of the next answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(1)
            assert more, data
            data += more
        head = data.lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
        body = b""
        while len(body) < length:
            body += self.socket.recv(length - len(body))
        return int(data.split()[1]), json.loads(body) if body else None, data

    def is_closed(self) -> bool:
        return self.socket.recv(1) == b""

    def close(self) -> None:
        self.socket.close()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def request(verb: str = "GET", target: str = "/a", body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{verb} {target} HTTP/1.1", "Host: x", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_a_connection_is_kept_for_the_next_request(line: Line) -> None:
    for number in range(3):
        line.send(request("POST", f"/{number}", b"x=1"))
        status, told, head = line.read()
        assert (status, told["target"], told["body"]) == (200, f"/{number}", "x=1")
        assert b"connection: keep-alive" in head.lower()
        assert b"x-ratelimit-remaining: 7" in head.lower()
        assert b"gmt\r\n" in head.lower()


def test_requests_sent_ahead_are_answered_in_turn(line: Line) -> None:
    line.send(b"".join(request("POST", f"/{n}", b"b" * n) for n in range(20)))
    assert [line.read()[1]["target"] for _ in range(20)] == [f"/{n}" for n in range(20)]


@given(
    data=st.data(),
    bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
)
def test_however_it_is_cut_a_request_is_the_same(data: st.DataObject, bodies: list[bytes]) -> None:
    text = b"".join(request("POST", f"/{n}", body) for n, body in enumerate(bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    line = Line()
    try:
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        line.send(*parts)
        told = [line.read()[1] for _ in bodies]
        assert [answer["body"].encode("latin-1") for answer in told] == bodies
    finally:
        line.close()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 400),
        (b"GET  /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/2.0\r\n\r\n", 505),
        (b"GET /a HTTP/1.1\n\n", 400),
        (b"GET /a HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nname : x\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\na: x\r\n folded\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\na: x\ny\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\nxy", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 1000001\r\n\r\n", 413),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /a HTTP/1.1\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx", 417),
        (b"TRACE /a HTTP/1.1\r\n\r\n", 501),
        (b"OPTIONS /a HTTP/1.1\r\nOrigin: http://evil\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000, 431),
        (b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 12_000 + b"\r\n", 431),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_connection_ends(
    line: Line, text: bytes, status: int
) -> None:
    line.send(text)
    told_status, body, head = line.read()
    assert told_status == status
    assert set(body["error"]) == {"message", "name"}
    assert b"connection: close" in head.lower()
    assert line.is_closed()
    assert line.hub.calls == []


def test_a_large_body_is_refused_before_it_is_read_and_the_refusal_arrives(line: Line) -> None:
    line.send(b"POST /a HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", b"x" * 2_000_000)
    assert line.read()[0] == 413


@pytest.mark.parametrize(
    ("version", "headers", "stays"),
    [
        ("1.1", (), True),
        ("1.1", ("Connection: close",), False),
        ("1.1", ("Connection: Keep-Alive, Upgrade",), True),
        ("1.0", (), False),
        ("1.0", ("Connection: keep-alive",), True),
    ],
)
def test_who_asks_decides_whether_it_stays(
    line: Line, version: str, headers: tuple[str, ...], stays: bool
) -> None:
    text = "\r\n".join([f"GET /a HTTP/{version}", *headers, "", ""])
    line.send(text.encode())
    head = line.read()[2].lower()
    assert (b"connection: keep-alive" in head) is stays
    if stays:
        line.send(text.encode())
        assert line.read()[0] == 200
    else:
        assert line.is_closed()


def test_a_client_that_asks_first_is_told_to_go_on(line: Line) -> None:
    head = b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    line.send(head)
    assert line.read()[0] == 100
    line.send(b"abc")
    assert line.read()[1]["body"] == "abc"
    line.send(head + b"abc")  # it did not wait: nothing to tell
    assert line.read()[0] == 200


def test_an_address_in_full_is_taken_for_its_path(line: Line) -> None:
    line.send(request("GET", "http://x:1/api/v1//order?a=http://y/"))
    assert line.read()[1]["target"] == "/api/v1//order?a=http://y/"


@pytest.mark.parametrize("start", [b"G", b"GET /a HTTP/1.1\r\n", request("POST", "/", b"ab")[:-1]])
def test_a_request_that_trickles_in_is_ended(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "REQUEST_S", 0.2)
    line = Line()
    started = time.monotonic()
    line.send(start)
    assert line.read()[0] == 408
    assert time.monotonic() - started < TIMEOUT_S
    assert line.is_closed()
    line.close()


def test_a_silent_connection_is_ended_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "IDLE_S", 0.05)
    line = Line()
    assert line.is_closed()
    line.close()


def test_a_repeated_header_is_one_list() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\na: 2")
    assert head.headers == {"a": "1, 2, 2"}


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for text in (data, b"GET / HTTP/1.1\r\n" + data):
        try:
            head = parse_head(text)
        except BadRequest as bad:
            assert 400 <= bad.status <= 505
        else:
            assert head.verb in http1.VERBS
            assert 0 <= head.length <= http1.MAX_BODY


def test_a_page_goes_out_as_html() -> None:
    text = render_answer(Answer(502, "<html>é</html>", {"retry-after": "1"}), 0.0, False)
    assert text == (
        b"HTTP/1.1 502 Bad Gateway\r\nServer: marketmaker\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nretry-after: 1\r\n"
        b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
        b"<html>\xc3\xa9</html>"
    )
    assert render_answer(Answer(530, "", {}), 0.0, True).startswith(b"HTTP/1.1 530 Unknown\r\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=x%2Fy+z", {"a": "x/y z"}),
        ("orderID=a&orderID=b&orderID=c", {"orderID": ["a", "b", "c"]}),
        ("orderID[]=a", {"orderID": ["a"]}),
        ("orderID%5B%5D=a&orderID%5B%5D=b", {"orderID": ["a", "b"]}),
    ],
)
def test_parameters_that_repeat_make_a_list(text: str, found: dict[str, Any]) -> None:
    assert parse_query(text) == found


@pytest.mark.parametrize(
    ("body", "kind", "found"),
    [
        (b"", "application/json", None),
        (b" \n", "application/json", None),
        (b'{"a":1}', "application/json; charset=utf-8", {"a": 1}),
        (b'{"a":1}', "", {"a": 1}),
        (b"a=1&b=%5B%22x%22%5D", "application/x-www-form-urlencoded", {"a": "1", "b": '["x"]'}),
        (b"a=1", "Application/X-WWW-Form-Urlencoded; charset=utf-8", {"a": "1"}),
        (b'{"a":1}', "application/x-www-form-urlencoded", {"a": 1}),
    ],
)
def test_a_body_is_json_or_a_form(body: bytes, kind: str, found: Any) -> None:
    assert parse_body(body, kind) == found


@pytest.mark.parametrize("body", [b"{", b"a=1", b"\xff", b"[" * 100_000])
def test_an_unreadable_body_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_body(body, "application/json")
