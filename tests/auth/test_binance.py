"""Signatures for Binance, against the vectors that it publishes."""

import pytest

from market_maker.auth.binance import BinanceSigner, frame_payload, query_string, sign

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"  # published
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
ORDER = {
    "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
    "recvWindow": "5000", "timestamp": "1499827319559",
}  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        ("１２３４５６", "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),  # noqa: RUF001
    ],
)
def test_rest_signs_what_it_sends_percent_encoded(symbol: str, signature: str) -> None:
    assert sign(SECRET, query_string({"symbol": symbol, **ORDER})) == signature


def test_the_websocket_api_signs_sorted_parameters_as_they_are() -> None:
    params = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.01000000", "price": "52000.00", "recvWindow": "100",
        "timestamp": "1645423376532", "apiKey": KEY,
    }  # fmt: skip
    expected = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    assert sign(SECRET, frame_payload(params)) == expected


def test_a_request_bears_key_time_and_window_and_its_signature_comes_last() -> None:
    signer = BinanceSigner(KEY, SECRET, lambda: 1_700_000_000.1239)
    query = signer.query({"symbol": "BTCUSDT", "newClientOrderId": "a/b"})
    *sent, last = query.items()
    assert query["timestamp"] == "1700000000123"
    assert query["recvWindow"] == "2000"
    assert last == ("signature", sign(SECRET, query_string(dict(sent))))
    assert "newClientOrderId=a%2Fb" in query_string(dict(sent))
    frame = signer.frame({"symbol": "BTCUSDT"})
    signature = frame.pop("signature")
    assert frame["apiKey"] == KEY
    assert signature == sign(SECRET, frame_payload(frame))
    assert signer("GET", "/api/v3/order") == {"X-MBX-APIKEY": KEY}


def test_the_secret_is_not_shown() -> None:
    signer = BinanceSigner(KEY, SECRET, lambda: 0.0)
    assert SECRET not in f"{signer!r}{signer.query({})}{signer.frame({})}"
