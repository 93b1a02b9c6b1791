"""BitMEX's tables: their columns, types and keys, and how a request selects rows from them.

Names and types are facts of the protocol (swagger definitions and captured partials).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from market_maker import jsonx
from market_maker.model.rows import TERMINAL, Row

PRIVATE = (
    "account",
    "affiliate",
    "execution",
    "margin",
    "order",
    "position",
    "privateNotifications",
    "transact",
    "wallet",
)  # account-locked tables, in the order the error frame names them


class BadParameter(Exception):
    """A table parameter that cannot be read; its text goes to the client."""


@dataclass(frozen=True, slots=True)
class Table:
    """One WebSocket table as its partial describes it."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]  # empty where the engine's own rows name them
    foreign_keys: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        return self.name in PRIVATE

    def types(self, columns: Iterable[str]) -> dict[str, str]:
        """Column name to type, as partials announce it."""
        return {name: column_type(self.name, name) for name in columns}


_ORDER_HEAD = "orderID clOrdID clOrdLinkID account symbol side"
_ORDER_SIZE = "orderQty price displayQty stopPx pegOffsetValue pegPriceType currency settlCurrency"
_ORDER_KIND = "ordType timeInForce execInst contingencyType"
_ORDER_STATE = "ordStatus triggered workingIndicator ordRejReason leavesQty cumQty avgPx"

ORDER_COLUMNS = tuple(
    f"{_ORDER_HEAD} {_ORDER_SIZE} {_ORDER_KIND} {_ORDER_STATE} text transactTime timestamp".split()
)
EXECUTION_COLUMNS = tuple(
    f"execID {_ORDER_HEAD} lastQty lastPx lastLiquidityInd {_ORDER_SIZE} execType {_ORDER_KIND} "
    f"{_ORDER_STATE} commission feeType tradePublishIndicator text trdMatchID execCost execComm "
    "homeNotional foreignNotional transactTime timestamp".split()
)
QUOTE_COLUMNS = ("timestamp", "symbol", "bidSize", "bidPrice", "askPrice", "askSize")
TRADE_COLUMNS = (
    "timestamp",
    "symbol",
    "side",
    "size",
    "price",
    "tickDirection",
    "trdMatchID",
    "grossValue",
    "homeNotional",
    "foreignNotional",
    "trdType",
)
LEVEL_COLUMNS = ("symbol", "id", "side", "size", "price", "timestamp", "transactTime")

_BOOK_ATTRIBUTES = {"symbol": "parted", "id": "sorted"}

TABLES = {
    table.name: table
    for table in (
        Table("instrument", ("symbol",), (), {}, {"symbol": "unique"}),
        Table(
            "orderBookL2",
            ("symbol", "id", "side"),
            LEVEL_COLUMNS,
            {"symbol": "instrument", "side": "side"},
            _BOOK_ATTRIBUTES,
        ),
        Table(
            "orderBookL2_25",
            ("symbol", "id", "side"),
            LEVEL_COLUMNS,
            {"symbol": "instrument", "side": "side"},
            _BOOK_ATTRIBUTES,
        ),
        Table(
            "quote",
            (),
            QUOTE_COLUMNS,
            {"symbol": "instrument"},
            {"timestamp": "sorted", "symbol": "grouped"},
        ),
        Table(
            "trade",
            (),
            TRADE_COLUMNS,
            {"symbol": "instrument", "side": "side"},
            {"timestamp": "sorted", "symbol": "grouped"},
        ),
        Table(
            "order",
            ("orderID",),
            ORDER_COLUMNS,
            {"symbol": "instrument", "side": "side", "ordStatus": "ordStatus"},
            {
                "orderID": "grouped",
                "account": "grouped",
                "ordStatus": "grouped",
                "workingIndicator": "grouped",
            },
        ),
        Table(
            "execution",
            ("execID",),
            EXECUTION_COLUMNS,
            {"symbol": "instrument", "side": "side", "ordStatus": "ordStatus"},
            {
                "execID": "grouped",
                "account": "grouped",
                "execType": "grouped",
                "transactTime": "sorted",
            },
        ),
        Table(
            "position",
            ("account", "symbol", "currency"),
            (),
            {"symbol": "instrument"},
            {"account": "sorted", "symbol": "grouped", "currency": "grouped"},
        ),
        Table(
            "margin",
            ("account", "currency"),
            (),
            {},
            {"account": "sorted", "currency": "grouped"},
        ),
    )
}

_TYPES = {
    "guid": "orderID execID trdMatchID",
    "boolean": "isQuanto isInverse capped taxed deleverage hasLiquidity instantPnl "
    "workingIndicator crossMargin isOpen",
    "timestamp": "timestamp transactTime listing front expiry settle listedSettle "
    "fundingTimestamp rebalanceTimestamp openingTimestamp closingTimestamp currentTimestamp",
    "timespan": "calcInterval publishInterval publishTime fundingInterval rebalanceInterval "
    "relistInterval sessionInterval",
    "symbol": "symbol side currency settlCurrency underlying quoteCurrency positionCurrency "
    "rootSymbol state typ underlyingSymbol reference referenceSymbol fundingBaseSymbol "
    "fundingQuoteSymbol fundingPremiumSymbol tickDirection lastTickDirection fairMethod "
    "markMethod clOrdID clOrdLinkID pegPriceType ordType timeInForce execInst contingencyType "
    "inverseLeg sellLeg buyLeg ordStatus triggered ordRejReason text lastLiquidityInd execType "
    "feeType tradePublishIndicator posState trdType",
    "long": "account id size bidSize askSize orderQty displayQty leavesQty cumQty lastQty "
    "execCost execComm grossValue maxOrderQty lotSize multiplier "
    "underlyingToPositionMultiplier underlyingToSettleMultiplier quoteToSettleMultiplier "
    "riskLimit riskStep prevTotalVolume totalVolume volume volume24h prevTotalTurnover "
    "totalTurnover turnover turnover24h openInterest openValue amount prevRealisedPnl "
    "prevUnrealisedPnl grossComm grossOpenCost grossOpenPremium grossExecCost grossMarkValue "
    "riskValue initMargin maintMargin targetExcessMargin realisedPnl unrealisedPnl "
    "walletBalance marginBalance excessMargin availableMargin withdrawableMargin "
    "foreignMarginBalance foreignRequirement rebalancedPnl openingQty openOrderBuyQty "
    "openOrderBuyCost openOrderBuyPremium openOrderSellQty openOrderSellCost "
    "openOrderSellPremium currentQty currentCost currentComm realisedCost unrealisedCost "
    "markValue posCost posCost2 posCross posInit posComm posLoss posMargin posMaint",
}
_TYPE_OF = {column: kind for kind, names in _TYPES.items() for column in names.split()}


def column_type(table: str, column: str) -> str:
    """The announced type of a column; what is not listed is a float."""
    if table == "instrument" and column in ("initMargin", "maintMargin"):
        return "float"  # a ratio here, an amount everywhere else
    return _TYPE_OF.get(column, "float")


def without_nulls(row: Row) -> Row:
    """*row* as the last API sent it: nulls and empty strings left out."""
    return {name: value for name, value in row.items() if value is not None and value != ""}


# -- selection: filter, columns, count, start, reverse, startTime, endTime


def select(
    rows: Iterable[Row],
    query: Mapping[str, Any],
    keys: Iterable[str] = (),
    *,
    max_count: int = 500,
) -> list[Row]:
    """The rows, given oldest first, that *query* asks for; raises BadParameter."""
    wanted = parse_filter(query.get("filter"))
    start_time = query.get("startTime", wanted.pop("startTime", None))
    end_time = query.get("endTime", wanted.pop("endTime", None))
    found = [row for row in rows if _matches(row, wanted)]
    if start_time:
        first = parse_time(start_time, "startTime")
        found = [row for row in found if parse_time(row["timestamp"]) >= first]
    if end_time:
        last = parse_time(end_time, "endTime")
        found = [row for row in found if parse_time(row["timestamp"]) <= last]
    if parse_bool(query.get("reverse")):
        found.reverse()
    start = parse_int(query.get("start"), "start", 0)
    count = min(parse_int(query.get("count"), "count", 100), max_count)
    return pick_columns(found[start : start + count], query.get("columns"), keys)


def parse_filter(value: Any) -> dict[str, Any]:
    """A filter given as an object or as its JSON text."""
    if value in (None, ""):
        return {}
    parsed = _json(value, "filter")
    if not isinstance(parsed, dict):
        raise BadParameter("Invalid filter: must be a JSON object")
    return dict(parsed)


def pick_columns(rows: list[Row], columns: Any, keys: Iterable[str]) -> list[Row]:
    """Only the asked columns of *rows*; key columns always stay."""
    if columns in (None, "", []):
        return rows
    if isinstance(columns, str):
        text = columns.strip()
        columns = _json(text, "columns") if text[:1] == "[" else text.split(",")
    if not isinstance(columns, list):
        raise BadParameter("Invalid columns: must be a JSON array")
    asked = {*keys, *(str(column).strip() for column in columns)}
    return [{name: row[name] for name in row if name in asked} for row in rows]


def _matches(row: Row, wanted: Mapping[str, Any]) -> bool:
    return all(_column_matches(row, name, value) for name, value in wanted.items())


def _column_matches(row: Row, name: str, value: Any) -> bool:
    if name == "open":
        return (row.get("ordStatus") not in TERMINAL) is parse_bool(value)
    if name == "ordStatus.isTerminated":
        return (row.get("ordStatus") in TERMINAL) is parse_bool(value)
    have = row.get(name)
    options = value if isinstance(value, list) else [value]
    if name == "symbol":
        return str(have).upper() in {str(option).upper() for option in options}
    if name.startswith("timestamp"):
        return any(str(have).startswith(str(option).rstrip("Z")) for option in options)
    return any(have == option or str(have) == str(option) for option in options)


def _json(value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return jsonx.loads(value)
    except ValueError:
        raise BadParameter(f"Invalid {name}: not readable as JSON") from None


def parse_bool(value: Any) -> bool:
    return str(value).lower() in ("true", "1") if value is not None else False


def parse_int(value: Any, name: str, default: int) -> int:
    if value in (None, ""):
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise BadParameter(f"Invalid {name}: must be a whole number") from None
    if number < 0:
        raise BadParameter(f"Invalid {name}: must not be negative")
    return number


def parse_time(value: Any, name: str = "timestamp") -> float:
    """Unix seconds of an ISO time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadParameter(f"Invalid {name}: must be an ISO 8601 time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
