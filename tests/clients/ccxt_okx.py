"""ccxt 4.5.90's okx and its ccxt.pro trade on the exchange in OKX's language.

python tests/clients/ccxt_okx.py
"""

from typing import Any

from ccxt_venue import REQUIREMENTS, Venue, run
from harness import Exchange, main
from venues import Okx, host

MARKETS = (
    ("BTC/USD:BTC", "BTC-USD-SWAP", 2.0, 90_000, {}),
    ("BTC/USDT:USDT", "BTC-USDT-SWAP", 0.02, 50_000, {}),
    ("BTC/USDT", "BTC-USDT", 0.001, 50, {"tgtCcy": "base_ccy"}),
)


def point(exchange: Exchange, ccxt: Any, account: Okx) -> Any:
    keys = {"apiKey": account.key, "secret": account.secret, "password": account.passphrase}
    okx = ccxt.okx(keys)
    okx.urls["api"]["rest"] = exchange.origin  # no path: ccxt adds /api/v5
    okx.urls["api"]["ws"] = f"ws://{host(exchange.origin)}/ws/v5"
    return okx


def client(exchange: Exchange) -> None:
    for *market, buy in MARKETS:
        run(exchange, Venue("okx", *market, "clOrdId", point, buy))


if __name__ == "__main__":
    main(client, REQUIREMENTS, dialect="okx", account=Okx)
