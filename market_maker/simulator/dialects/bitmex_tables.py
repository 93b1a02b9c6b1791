"""BitMEX's WebSocket tables: their columns, types and keys, per profile.

Names and types are facts of the protocol: swagger definitions, partials captured in 2018 and
2021 (`classic`) and in 2024 and 2025 (`last`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from market_maker.model.rows import Row


def words(text: str) -> tuple[str, ...]:
    """Column names from a readable list."""
    return tuple(text.split())


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

WITHOUT_SYMBOL = frozenset(
    words(
        "account affiliate announcement chat connected insurance margin privateNotifications "
        "publicNotifications transact wallet"
    )
)  # a topic of these takes no symbol

BIN_SECONDS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86400}

_FIRST = "orderID clOrdID clOrdLinkID account symbol side"
_SIZE = "orderQty price displayQty stopPx pegOffsetValue pegPriceType currency settlCurrency"
_KIND = "ordType timeInForce execInst contingencyType"
_STATE = "ordStatus triggered workingIndicator ordRejReason leavesQty cumQty avgPx"
_FILL = "lastQty lastPx lastLiquidityInd execType commission feeType tradePublishIndicator"
_COST = "trdMatchID execCost execComm homeNotional foreignNotional"

ORDER_COLUMNS = tuple(f"{_FIRST} {_SIZE} {_KIND} {_STATE} text transactTime timestamp".split())
EXECUTION_COLUMNS = ("execID", *ORDER_COLUMNS, *f"{_FILL} {_COST}".split())

# What one age of the protocol adds to every order row and every execution row.
ORDER_EXTRA: dict[bool, Row] = {
    True: {
        "simpleOrderQty": None,
        "exDestination": "XBME",
        "simpleLeavesQty": None,
        "simpleCumQty": None,
        "multiLegReportingType": "SingleSecurity",
    },
    False: {"strategy": "OneWay"},
}
EXECUTION_EXTRA: dict[bool, Row] = {
    True: {"underlyingLastPx": None, "lastMkt": ""},
    False: {
        "brokerCommission": None,
        "brokerExecComm": None,
        "realisedPnl": None,
        "trdType": "",
    },
}

QUOTE_COLUMNS = ("timestamp", "symbol", "bidSize", "bidPrice", "askPrice", "askSize")
TRADE_COLUMNS = words(
    "timestamp symbol side size price tickDirection trdMatchID grossValue homeNotional "
    "foreignNotional trdType"
)
BIN_COLUMNS = words(
    "timestamp symbol open high low close trades volume vwap lastSize turnover homeNotional "
    "foreignNotional"
)
LEVEL_COLUMNS = ("symbol", "id", "side", "size", "price", "timestamp", "transactTime")
WALLET_COLUMNS = words(
    "account currency deposited withdrawn transferIn transferOut amount pendingCredit "
    "pendingDebit confirmedDebit timestamp"
)
TRANSACT_COLUMNS = words(
    "transactID account currency network transactType amount fee transactStatus address tx text "
    "transactTime timestamp walletBalance"
)

_MARGIN_LAST = (
    "account currency riskLimit state amount prevRealisedPnl grossComm grossOpenCost "
    "grossOpenPremium grossExecCost grossMarkValue riskValue initMargin maintMargin "
    "targetExcessMargin realisedPnl unrealisedPnl walletBalance marginBalance marginLeverage "
    "marginUsedPcnt excessMargin availableMargin withdrawableMargin systemWithdrawableMargin "
    "makerFeeDiscount takerFeeDiscount timestamp foreignMarginBalance foreignRequirement"
)
_MARGIN_CLASSIC = (
    "account currency riskLimit prevState state action amount pendingCredit pendingDebit "
    "confirmedDebit prevRealisedPnl prevUnrealisedPnl grossComm grossOpenCost grossOpenPremium "
    "grossExecCost grossMarkValue riskValue taxableMargin initMargin maintMargin sessionMargin "
    "targetExcessMargin varMargin realisedPnl unrealisedPnl indicativeTax unrealisedProfit "
    "syntheticMargin walletBalance marginBalance marginBalancePcnt marginLeverage "
    "marginUsedPcnt excessMargin excessMarginPcnt availableMargin withdrawableMargin timestamp "
    "grossLastValue commission makerFeeDiscount takerFeeDiscount"
)
_POSITION_LAST = (
    "account symbol strategy currency underlying quoteCurrency commission initMarginReq "
    "maintMarginReq riskLimit leverage crossMargin deleveragePercentile rebalancedPnl "
    "prevRealisedPnl prevUnrealisedPnl openingQty openOrderBuyQty openOrderBuyCost "
    "openOrderBuyPremium openOrderSellQty openOrderSellCost openOrderSellPremium currentQty "
    "currentCost currentComm realisedCost unrealisedCost grossOpenPremium isOpen markPrice "
    "markValue riskValue homeNotional foreignNotional posState posCost posCross posComm posLoss "
    "posMargin posMaint posInit initMargin maintMargin realisedPnl unrealisedPnl "
    "unrealisedPnlPcnt unrealisedRoePcnt avgCostPrice avgEntryPrice breakEvenPrice "
    "marginCallPrice liquidationPrice bankruptPrice timestamp"
)
_POSITION_CLASSIC = (
    "account symbol currency underlying quoteCurrency commission initMarginReq maintMarginReq "
    "riskLimit leverage crossMargin deleveragePercentile rebalancedPnl prevRealisedPnl "
    "prevUnrealisedPnl prevClosePrice openingTimestamp openingQty openingCost openingComm "
    "openOrderBuyQty openOrderBuyCost openOrderBuyPremium openOrderSellQty openOrderSellCost "
    "openOrderSellPremium execBuyQty execBuyCost execSellQty execSellCost execQty execCost "
    "execComm currentTimestamp currentQty currentCost currentComm realisedCost unrealisedCost "
    "grossOpenCost grossOpenPremium grossExecCost isOpen markPrice markValue riskValue "
    "homeNotional foreignNotional posState posCost posCost2 posCross posInit posComm posLoss "
    "posMargin posMaint posAllowance taxableMargin initMargin maintMargin sessionMargin "
    "targetExcessMargin varMargin realisedGrossPnl realisedTax realisedPnl unrealisedGrossPnl "
    "longBankrupt shortBankrupt taxBase indicativeTaxRate indicativeTax unrealisedTax "
    "unrealisedPnl unrealisedPnlPcnt unrealisedRoePcnt simpleQty simpleCost simpleValue "
    "simplePnl simplePnlPcnt avgCostPrice avgEntryPrice breakEvenPrice marginCallPrice "
    "liquidationPrice bankruptPrice timestamp lastPrice lastValue"
)
MARGIN_COLUMNS = {True: tuple(_MARGIN_CLASSIC.split()), False: tuple(_MARGIN_LAST.split())}
POSITION_COLUMNS = {True: tuple(_POSITION_CLASSIC.split()), False: tuple(_POSITION_LAST.split())}

_OF_SYMBOL = {"symbol": "instrument"}
_OF_SIDE = {"symbol": "instrument", "side": "side"}
_OF_STATUS = {**_OF_SIDE, "ordStatus": "ordStatus"}
_SERIES = {"timestamp": "sorted", "symbol": "grouped"}
_BOOK = (_OF_SIDE, {"symbol": "parted", "id": "sorted"})


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


def _trading_tables(is_classic: bool) -> list[Table]:
    orders = (*ORDER_COLUMNS, *ORDER_EXTRA[is_classic])
    executions = (*EXECUTION_COLUMNS, *ORDER_EXTRA[is_classic], *EXECUTION_EXTRA[is_classic])
    grouped = dict.fromkeys(("orderID", "account", "ordStatus", "workingIndicator"), "grouped")
    told = {**dict.fromkeys(("execID", "account", "execType"), "grouped"), "transactTime": "sorted"}
    held = {
        "account": "sorted",
        **dict.fromkeys(("symbol", "currency", "underlying", "quoteCurrency"), "grouped"),
    }
    money = {"account": "sorted", "currency": "grouped"}
    # strategy came with hedged positions; the key of executions went in between
    position_keys = ("account", "symbol", "currency" if is_classic else "strategy")
    return [
        Table("order", ("orderID",), orders, _OF_STATUS, grouped),
        Table("execution", ("execID",) if is_classic else (), executions, _OF_STATUS, told),
        Table("position", position_keys, POSITION_COLUMNS[is_classic], _OF_SYMBOL, held),
        Table("margin", ("account", "currency"), MARGIN_COLUMNS[is_classic], {}, money),
        Table("wallet", ("account", "currency"), WALLET_COLUMNS, {}, money),
        Table("transact", ("transactID",), TRANSACT_COLUMNS, {}, {"transactID": "grouped"}),
    ]


def _market_tables() -> list[Table]:
    symbols = ("timestamp", "symbol")
    legs = dict.fromkeys(("inverseLeg", "sellLeg", "buyLeg"), "instrument")
    funding = (*symbols, "fundingInterval", "fundingRate", "fundingRateDaily")
    liquidation = ("orderID", "symbol", "side", "price", "leavesQty")
    settlement = "settlementType settledPrice optionStrikePrice optionUnderlyingPrice bankrupt"
    bins = [
        Table(f"{kind}Bin{size}", (), columns, _OF_SYMBOL, _SERIES)
        for kind, columns in (("trade", BIN_COLUMNS), ("quote", QUOTE_COLUMNS))
        for size in BIN_SECONDS
    ]
    return [
        Table("instrument", ("symbol",), (), legs, {"symbol": "unique"}),
        Table("orderBookL2", ("symbol", "id", "side"), LEVEL_COLUMNS, *_BOOK),
        Table("orderBookL2_25", ("symbol", "id", "side"), LEVEL_COLUMNS, *_BOOK),
        Table(
            "orderBook10",
            ("symbol",),
            ("symbol", "bids", "asks", "timestamp"),
            _OF_SYMBOL,
            {"symbol": "sorted"},
        ),
        Table("quote", (), QUOTE_COLUMNS, _OF_SYMBOL, _SERIES),
        Table("trade", (), TRADE_COLUMNS, _OF_SIDE, _SERIES),
        *bins,
        Table("funding", symbols, funding, _OF_SYMBOL, _SERIES),
        Table("liquidation", ("orderID",), liquidation, _OF_SIDE, {"orderID": "unique"}),
        Table(
            "settlement",
            symbols,
            (*symbols, *settlement.split(), "taxBase", "taxRate"),
            _OF_SYMBOL,
            _SERIES,
        ),
        Table("insurance", ("currency", "timestamp"), ("currency", "timestamp", "walletBalance")),
    ]


def _platform_tables() -> list[Table]:
    """Tables about the site and not about its markets. Nobody writes in them here."""
    notice = words("id date title body ttl type closable persist waitForVisibility sound")
    return [
        Table("announcement", ("id",), ("id", "link", "title", "content", "date")),
        Table("chat", ("id",), ("id", "date", "user", "message", "html", "channelID")),
        Table("connected", (), ("users", "bots")),
        Table("publicNotifications", ("id",), notice),
        Table("privateNotifications", ("id",), notice),
        Table(
            "affiliate",
            ("account", "currency"),
            words(
                "account currency prevPayout prevTurnover prevComm prevTimestamp execTurnover "
                "execComm totalReferrals totalTurnover totalComm payoutPcnt pendingPayout "
                "timestamp referrerAccount referralDiscount affiliatePayout"
            ),
        ),
        Table("account", ("account",), ("account",)),
    ]


def tables_of(is_classic: bool) -> dict[str, Table]:
    """All tables of one profile, by name."""
    found = [*_market_tables(), *_trading_tables(is_classic), *_platform_tables()]
    return {table.name: table for table in found}


TABLES = tables_of(is_classic=False)

_TYPES = {
    "guid": "orderID execID trdMatchID transactID",
    "boolean": "isQuanto isInverse capped taxed deleverage hasLiquidity instantPnl "
    "workingIndicator crossMargin isOpen closable persist waitForVisibility",
    "timestamp": "timestamp transactTime listing front expiry settle listedSettle date "
    "fundingTimestamp rebalanceTimestamp openingTimestamp closingTimestamp currentTimestamp "
    "prevTimestamp",
    "timespan": "calcInterval publishInterval publishTime fundingInterval rebalanceInterval "
    "relistInterval sessionInterval",
    "symbol": "symbol side currency settlCurrency underlying quoteCurrency positionCurrency "
    "rootSymbol state typ underlyingSymbol reference referenceSymbol fundingBaseSymbol "
    "fundingQuoteSymbol fundingPremiumSymbol tickDirection lastTickDirection fairMethod "
    "markMethod clOrdID clOrdLinkID pegPriceType ordType timeInForce execInst contingencyType "
    "inverseLeg sellLeg buyLeg ordStatus triggered ordRejReason text lastLiquidityInd execType "
    "feeType tradePublishIndicator posState trdType exDestination multiLegReportingType lastMkt "
    "strategy prevState action settlementType network transactType transactStatus address tx "
    "link title content user message html body type sound",
    "list": "bids asks",
    "long": "account id size bidSize askSize orderQty displayQty leavesQty cumQty lastQty "
    "execCost execComm grossValue maxOrderQty lotSize multiplier lastSize trades "
    "underlyingToPositionMultiplier underlyingToSettleMultiplier quoteToSettleMultiplier "
    "riskLimit riskStep prevTotalVolume totalVolume volume volume24h prevTotalTurnover "
    "totalTurnover turnover turnover24h openInterest openValue amount prevRealisedPnl "
    "prevUnrealisedPnl grossComm grossOpenCost grossOpenPremium grossExecCost grossMarkValue "
    "riskValue initMargin maintMargin targetExcessMargin realisedPnl unrealisedPnl "
    "walletBalance marginBalance excessMargin availableMargin withdrawableMargin "
    "systemWithdrawableMargin foreignMarginBalance foreignRequirement rebalancedPnl openingQty "
    "openOrderBuyQty openOrderBuyCost openOrderBuyPremium openOrderSellQty openOrderSellCost "
    "openOrderSellPremium currentQty currentCost currentComm realisedCost unrealisedCost "
    "markValue posCost posCost2 posCross posInit posComm posLoss posMargin posMaint "
    "openingCost openingComm execBuyQty execBuyCost execSellQty execSellCost execQty "
    "posAllowance taxableMargin sessionMargin varMargin realisedGrossPnl realisedTax "
    "unrealisedGrossPnl longBankrupt shortBankrupt taxBase indicativeTax unrealisedTax "
    "lastValue pendingCredit pendingDebit confirmedDebit unrealisedProfit syntheticMargin "
    "grossLastValue brokerExecComm bankrupt deposited withdrawn transferIn transferOut fee "
    "users bots ttl instrumentID prevPayout prevTurnover prevComm execTurnover totalReferrals "
    "totalTurnover totalComm pendingPayout",
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
