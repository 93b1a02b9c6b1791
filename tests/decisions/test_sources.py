"""Where decisions come from: what is understood; all else is one line and opens nothing."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
import requests
import responses

from market_maker.clock import Clock, ManualClock
from market_maker.decisions.asker import Asker
from market_maker.decisions.sources import (
    CallSource,
    FileSource,
    Heard,
    HttpSource,
    NoDecision,
    Source,
    read,
)
from market_maker.quoting.stakes import Standing

STANDING = Standing(1.6e9, "XBTUSD", 59_999.5, 60_000.0, "", [], None)
ALGO = "BitcoinFuturesMarketMaker"


class Endpoint:
    """A server on a real socket that answers from a list, over and over."""

    def __init__(
        self, answers: list[tuple[int, str]], headers: dict[str, str] | None = None
    ) -> None:
        self.heard: list[tuple[dict[str, str], Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, text = answers[len(endpoint.heard) % len(answers)]
                endpoint.heard.append((dict(self.headers), body))
                self.send_response(code)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/decide"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A socket on which *talk* does as it likes with one client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                talk(client)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def ask(url: str, timeout_s: float = 5.0, key: str = "k" * 8) -> Heard:
    return HttpSource(url, key, ALGO, timeout_s, Clock())(STANDING)


@pytest.mark.parametrize(
    ("value", "heard"),
    [
        ("OPEN_LONG", Heard("OPEN_LONG")),
        (" cancel_short\n", Heard("CANCEL_SHORT")),
        ('"OPEN_SHORT"', Heard("OPEN_SHORT")),
        ('{"decision": "NONE"}', Heard("NONE")),
        ('{"decision": "OPEN_LONG", "decisionTimestamp": 17}', Heard("OPEN_LONG", "17")),
        ({"decision": "CANCEL_LONG"}, Heard("CANCEL_LONG")),
        (None, Heard("NONE")),
    ],
)
def test_what_is_understood(value: Any, heard: Heard) -> None:
    assert read(value) == heard


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "BUY",
            "OPEN_LONG OPEN_SHORT",
            "<html>OPEN_LONG</html>",
            "[]",
            "{",
            '{"decision": 1}',
        ),
        *('{"decision": "BUY"}', '{"decision": {"decision": "NONE"}}', '{"a": "OPEN_LONG"}'),
        *(b"OPEN_LONG", 7, True, ["OPEN_LONG"], {}, "null", "{" * 20_000, '"' * 3),
    ],
)
def test_all_else_is_no_decision_in_one_short_line(value: Any) -> None:
    with pytest.raises(NoDecision) as caught:
        read(value)
    assert len(str(caught.value)) < 80
    assert "\n" not in str(caught.value)


# -- HTTP ------------------------------------------------------------------------------------


def test_the_address_is_told_the_body_and_the_key() -> None:
    with Endpoint([(200, '{"decision": "OPEN_SHORT"}')]) as endpoint:
        assert ask(endpoint.url, key="my-quant-key") == Heard("OPEN_SHORT")
    ((headers, body),) = endpoint.heard
    assert headers["X-API-KEY"] == "my-quant-key"
    assert headers["Content-Type"] == "application/json"
    assert body["longStakeState"] == "CLOSED" and len(body) == 7


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        *((code, "OPEN_LONG", f"answers {code}") for code in (204, 400, 401, 404, 429, 500, 503)),
        (200, "<!doctype html><h1>OPEN_LONG</h1>", "no decision in '<!doctype"),
        (200, "", "no decision in ''"),
        (200, "x" * 70_000, "too long"),
    ],
)
def test_an_answer_that_is_none_says_why(code: int, text: str, words: str) -> None:
    text = "" if code == 204 else text
    with Endpoint([(code, text)]) as endpoint, pytest.raises(NoDecision, match=words):
        ask(endpoint.url)


def test_a_redirection_does_not_take_the_key_elsewhere() -> None:
    with Endpoint([(200, "OPEN_LONG")]) as other:
        headers = {"Location": other.url}
        with Endpoint([(307, "")], headers) as endpoint, pytest.raises(NoDecision, match="307"):
            ask(endpoint.url)
    assert other.heard == []


def test_nobody_there_and_nobody_answering() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NoDecision, match="no connection"):
        ask(f"http://127.0.0.1:{port}/")
    with (
        raw(lambda client: client.close()) as url,
        pytest.raises(NoDecision, match="no connection"),
    ):
        ask(url)
    ended = threading.Event()
    with raw(lambda _: ended.wait(10)) as url, pytest.raises(NoDecision, match=r"within 0\.2 s"):
        ask(url, timeout_s=0.2)
    ended.set()


def test_an_answer_that_trickles_in_is_given_up_in_time() -> None:
    ended = threading.Event()

    def trickle(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not ended.wait(0.05):
            client.sendall(b"x")

    with raw(trickle) as url, pytest.raises(NoDecision, match=r"within 0\.3 s"):
        ask(url, timeout_s=0.3)
    ended.set()


def test_what_is_no_http_at_all() -> None:
    with (
        raw(lambda client: client.sendall(b"\x00\xff\r\n" * 100)) as url,
        pytest.raises(NoDecision),
    ):
        ask(url)


@responses.activate
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.exceptions.SSLError("bad certificate"), "no connection"),
        (requests.exceptions.ReadTimeout(), "no answer within"),
        (requests.exceptions.InvalidURL(), "InvalidURL"),
        (requests.exceptions.ChunkedEncodingError(), "ChunkedEncodingError"),
    ],
)
def test_each_failure_of_a_request_is_a_line(error: Exception, words: str) -> None:
    responses.add(responses.POST, "https://decide.example/", body=error)
    with pytest.raises(NoDecision, match=words):
        ask("https://decide.example/")


# -- files and callables ---------------------------------------------------------------------


def test_a_file_is_one_decision_until_it_is_written_again(tmp_path: Path) -> None:
    clock, path = ManualClock(1_000.0), tmp_path / "decision.txt"
    source = FileSource(path, clock)
    path.write_text("OPEN_LONG\n")
    os.utime(path, (990.0, 990.0))
    first = source(STANDING)
    assert (first.word, first.age_s) == ("OPEN_LONG", 10.0)
    clock.sleep(5)
    assert source(STANDING) == first._replace(age_s=15.0)
    os.utime(path, (1_004.0, 1_004.0))
    again = source(STANDING)
    assert again.key != first.key and again.age_s == 1.0
    os.utime(path, (2_000.0, 2_000.0))  # written by a clock that is ahead
    assert source(STANDING).age_s == 0.0


def test_a_file_put_in_the_place_of_another_is_told_by_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new, open_file = tmp_path / "decision", tmp_path / "new", Path.open
    path.write_text("NONE")
    new.write_text("OPEN_LONG")
    os.utime(new, ns=(10**18, 10**18))

    def replace_first(self: Path, *args: Any, **kwargs: Any) -> Any:
        if new.exists():
            new.replace(path)
        return open_file(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", replace_first)
    assert FileSource(path, ManualClock())(STANDING)[:2] == ("OPEN_LONG", str(10**18))


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\x00")]
)
def test_a_file_that_holds_no_decision(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "decision.txt"
    make(path)
    with pytest.raises(NoDecision):
        FileSource(path, ManualClock())(STANDING)


def test_a_callable_gets_the_body_and_the_market() -> None:
    told: list[dict[str, Any]] = []
    assert CallSource(lambda facts: told.append(facts), ALGO)(STANDING) == Heard("NONE")
    (facts,) = told
    assert facts["longStakeState"] == "CLOSED"
    assert {n: facts[n] for n in ("time", "symbol", "bid", "ask", "contracts")} == {
        "time": 1.6e9,
        "symbol": "XBTUSD",
        "bid": 59_999.5,
        "ask": 60_000.0,
        "contracts": 0.0,
    }


def test_a_callable_that_raises_is_a_line() -> None:
    def broken(_: dict[str, Any]) -> str:
        raise ZeroDivisionError("by\nzero")

    with pytest.raises(NoDecision, match="DECISION_CALL raised 'ZeroDivisionError: by zero'"):
        CallSource(broken, ALGO)(STANDING)


# -- asking ----------------------------------------------------------------------------------


def make_asker(source: Source, clock: Clock, news: Callable[[], None] = lambda: None) -> Asker:
    asker = Asker(source, STANDING, every_s=10.0, timeout_s=3.0, clock=clock, news=news)
    asker.start()
    return asker


def test_on_a_manual_clock_it_is_asked_as_the_clock_moves() -> None:
    clock, asked = ManualClock(1_000.0), []

    def source(standing: Standing) -> Heard:
        asked.append(standing.now)
        clock.sleep(1)
        return Heard("OPEN_LONG")

    asker = make_asker(source, clock)
    clock.sleep(25)
    assert asked == [1_000.0, 1_010.0, 1_020.0]
    decisions = asker.heard()
    assert [d.decided_at for d in decisions] == asked
    asker.forget(decisions[0])
    assert asker.heard() == decisions[1:], "a round that fails forgets nothing"
    asker.stop()
    clock.sleep(30)
    assert len(asked) == 3


def test_a_late_answer_and_a_failure_are_none_and_the_source_falls_silent() -> None:
    clock = ManualClock(1_000.0)
    answers: list[Any] = ["NONE", "late", NoDecision("no"), "NONE", "NONE"]

    def source(_: Standing) -> Heard:
        answer = answers.pop(0)
        if answer == "late":
            clock.sleep(4)
        if isinstance(answer, NoDecision):
            raise answer
        return Heard("NONE")

    asker = make_asker(source, clock)
    faults, silences = [], []
    for _ in range(4):
        clock.sleep(5)
        faults.append(asker.fault)
        silences.append(asker.silence_s())
        clock.sleep(5)
    assert faults == ["", "no answer within 3 s", "no", ""]
    assert silences[0] < silences[1] < silences[2] > silences[3]
    assert [d.word for d in asker.heard()] == ["NONE"] * 3


def test_a_source_that_hangs_holds_up_nobody() -> None:
    ended, begun = threading.Event(), threading.Event()

    def hangs(_: Standing) -> Heard:
        begun.set()
        ended.wait(10)
        return Heard("OPEN_LONG")

    asker = make_asker(hangs, Clock())
    assert begun.wait(5)
    assert asker.heard() == []
    assert asker.silence_s() < 5
    ended.set()
    asker.stop()
