"""OKX signatures against the worked vectors of the exchange reference."""

import pytest

from market_maker.auth.okx import OkxSigner, iso_ms, sign

STAMP = "2023-11-14T22:13:20.123Z"
ORDER = (
    '{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"post_only",'
    '"px":"30000.1","sz":"0.01","clOrdId":"mm1"}'
)


@pytest.mark.parametrize(
    ("timestamp", "verb", "path", "body", "expected"),
    [
        (
            STAMP,
            "GET",
            "/api/v5/trade/orders-pending?instType=SPOT&instId=BTC-USDT",
            "",
            "dcohH6jlp/QPYZVYh9nWWnO1UvorSh4qd0qVd96HiRI=",
        ),
        (
            STAMP,
            "POST",
            "/api/v5/trade/order",
            ORDER,
            "nbvycdGe1RofkYP4QODIPqWGPHdRKFxkp/5k0sK50eM=",
        ),
        (
            "1700000000",
            "GET",
            "/users/self/verify",
            "",
            "0uAi5j594sWw9rkXI4knzlNhWDTrHUJBZExNMGGD2gs=",
        ),
    ],
)
def test_a_signature_equals_the_worked_vector(
    timestamp: str, verb: str, path: str, body: str, expected: str
) -> None:
    assert sign("test-secret", timestamp, verb, path, body) == expected


def test_the_headers_and_the_login_carry_those_signatures() -> None:
    signer = OkxSigner("test-key", "test-secret", "test-pass", lambda: 1_700_000_000.123)
    headers = signer("POST", "/api/v5/trade/order", ORDER)
    assert headers["OK-ACCESS-TIMESTAMP"] == STAMP
    assert headers["OK-ACCESS-SIGN"] == "nbvycdGe1RofkYP4QODIPqWGPHdRKFxkp/5k0sK50eM="
    assert headers["expTime"] == "1700000002123"
    assert signer.login() == {
        "op": "login",
        "args": [
            {
                "apiKey": "test-key",
                "passphrase": "test-pass",
                "timestamp": "1700000000",
                "sign": "0uAi5j594sWw9rkXI4knzlNhWDTrHUJBZExNMGGD2gs=",
            }
        ],
    }


def test_only_what_changes_something_carries_an_expiry_and_only_the_demo_says_so() -> None:
    live = OkxSigner("k", "s", "p", lambda: 1.0)
    demo = OkxSigner("k", "s", "p", lambda: 1.0, demo=True)
    assert "expTime" not in live("GET", "/api/v5/account/balance")
    assert "x-simulated-trading" not in live("GET", "/api/v5/account/balance")
    assert demo("GET", "/api/v5/account/balance")["x-simulated-trading"] == "1"


def test_without_a_key_nothing_is_signed() -> None:
    assert OkxSigner("", "", "", lambda: 1.0)("GET", "/api/v5/public/time") == {}


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (1_700_000_000.1234, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000.9999, "2023-11-14T22:13:21.000Z"),
    ],
)
def test_a_timestamp_has_milliseconds(time_s: float, text: str) -> None:
    assert iso_ms(time_s) == text
