"""ccxt's binance, unmodified, trades on Binance's dialect: only its addresses are turned here."""

import pytest

from tests.test_binance_sockets import Exchange, simulate

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")


def client(exchange: Exchange) -> "ccxt.binance":
    host = exchange.base_url.partition("/api")[0]
    made = ccxt.binance(
        {
            "apiKey": exchange.key,
            "secret": exchange.secret,
            "options": {"fetchMargins": False, "fetchMarkets": {"types": ["spot"]}},
        }
    )
    made.has["fetchCurrencies"] = False
    for name in ("public", "private", "v1"):
        made.urls["api"][name] = f"{host}/api/v3"
    made.load_markets()
    return made


def test_ccxt_places_edits_cancels_and_reads_back() -> None:
    with simulate() as exchange:
        ex = client(exchange)
        assert ex.market("BTC/USDT")["limits"]["cost"]["min"] == 5.0
        assert ex.fetch_trades("BTC/USDT", limit=5) is not None
        named = {"newClientOrderId": "me1"}
        placed = ex.create_order("BTC/USDT", "limit", "buy", 0.001, 50_000.0, named)
        assert (placed["status"], placed["clientOrderId"]) == ("open", "me1")
        edited = ex.edit_order(placed["id"], "BTC/USDT", "limit", "buy", 0.002, 50_500.0)
        assert (edited["price"], edited["amount"], edited["status"]) == (50_500.0, 0.002, "open")
        assert [o["id"] for o in ex.fetch_open_orders("BTC/USDT")] == [edited["id"]]
        assert ex.cancel_order(edited["id"], "BTC/USDT")["status"] == "canceled"
        sold = ex.create_order("BTC/USDT", "market", "sell", 0.001)
        assert (sold["status"], sold["fee"]["currency"]) == ("closed", "USDT")
        assert sum(t["amount"] for t in ex.fetch_my_trades("BTC/USDT")) == pytest.approx(0.001)
        assert ex.fetch_balance()["total"]["BTC"] == 0.999


def test_ccxt_knows_the_errors() -> None:
    with simulate() as exchange:
        ex = client(exchange)
        with pytest.raises(ccxt.InsufficientFunds):
            ex.create_order("BTC/USDT", "limit", "buy", 50, 60_000.0)
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            ex.create_order("BTC/USDT", "limit", "buy", 0.001, 90_000.0, {"postOnly": True})
        with pytest.raises(ccxt.OrderNotFound):
            ex.cancel_order("1", "BTC/USDT")
        ex.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            ex.fetch_balance()
