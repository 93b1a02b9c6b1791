"""What the protocol tells of itself: its commands, its topics, the columns of its tables."""

from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_call import Call
from market_maker.simulator.dialects.bitmex_tables import PRIVATE, TABLES
from market_maker.simulator.exchange import Refused

DOCS = "https://www.bitmex.com/app/wsAPI"
OPS = ("subscribe", "unsubscribe", "authKeyExpires", "cancelAllAfter", "help")
VERSION = "1.2.0"

# table -> what REST calls a row of it
MODELS = {
    "announcement": "Announcement",
    "affiliate": "Affiliate",
    "execution": "Execution",
    "funding": "Funding",
    "instrument": "Instrument",
    "insurance": "Insurance",
    "liquidation": "Liquidation",
    "margin": "Margin",
    "order": "Order",
    "orderBookL2": "OrderBookL2",
    "position": "Position",
    "quote": "Quote",
    "settlement": "Settlement",
    "trade": "Trade",
    "tradeBin1m": "TradeBin",
    "transact": "Transaction",
    "wallet": "Wallet",
}


def websocket_help() -> Row:
    """The answer to `help`, on the stream and over REST."""
    return {
        "info": f"See {DOCS} for more information.",
        "usage": 'Send a message in the format: {"op": string, "args": Array<string>}',
        "ops": list(OPS),
        "subscribe": "To subscribe, send: {op: 'subscribe', args: [subscriptionTopic, ...]}.",
        "subscriptionSubjects": {
            "authenticationRequired": [name for name in TABLES if name in PRIVATE],
            "public": [name for name in TABLES if name not in PRIVATE],
        },
    }


def get_websocket_help(_: Call) -> Row:
    return websocket_help()


def get_schema(call: Call) -> Row:
    """Keys and types of each model, or of the one asked for."""
    asked = str(call.params.get("model") or "")
    found: dict[str, Any] = {}
    for table, model in MODELS.items():
        kind = call.feed.tables[table]
        columns = kind.columns or tuple(call.feed.instrument_row(None))
        found[model] = {"keys": list(kind.keys), "types": kind.types(columns)}
    if not asked:
        return found
    if asked not in found:
        raise Refused("Invalid model", name="ValidationError")
    return {asked: found[asked]}


def get_root(call: Call) -> Row:
    return {
        "name": "BitMEX API",
        "version": VERSION,
        "timestamp": round(call.engine.now() * 1000),
    }
