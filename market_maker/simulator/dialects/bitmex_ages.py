"""What each age of the protocol showed of a position, of an account's money, of an instrument.

The engine's rows hold what the exchange knows. `classic` adds the columns of 2018 to 2021 that
the last API had dropped; most of them said little even then and were 0 or null. `last` leaves
out what was retired.
"""

from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_tables import MARGIN_COLUMNS, POSITION_COLUMNS, words

_CLASSIC_POSITION = dict.fromkeys(
    words(
        "openingQty openingCost openingComm posAllowance taxableMargin sessionMargin "
        "targetExcessMargin varMargin realisedTax longBankrupt shortBankrupt taxBase "
        "indicativeTax unrealisedTax"
    ),
    0,
)
_CLASSIC_MARGIN: Row = {
    "prevState": "",
    "action": "",
    "marginBalancePcnt": 1,
    "excessMarginPcnt": 1,
    **dict.fromkeys(
        words(
            "pendingCredit pendingDebit confirmedDebit prevUnrealisedPnl taxableMargin "
            "sessionMargin varMargin indicativeTax unrealisedProfit syntheticMargin"
        ),
        0,
    ),
}
_LAST_MARGIN: Row = {"foreignMarginBalance": 0, "foreignRequirement": 0}

RETIRED = frozenset(
    words(
        "relistInterval inverseLeg sellLeg buyLeg optionStrikePcnt optionStrikeRound "
        "optionStrikePrice optionMultiplier optionUnderlyingPrice insuranceFee sessionInterval "
        "bankruptLimitDownPrice bankruptLimitUpPrice indicativeTaxRate"
    )
)  # instrument columns that were gone by 2024
# per day, of the base and of the quote currency; a third of their difference is the interest
_FUNDING_RATES = {"fundingBaseRate": 0.0003, "fundingQuoteRate": 0.0006}
NULL_STAYS = ("limitDownPrice", "limitUpPrice")  # sent as null by REST when all other nulls went


def position_row(row: Row, is_classic: bool) -> Row:
    """An engine's position row with the columns of its age, in their order."""
    if not is_classic:
        return _columns({**row, "strategy": "OneWay"}, POSITION_COLUMNS[False])
    now, profit = row["timestamp"], row["unrealisedPnl"]
    extra: dict[str, Any] = {
        "openingTimestamp": f"{now[:14]}00:00.000Z",  # sessions were an hour long
        "currentTimestamp": now,
        "grossOpenCost": max(abs(row["openOrderBuyCost"]), abs(row["openOrderSellCost"])),
        "grossExecCost": abs(row["posCost"]),
        "posCost2": row["posCost"],
        "realisedGrossPnl": -row["realisedCost"],
        "unrealisedGrossPnl": profit,
        "lastPrice": row["markPrice"],
        "lastValue": row["markValue"],
    }
    return _columns({**_CLASSIC_POSITION, **extra, **row}, POSITION_COLUMNS[True])


def margin_row(row: Row, is_classic: bool) -> Row:
    """An engine's margin row with the columns of its age, in their order."""
    extra = _LAST_MARGIN
    if is_classic:
        extra = {**_CLASSIC_MARGIN, "grossLastValue": row["grossMarkValue"]}
    return _columns({**extra, **row}, MARGIN_COLUMNS[is_classic])


def instrument_row(row: Row, is_classic: bool) -> Row:
    """An engine's instrument row, or some of its columns, with the columns of its age."""
    if is_classic:
        return dict(row)
    shown = {name: value for name, value in row.items() if name not in RETIRED}
    return shown | _FUNDING_RATES if row.get("fundingBaseSymbol") else shown


def _columns(row: Row, columns: tuple[str, ...]) -> Row:
    return {name: row.get(name) for name in columns}
