"""What keeps a start from beginning: what may pass by itself, and what a wrong address does."""

import errno
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from market_maker import live, venue
from market_maker._settings_venues import CCXT, KEYS
from market_maker.clock import Clock
from market_maker.exchanges import polled
from market_maker.exchanges.base import ExchangeError, no_start, no_stream
from market_maker.exchanges.wire_errors import NO_HOST, NO_NAMES, NO_WAY, REFUSED, hot_phrase
from market_maker.settings import load
from market_maker.utils.errors import StopTrading

ELSEWHERE = "Service unavailable from a restricted location."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExchangeError(0, REFUSED), 2),
        (ExchangeError(0, NO_HOST), 2),
        (ExchangeError(0, NO_NAMES), 1),
        (ExchangeError(0, NO_WAY), 1),
        (ExchangeError(0, "timed out"), 1),
        (ExchangeError(404, "Not Found"), 2),
        (ExchangeError(451, ELSEWHERE), 2),
        (ExchangeError(200, "a.b answers 200 with a page: Welcome"), 2),
        (ExchangeError(301, "HTTP 301"), 2),
        (ExchangeError(200, "Service temporarily unavailable. Try again later"), 1),
        (ExchangeError(503, "a.b answers 503 with a page: Later"), 1),
        (ExchangeError(503, "HTTP 503 without a readable message"), 1),
    ],
)
def test_the_code_tells_whether_another_start_may_go_well(error: ExchangeError, code: int) -> None:
    reason = no_start(error)
    assert reason.exit_code == code
    assert str(reason).startswith(error.line.rstrip("."))
    assert ("Is BASE_URL right" in str(reason)) == (code == 2)


@pytest.mark.parametrize(
    ("lost", "told", "code"),
    [
        (REFUSED, "No answer of the exchange: connection refused", 2),
        ("timed out", "No answer of the exchange: timed out", 1),
        ("handshake 404: Not Found", "The exchange says: Not Found", 2),
        ("handshake 200: {}", "The exchange says: handshake 200: {}. Is", 2),
        ("handshake 503: Later", "The exchange says: Later", 1),
        ("a.b answers 404 with a page: Gone", "The exchange says: a.b answers 404 with a page", 2),
    ],
)
def test_so_where_a_stream_cannot_be_made(lost: str, told: str, code: int) -> None:
    reason = no_stream(lost)
    assert reason.exit_code == code
    assert str(reason).startswith(told)


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), REFUSED),
        (OSError(errno.ENETUNREACH, "unreachable"), NO_WAY),
        (socket.gaierror(socket.EAI_NONAME, "not known"), NO_HOST),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), NO_NAMES),
    ],
)
def test_a_network_that_is_down_is_no_wrong_address(error: OSError, phrase: str) -> None:
    assert hot_phrase(error, sent=False) == phrase


# -- another server at the address --------------------------------------------------------------

BODIES = {
    "page": "<html>Welcome</html>",
    "object": "{}",
    "list": "[]",
    "number": "1",
    "null": "null",
}
VENUES = ["okx", "binance", "hitbtc", "plain", *(CCXT if find_spec("ccxt") else ())]


@contextmanager
def answering(body: str) -> Iterator[str]:
    """A server that says the same to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("exchange", VENUES)
def test_what_is_no_exchange_ends_the_start_in_one_line(
    exchange: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polled, "_PATIENCE_S", 0.0)
    (tmp_path / "settings.py").write_text("MAX_LOSS, MAX_POSITION = 1, 1\n")
    settings = load("BTCUSDT", environ={}, cwd=str(tmp_path))
    settings.update(dict.fromkeys(KEYS[exchange], "k" * 24), EXCHANGE=exchange, LIVE=True)
    with answering(BODIES[body]) as base_url:
        settings.update(BASE_URL=base_url, STATE_DIR=str(tmp_path))
        desk = venue.open_desk(settings, "BTCUSDT", Clock(), random.Random())
        try:
            with pytest.raises(StopTrading) as told:
                desk.open()
            settings.LIVE = False
            with pytest.raises(StopTrading) as asked:
                live.confirm(settings, desk.connector)
        finally:
            desk.connector.stop()
            desk.journal.close()
    for reason in (told.value, asked.value):
        assert "\n" not in str(reason)
        said = str(reason)
        is_told = any(words in said for words in ("Is BASE_URL right", "has no", "cannot be"))
        assert is_told or said.startswith("The exchange says: "), said  # ccxt has words of its own
        assert reason.exit_code == 2 or exchange.startswith("ccxt")
