"""The exchanges and services that settings may name, and what an account is known by."""

CCXT = tuple(f"ccxt:{name}" for name in ("okx", "binance", "htx", "hitbtc", "kraken", "bybit"))
EXCHANGES = (
    "simulator", "bitmex", "okx", "okx-demo", "binance", "binance-testnet", "hitbtc", "hitbtc-demo",
    "plain",
    *CCXT,
)  # fmt: skip
_HITBTC_KEYS = ("HITBTC_API_KEY", "HITBTC_API_SECRET")
_CCXT_KEYS = ("CCXT_API_KEY", "CCXT_API_SECRET")
_BINANCE_KEYS = ("BINANCE_API_KEY", "BINANCE_API_SECRET")
_OKX_KEYS = ("OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE")
KEYS = {  # what an account at each exchange is known by
    "bitmex": ("BITMEX_API_KEY", "BITMEX_API_SECRET"),
    "okx": _OKX_KEYS,
    "okx-demo": _OKX_KEYS,
    "binance": _BINANCE_KEYS,
    "binance-testnet": _BINANCE_KEYS,
    "hitbtc": _HITBTC_KEYS,
    "hitbtc-demo": _HITBTC_KEYS,
    "plain": ("PLAIN_API_KEY", "PLAIN_API_SECRET"),
    **dict.fromkeys(CCXT, _CCXT_KEYS),
    "ccxt:okx": (*_CCXT_KEYS, "CCXT_API_PASSPHRASE"),
}
ALGOS = ("BitcoinFuturesMarketMaker", "BitcoinFuturesManager", "BitcoinFuturesSwinger")
SECRET_NAMES = (
    *dict.fromkeys(name for names in KEYS.values() for name in names),
    "GUARD_SECRET",
    "QUANT_API_KEY",
)
SECRETS = frozenset({"API_KEY", "API_SECRET", *SECRET_NAMES})
