"""What keeps a start from beginning: what may pass by itself, and what a wrong address does."""

import errno
import socket

import pytest

from market_maker.exchanges.base import ExchangeError, no_start, no_stream
from market_maker.exchanges.wire_errors import NO_HOST, NO_NAMES, NO_WAY, REFUSED, hot_phrase

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
