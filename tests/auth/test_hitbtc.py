"""HitBTC's signatures: the vectors that its clients agree on."""

import base64

import pytest

from market_maker.auth.hitbtc import HitbtcSigner, sign

SECRET = "test-secret"
ORDER = (
    '{"symbol":"ETHBTC","side":"buy","quantity":"0.063","price":"0.046016",'
    '"client_order_id":"mm000001"}'
)


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            ("GET", "/api/3/spot/order?symbol=ETHBTC", ""),
            "730e20e4234762e483fa5a6dd156298e71fee5c055ce3d3bc054163bf85b8af9",
        ),
        (
            ("POST", "/api/3/spot/order", ORDER),
            "4eeb8b356d1b972943b1885c1f2fe0a50e49f007190907488df0776a92e783c7",
        ),
        (("", "", ""), "73162868d0eaf66068515feb340fbdc4683ec16b60c886303f88e320013ea0d3"),
    ],
    ids=["query", "order", "login"],
)
def test_signatures_are_those_of_other_clients(
    request_: tuple[str, str, str], signature: str
) -> None:
    assert sign(SECRET, "1700000000123", "", *request_) == signature


def test_a_request_tells_key_signature_time_and_window() -> None:
    signer = HitbtcSigner("test-key", SECRET, lambda: 1_700_000_000.123, valid_s=5)
    kind, _, told = signer("get", "/api/3/spot/order")["Authorization"].partition(" ")
    key, signature, timestamp, window = base64.b64decode(told).decode().split(":")
    assert (kind, key, timestamp, window) == ("HS256", "test-key", "1700000000123", "5000")
    assert signature == sign(SECRET, timestamp, window, "GET", "/api/3/spot/order")


def test_a_login_signs_the_time_and_the_window() -> None:
    params = HitbtcSigner("test-key", SECRET, lambda: 1_700_000_000.123).login()["params"]
    assert params["signature"] == sign(SECRET, "1700000000123", "10000")
    assert (params["type"], params["timestamp"], params["window"]) == (
        "HS256",
        1700000000123,
        10000,
    )


def test_public_requests_and_those_without_a_key_are_not_signed() -> None:
    assert HitbtcSigner("", "", lambda: 0.0)("GET", "/api/3/spot/order") == {}
    assert HitbtcSigner("k", "s", lambda: 0.0)("GET", "/api/3/public/symbol") == {}


def test_no_secret_shows() -> None:
    assert SECRET not in repr(vars(HitbtcSigner)) + repr(HitbtcSigner("k", SECRET, lambda: 0.0))
