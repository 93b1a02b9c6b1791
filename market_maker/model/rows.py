"""Exchange rows as they travel through the bot: plain dicts in BitMEX's column names.

Prices are floats at this rim, sizes and satoshis ints. Every venue's connector translates into
these rows, so that nothing above a connector knows the venue.
"""

from typing import Any, Literal, TypedDict

Row = dict[str, Any]
Side = Literal["Buy", "Sell"]

TERMINAL = frozenset({"Filled", "Canceled", "Rejected", "Expired", "DoneForDay"})
LATE_AMEND = "Invalid ordStatus"  # old strategies compare this very text
POST_ONLY = "ParticipateDoNotInitiate"
WOULD_TAKE = f"Canceled: Order had execInst of {POST_ONLY}"  # BitMEX's words, on every venue
NO_FUNDS = "Account has insufficient Available Balance"  # these as well
LIFETIMES = {"ImmediateOrCancel": "IOC", "FillOrKill": "FOK"}  # as other venues call them
SPOT = "IFXXXP"  # `typ` of an instrument that is bought and owned, not held as a contract
NO_BUY = {"price": -(2**32)}  # what get_highest_buy() answers without a buy order
NO_SELL = {"price": 2**32}


class Ticker(TypedDict):
    """What `get_ticker` answers."""

    last: float
    buy: float
    sell: float
    mid: float


def opposite(side: str) -> Side:
    return "Sell" if side == "Buy" else "Buy"


_OF_NUMBERS = """
    price size stopPx orderQty leavesQty cumQty avgPx displayQty lastQty lastPx execCost execComm
    currentQty avgEntryPrice avgCostPrice markPrice markValue bidPrice askPrice midPrice lastPrice
    bidSize askSize tickSize lotSize multiplier initMargin maintMargin makerFee takerFee
    marginBalance availableMargin walletBalance realisedPnl unrealisedPnl
    indicativeSettlePrice underlyingToSettleMultiplier quoteToSettleMultiplier commission
    fundingRate homeNotional freeQty lockedQty feeQty
    minQty maxOrderQty minPrice maxPrice minNotional limitUpPrice limitDownPrice
"""
_OF_TEXT = """
    orderID clOrdID execID trdMatchID symbol side ordType ordStatus execType execInst timeInForce
    state currency settlCurrency timestamp transactTime text ordRejReason fundingTimestamp
    typ underlying quoteCurrency feeCurrency origClOrdID
"""
_NUMBERS, _TEXTS = frozenset(_OF_NUMBERS.split()), frozenset(_OF_TEXT.split())
_STEPS = frozenset({"tickSize", "lotSize"})  # never below 0
_SMALLEST, _LARGEST = 1e-18, 1e18  # but for 0: with what is beyond, values overflow a float
_LARGEST_INT = 10**18  # whole numbers are compared among themselves: that takes half the time


def is_sound(row: Any) -> bool:
    """Whether it is a row whose known columns have values of their type, or none."""
    if type(row) is not dict:
        return False
    for name, value in row.items():  # of every message: the common cases stand here, in full
        if name in _TEXTS:
            if type(value) is not str and value is not None:
                return False
        elif name in _NUMBERS:
            kind = type(value)
            if kind is float:
                if value >= _SMALLEST and value < _LARGEST:
                    continue
            elif kind is int:
                if value >= 0 and value < _LARGEST_INT:
                    continue
            elif value is None:
                continue
            else:
                return False
            if value != 0 and not (-_LARGEST < value <= -_SMALLEST and name not in _STEPS):
                return False
    return True


def is_live(row: Row) -> bool:
    """Whether an order row still rests or may still trade."""
    return row.get("ordStatus") not in TERMINAL and (row.get("leavesQty") or 0) > 0
