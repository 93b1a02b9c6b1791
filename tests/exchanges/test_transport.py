"""The REST transport: its behaviour by `responses`, facts of the wire by real sockets."""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import responses

from market_maker.auth.signing import KeySigner, sign
from market_maker.clock import Clock, ManualClock
from market_maker.exchanges.transport import HttpTransport, is_loopback
from market_maker.model.wire import Answer, Request

BASE = "https://exchange.test/api/v1/"
GET = Request("GET", "/instrument")
POST = Request("POST", "/order", body={"symbol": "XBTUSD", "price": 219.5})
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
SECRET = "a-secret-nobody-may-see"


def manual(**options: Any) -> HttpTransport:
    """Over `requests`, which `responses` answers for."""
    return HttpTransport(BASE, clock=ManualClock(), hot=False, **options)


_is_hot = True


@pytest.fixture(autouse=True, params=[True, False], ids=["hot", "requests"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds on the wire holds for warm lanes and for `requests`."""
    monkeypatch.setattr(sys.modules[__name__], "_is_hot", request.param)


# Behaviour


@responses.activate
def test_an_answer_has_status_parsed_body_and_lower_case_headers() -> None:
    responses.get(BASE + "instrument", json=[{"a": 1}], headers={"X-RateLimit-Remaining": "7"})
    (answer,) = manual().send([GET])
    assert (answer.status, answer.body, answer.sent, answer.error) == (200, [{"a": 1}], True, "")
    assert answer.headers["x-ratelimit-remaining"] == "7"


@responses.activate
@pytest.mark.parametrize("status", [200, 403, 503])
@pytest.mark.parametrize("text", ["<html>403 Forbidden</html>", "", "{"])
def test_what_is_not_json_comes_as_text(status: int, text: str) -> None:
    responses.get(BASE + "instrument", body=text, status=status)
    (answer,) = manual().send([GET])
    assert (answer.status, answer.body) == (status, text)
    page = f"exchange.test answers {status} with a page: 403 Forbidden" if text[:1] == "<" else ""
    assert answer.error == page
    assert answer.refuses_key is (status == 403 and not page)


@responses.activate
def test_a_redirect_is_handed_back_and_never_followed() -> None:
    responses.post(BASE + "order", status=307, headers={"Location": "https://elsewhere.test/"})
    (answer,) = manual(signer=KeySigner("key", SECRET, lambda: 0.0)).send([POST])
    assert answer.status == 307
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    "request_, target, body",
    [
        (GET, "/api/v1/instrument", ""),
        (Request("get", "instrument"), "/api/v1/instrument", ""),
        (Request("GET", ""), "/api/v1", ""),
        (Request("GET", "//order"), "/api/v1//order", ""),
        (Request("GET", "/x", {"a": None}), "/api/v1/x", ""),
        (
            Request("GET", "/instrument", {"filter": {"symbol": "XBTM15"}, "reverse": True}),
            "/api/v1/instrument?filter=%7B%22symbol%22%3A%22XBTM15%22%7D&reverse=true",
            "",
        ),
        (
            Request("GET", "/quote", {"symbol": "a b/+&", "count": 500}),
            "/api/v1/quote?symbol=a+b%2F%2B%26&count=500",
            "",
        ),
        (Request("GET", "/quote?count=1", {"x": "y"}), "/api/v1/quote?count=1&x=y", ""),
        (POST, "/api/v1/order", '{"symbol":"XBTUSD","price":219.5}'),
        (Request("DELETE", "/order", body={"a": ["é"]}), "/api/v1/order", '{"a":["é"]}'),
        (
            Request("PUT", "/order", body=[{"price": 1.5e-8, "text": "1e-8", "a": [None, 2e22]}]),
            "/api/v1/order",
            '[{"price":0.000000015,"text":"1e-8","a":[null,20000000000000000000000]}]',
        ),
        (Request("POST", "/user/logout"), "/api/v1/user/logout", ""),
    ],
)
def test_what_is_signed_is_what_is_sent(
    request_: Request,
    target: str,
    body: str,
    serve: Callable[..., Any],
    read_request: Callable[..., Any],
) -> None:
    seen: list[Any] = []

    def handler(connection: socket.socket) -> None:
        seen.append(read_request(connection.makefile("rb")))
        connection.sendall(OK)

    transport = HttpTransport(f"http://127.0.0.1:{serve(handler).port}/api/v1/")
    transport.signer = KeySigner("the key", SECRET, lambda: 100.0)
    (answer,) = transport.send([request_])

    assert answer.status == 200
    line, headers, sent_body = seen[0]
    verb = request_.verb.upper()
    assert line == f"{verb} {target} HTTP/1.1"
    assert sent_body == body.encode()
    assert headers["api-key"] == "the key"
    assert headers["api-signature"] == sign(SECRET, verb, target, 105, body)
    assert ("content-type" in headers) == bool(body)


def test_a_body_that_is_no_json_raises_before_anything_is_sent() -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(BASE + "order", json={})
        with pytest.raises(TypeError):
            manual().send([POST, Request("POST", "/order", body={"price": object()})])
        assert len(mock.calls) == 0


@pytest.mark.parametrize("url", ["", "exchange.test", "ftp://exchange.test", "https://"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        HttpTransport(url)


# The exchange's clock


def dated(date: str | None, error: str = "") -> None:
    body = {"error": {"message": error}} if error else []
    responses.get(BASE + "instrument", json=body, headers={"Date": date} if date else {})


@responses.activate
@pytest.mark.parametrize(
    "date, offset_s",  # our clock says Sun, 13 Sep 2020 12:26:40 GMT
    [
        ("Sun, 13 Sep 2020 12:26:40 GMT", 0.5),
        ("Sun, 13 Sep 2020 12:28:40 GMT", 120.5),
        ("Sun, 13 Sep 2020 12:24:40 GMT", -119.5),
        ("yesterday", 0.0),
        (None, 0.0),
    ],
)
def test_the_offset_is_read_from_the_date_of_answers(date: str | None, offset_s: float) -> None:
    transport = manual()
    dated(date)
    transport.send([GET])
    assert transport.server_offset_s == offset_s


@responses.activate
def test_one_odd_date_does_not_turn_the_clock() -> None:
    transport = manual()
    for second in ("26:40", "26:41", "59:00", "26:40"):
        dated(f"Sun, 13 Sep 2020 12:{second} GMT")
        transport.send([GET])
    assert transport.server_offset_s <= 1.5


@responses.activate
def test_the_complaint_that_a_call_expired_sets_the_clock_at_once() -> None:
    transport = manual()
    for second in (38, 39, 40):
        dated(f"Sun, 13 Sep 2020 12:26:{second} GMT")
        transport.send([GET])
    text = "This request has expired - `expires` is in the past. Current time: 1600000300"
    dated("Sun, 13 Sep 2020 12:26:40 GMT", text)
    transport.send([GET])
    assert transport.server_offset_s == 300.5


# The wire


def answering(read_request: Callable[..., Any], answer: bytes = OK) -> Callable[..., None]:
    def handler(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while read_request(reader):
            connection.sendall(answer)

    return handler


def local(port: int, **options: Any) -> HttpTransport:
    return HttpTransport(f"http://127.0.0.1:{port}/api/v1", hot=_is_hot, **options)


def test_calls_share_one_connection(serve: Any, read_request: Any) -> None:
    server = serve(answering(read_request))
    transport = local(server.port)
    for _ in range(5):
        assert transport.send([POST])[0].status == 200
    assert len(server.connections) == 1
    transport.close()


def test_a_batch_is_under_way_at_once_and_answered_in_order(serve: Any, read_request: Any) -> None:
    together = threading.Barrier(12, timeout=10)

    def handler(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while request := read_request(reader):
            together.wait()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request[2]), request[2])
            )

    server = serve(handler)
    transport = local(server.port)
    for _ in range(2):
        batch = [Request("POST", "/order", body=n) for n in range(12)]
        assert [answer.body for answer in transport.send(batch)] == list(range(12))
    assert len(server.connections) == 12
    transport.close()


def test_a_batch_uses_no_more_connections_than_the_pool_has(serve: Any, read_request: Any) -> None:
    server = serve(answering(read_request))
    transport = local(server.port, pool=3)
    assert [a.status for a in transport.send([POST] * 20)] == [200] * 20
    assert len(server.connections) <= 3
    transport.close()


def test_an_empty_batch_is_answered_by_nothing() -> None:
    assert manual().send([]) == []


@pytest.mark.parametrize("request_", [GET, POST])
def test_no_answer_in_time_is_unknown(request_: Request, serve: Any, read_request: Any) -> None:
    asked: list[Any] = []
    over = threading.Event()

    def handler(connection: socket.socket) -> None:
        asked.append(read_request(connection.makefile("rb")))
        over.wait(10)

    transport = local(serve(handler).port, timeout_s=0.1)
    assert transport.send([request_]) == [Answer(0, None, {}, True, "timed out")]
    assert len(asked) == 1
    over.set()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("request_", [GET, POST])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", OK[:-2].replace(b": 2", b": 99")])
def test_an_answer_that_drips_is_given_up_in_time_and_cancels_do_not_wait_for_it(
    head: bytes, request_: Request, count: int, serve: Any, read_request: Any
) -> None:
    if head.endswith(b" ") and not _is_hot:
        pytest.skip("`requests` has a time for each piece of a head")
    over, dripping = threading.Event(), threading.Event()

    def handler(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while request := read_request(reader):
            if not request[0].startswith("DELETE"):
                break
            connection.sendall(OK)
        connection.sendall(head)
        while not over.wait(0.02):  # each piece well within the time for one
            connection.sendall(b"a")
            dripping.set()

    transport = local(serve(handler).port, timeout_s=0.4, pool=2)
    answers: list[Answer] = []
    reading = threading.Thread(target=lambda: answers.extend(transport.send([request_] * count)))
    reading.start()
    assert dripping.wait(5)
    if request_ is GET:
        assert transport.send([Request("DELETE", "/order")])[0].status == 200
        assert not answers
    reading.join(4)
    over.set()
    assert answers == [Answer(0, None, {}, True, "timed out")] * count
    transport.close()


def test_a_read_whose_answer_only_ends_with_the_connection_is_understood(
    serve: Any, read_request: Any
) -> None:
    def handler(connection: socket.socket) -> None:
        read_request(connection.makefile("rb"))
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n[1,2]")

    assert local(serve(handler).port).send([GET])[0].body == [1, 2]


def test_a_refused_connection_is_not_sent(serve: Any) -> None:
    server = serve(lambda connection: None)
    server.stop_listening()
    assert local(server.port).send([POST]) == [Answer(0, None, {}, False, "connection refused")]


def test_an_unknown_host_is_not_sent() -> None:
    transport = HttpTransport("http://no-such-host.invalid/api/v1", hot=_is_hot)
    assert transport.send([POST]) == [
        Answer(0, None, {}, False, "the host's name is not known"),
    ]


CUT = b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{"orderID":'
RAGGED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,"


@pytest.mark.parametrize("last_words", [b"", CUT, RAGGED, b"junk\r\n\r\n"])
@pytest.mark.parametrize("request_, asked", [(POST, 1), (GET, 2)])
def test_a_connection_lost_after_the_bytes_left_is_unknown_and_only_reads_are_asked_again(
    request_: Request, asked: int, last_words: bytes, serve: Any, read_request: Any
) -> None:
    def handler(connection: socket.socket) -> None:
        read_request(connection.makefile("rb"))
        connection.sendall(last_words)

    server = serve(handler)
    assert local(server.port).send([request_]) == [Answer(0, None, {}, True, "connection lost")]
    assert len(server.connections) == asked


def test_a_connection_the_exchange_has_closed_meanwhile_is_replaced(
    serve: Any, read_request: Any
) -> None:
    closed = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_request(connection.makefile("rb"))
        connection.sendall(OK)  # says nothing of closing, and closes
        connection.shutdown(socket.SHUT_WR)
        closed.set()

    server = serve(handler)
    transport = local(server.port)
    for _ in range(3):
        assert transport.send([POST])[0].status == 200
        assert closed.wait(10)
        closed.clear()
    assert len(server.connections) == 3


def test_an_idle_connection_that_breaks_under_a_post_makes_it_unknown(
    serve: Any, read_request: Any
) -> None:
    calls: list[Any] = []

    def handler(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        calls.append(read_request(reader))
        connection.sendall(OK)
        calls.append(read_request(reader))

    transport = local(serve(handler).port)
    transport.send([POST])
    assert transport.send([POST])[0] == Answer(0, None, {}, True, "connection lost")
    assert len(calls) == 2


# Proxies


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
def test_loopback_never_goes_through_a_proxy(
    name: str, serve: Any, read_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = serve(answering(read_request))
    for host in ("127.0.0.1", "localhost"):
        transport = HttpTransport(f"http://{host}:{server.port}/api/v1")
        assert transport.send([POST])[0].status == 200


@pytest.mark.parametrize(
    "scheme, name, first_line",
    [
        ("http", "HTTP_PROXY", "POST http://exchange.invalid/api/v1/order HTTP/1.1"),
        ("https", "HTTPS_PROXY", "CONNECT exchange.invalid:443 HTTP/1.1"),
        ("https", "https_proxy", "CONNECT exchange.invalid:443 HTTP/1.1"),
    ],
)
def test_other_hosts_go_through_the_proxy_of_the_environment(
    scheme: str,
    name: str,
    first_line: str,
    serve: Any,
    read_request: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def handler(connection: socket.socket) -> None:
        seen.append(read_request(connection.makefile("rb")))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv(name, f"http://127.0.0.1:{serve(handler).port}")
    signer = KeySigner("key", SECRET, lambda: 0.0)
    transport = HttpTransport(f"{scheme}://exchange.invalid/api/v1", signer)
    (answer,) = transport.send([POST])
    assert seen[0][0].replace("HTTP/1.0", "HTTP/1.1") == first_line
    if scheme == "https":
        assert answer == Answer(0, None, {}, False, "the proxy does not connect us")
        assert "api-key" not in seen[0][1]
    else:
        assert answer.status == 403


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "exchange.invalid")
    (answer,) = HttpTransport("https://exchange.invalid/api/v1").send([POST])
    assert answer.error == "the host's name is not known"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_come_from_the_file_the_environment_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/some/bundle.pem")
    assert manual().session.verify == "/some/bundle.pem"


def test_a_server_without_tls_is_told_apart_from_an_answer(serve: Any) -> None:
    server = serve(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    (answer,) = HttpTransport(f"https://127.0.0.1:{server.port}/").send([GET])
    assert (answer.status, answer.error) == (0, "TLS failed")


@pytest.mark.parametrize(
    "host, here",
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("example.org", False),
        ("", False),
        (None, False),
    ],
)
def test_this_machine_is_known_by_its_names(host: str | None, here: bool) -> None:
    assert is_loopback(host) is here


# Secrets


def test_nothing_secret_is_logged_or_told(
    serve: Any, read_request: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = local(serve(answering(read_request)).port)
    dropping = local(serve(lambda connection: None).port)
    closed = serve(lambda connection: None)
    closed.stop_listening()
    told = ""
    with caplog.at_level(logging.DEBUG):
        for key in ("key-nobody-may-see", "key-nobody-may-see\n"):
            for transport in (good, dropping, local(closed.port)):
                transport.signer = KeySigner(key, SECRET, Clock().now)
                told += repr(transport.send([GET, POST])) + repr(transport.send([POST]))
    assert "not sendable" in told
    for secret in ("nobody-may-see", "api-signature", "api-expires"):
        assert secret not in told + caplog.text
