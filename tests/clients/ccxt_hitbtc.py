"""ccxt 4.5.90's hitbtc and its ccxt.pro trade on the exchange in HitBTC's language.

python tests/clients/ccxt_hitbtc.py
"""

from typing import Any

from ccxt_venue import REQUIREMENTS, Venue, run
from harness import Exchange, main
from venues import Hitbtc, host


def point(exchange: Exchange, ccxt: Any, account: Hitbtc) -> Any:
    hitbtc = ccxt.hitbtc({"apiKey": account.key, "secret": account.secret})
    sockets = f"ws://{host(exchange.origin)}/api/3/ws"
    hitbtc.urls["api"] = {
        "public": f"{exchange.origin}/api/3",
        "private": f"{exchange.origin}/api/3",
        "ws": {"public": f"{sockets}/public", "private": f"{sockets}/trading"},
    }
    return hitbtc


def client(exchange: Exchange) -> None:
    # It looks the symbol of a report up in small letters and so never hears of one symbol's
    # orders; an order of its socket has the venue's number as `id`, which the venue takes nowhere.
    quirks = {"has_order_hash": False, "ws_id": "clientOrderId"}
    of = ("hitbtc", "BTC/USDT", "BTCUSDT", 0.001, 50, "client_order_id", point)
    run(exchange, Venue(*of, **quirks))


if __name__ == "__main__":
    main(client, REQUIREMENTS, dialect="hitbtc", account=Hitbtc)
