"""ccxt 4.5.90's binance and its ccxt.pro trade on the exchange in Binance's language.

python tests/clients/ccxt_binance.py
"""

from typing import Any

from ccxt_venue import REQUIREMENTS, Venue, run
from harness import Exchange, main
from venues import Binance, host


def point(exchange: Exchange, ccxt: Any, account: Binance) -> Any:
    binance = ccxt.binance({"apiKey": account.key, "secret": account.secret})
    # what it asks for beside spot, on other hosts and with other rights, it must not ask for
    binance.options |= {"fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
    binance.has["fetchCurrencies"] = False
    for name in ("public", "private", "v1"):
        binance.urls["api"][name] = f"{exchange.origin}/api/v3"
    if "ws" in binance.urls["api"]:
        sockets = f"ws://{host(exchange.origin)}"
        binance.urls["api"]["ws"]["spot"] = f"{sockets}/ws"
        binance.urls["api"]["ws"]["ws-api"]["spot"] = f"{sockets}/ws-api/v3"
    return binance


def client(exchange: Exchange) -> None:
    of = ("binance", "BTC/USDT", "BTCUSDT", 0.001, 50, "newClientOrderId", point)
    run(exchange, Venue(*of))


if __name__ == "__main__":
    main(client, REQUIREMENTS, dialect="binance", account=Binance)
