"""Engine objects as Binance spot rows: amounts as text with eight decimals, times in milliseconds.

Shapes: Binance's spot API documentation and the samples of its clients.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self

from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Fill, Order, OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import XBT_USDT, Instrument

BTCUSDT = replace(XBT_USDT, symbol="BTCUSDT", pays_in_base=True)
CURRENCIES = {"XBt": ("BTC", 8), "USDt": ("USDT", 6)}
MIN_NOTIONAL = Decimal(5)
_EXPIRING = ("ImmediateOrCancel", "FillOrKill")
_TIF = {"ImmediateOrCancel": "IOC", "FillOrKill": "FOK"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One symbol in both languages."""

    spec: Instrument
    grid: PriceGrid
    base: str
    quote: str
    unit: Decimal  # of the base currency in a contract of the engine

    @classmethod
    def of(cls, spec: Instrument) -> Self:
        base, decimals = CURRENCIES[spec.base_currency]
        unit = Decimal(spec.base_unit).scaleb(-decimals)
        return cls(spec, spec.grid(), base, CURRENCIES[spec.settle_currency][0], unit)

    @property
    def symbol(self) -> str:
        return self.spec.symbol

    def qty(self, contracts: float) -> str:
        return text(Decimal(str(contracts)) * self.unit)

    def contracts(self, qty: Decimal) -> Decimal:
        return qty / self.unit

    def px(self, ticks: int | None) -> str:
        return text(Decimal(str(self.grid.price(ticks)))) if ticks is not None else text(Decimal(0))

    def worth(self, order: Order) -> str:
        """What an order has traded so far, in the quote currency."""
        return text(Decimal(str(round(order.cum_cost, 6))) * self.unit)

    def symbol_row(self, state: str) -> Row:
        """One of exchangeInfo's symbols."""
        return {
            "symbol": self.symbol, "status": "TRADING" if state == "Open" else "HALT",
            "baseAsset": self.base, "baseAssetPrecision": 8, "quoteAsset": self.quote,
            "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "icebergAllowed": False,
            "ocoAllowed": False, "otoAllowed": False, "quoteOrderQtyMarketAllowed": False,
            "allowTrailingStop": False, "cancelReplaceAllowed": True, "amendAllowed": False,
            "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
            "filters": self._filters(), "permissions": [], "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE", "allowedSelfTradePreventionModes": ["NONE"],
        }  # fmt: skip

    def _filters(self) -> list[Row]:
        tick, lot = text(Decimal(str(self.spec.tick_size))), self.qty(self.spec.lot_size)
        most = self.qty(self.spec.max_order_qty)
        top = text(Decimal(str(self.spec.max_price)))
        return [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": top, "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
            {
                "filterType": "NOTIONAL", "minNotional": text(MIN_NOTIONAL),
                "applyMinToMarket": True, "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False, "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ]  # fmt: skip

    def order_row(self, order: Order, number: int) -> Row:
        """What all answers about an order have."""
        return {
            "symbol": self.symbol, "orderId": number, "orderListId": -1,
            "clientOrderId": order.cl_ord_id, "price": self.px(order.price_ticks),
            "origQty": self.qty(order.order_qty), "executedQty": self.qty(order.cum_qty),
            "origQuoteOrderQty": text(Decimal(0)), "cummulativeQuoteQty": self.worth(order),
            "status": status(order), "timeInForce": _TIF.get(order.time_in_force, "GTC"),
            "type": kind(order), "side": order.side.upper(), "selfTradePreventionMode": "NONE",
        }  # fmt: skip

    def queried_row(self, order: Order, number: int) -> Row:
        """An order as a query shows it."""
        moment = ms(order.timestamp)
        return {
            **self.order_row(order, number), "stopPrice": text(Decimal(0)),
            "icebergQty": text(Decimal(0)), "time": moment, "updateTime": moment,
            "isWorking": order.leaves_qty > 0, "workingTime": moment,
        }  # fmt: skip

    def fee(self, fill: Fill, side: str) -> tuple[str, str]:
        """(amount, currency); negative is a rebate."""
        if self.spec.pays_in_base and side == "Buy":
            return money(fill.comm_sat, self.spec.base_currency), self.base
        return money(fill.comm_sat, self.spec.settle_currency), self.quote

    def trade_row(self, event: OrderEvent, fill: Fill, number: int) -> Row:
        """A row of myTrades."""
        amount, currency = self.fee(fill, event.order.side)
        return {
            "symbol": self.symbol, "id": trade_id(fill.exec_id), "orderId": number,
            "orderListId": -1, "price": self.px(fill.price_ticks), "qty": self.qty(fill.qty),
            "quoteQty": text(
                Decimal(str(self.grid.price(fill.price_ticks))) * fill.qty * self.unit
            ),
            "commission": amount, "commissionAsset": currency, "time": ms(event.time_s),
            "isBuyer": event.order.side == "Buy", "isMaker": fill.is_maker, "isBestMatch": True,
        }  # fmt: skip

    def report(self, event: OrderEvent, number: int, names: tuple[str, str]) -> Row:
        """An executionReport; *names* are its `c` and `C`."""
        order, fill = event.order, event.fill
        state = status(order)
        row: Row = {
            "e": "executionReport", "E": ms(event.time_s), "s": self.symbol, "c": names[0],
            "S": order.side.upper(), "o": kind(order),
            "f": _TIF.get(order.time_in_force, "GTC"), "q": self.qty(order.order_qty),
            "p": self.px(order.price_ticks), "P": text(Decimal(0)), "F": text(Decimal(0)),
            "g": -1, "C": names[1], "x": "TRADE" if fill else state, "X": state, "r": "NONE",
            "i": number, "l": text(Decimal(0)), "z": self.qty(order.cum_qty),
            "L": text(Decimal(0)), "n": "0", "N": None, "T": ms(event.time_s), "t": -1,
            "w": order.leaves_qty > 0, "m": False, "O": ms(order.transact_time),
            "Z": self.worth(order), "Y": text(Decimal(0)), "Q": text(Decimal(0)),
            "W": ms(order.transact_time), "V": "NONE",
        }  # fmt: skip
        if fill is not None:
            amount, currency = self.fee(fill, order.side)
            row |= {
                "l": self.qty(fill.qty), "L": self.px(fill.price_ticks), "n": amount,
                "N": currency, "t": trade_id(fill.exec_id), "m": fill.is_maker,
            }  # fmt: skip
        return row

    def ticker_row(self, quote: QuoteEvent) -> Row:
        """A bookTicker of REST."""
        return {
            "symbol": self.symbol, "bidPrice": self.px(quote.bid_ticks),
            "bidQty": self.qty(quote.bid_size), "askPrice": self.px(quote.ask_ticks),
            "askQty": self.qty(quote.ask_size),
        }  # fmt: skip

    def kline(self, start_ms: int, bin_s: int, row: Row) -> list[Any]:
        """A bin of BitMEX; what takers bought is not counted apart."""
        return [
            start_ms, *(str(row[name]) for name in ("open", "high", "low", "close")),
            self.qty(row["volume"]), start_ms + bin_s * 1000 - 1, str(row["foreignNotional"]),
            row["trades"], "0", "0", "0",
        ]  # fmt: skip

    def public_trade(self, trade: TradeEvent) -> Row:
        """A public print of REST."""
        price = Decimal(str(self.grid.price(trade.price_ticks)))
        return {
            "id": trade_id(trade.match_id), "price": text(price), "qty": self.qty(trade.qty),
            "quoteQty": text(price * trade.qty * self.unit), "time": ms(trade.time_s),
            "isBuyerMaker": trade.side == "Sell", "isBestMatch": True,
        }  # fmt: skip


def status(order: Order) -> str:
    """The state of an order in Binance's word."""
    if order.ord_status == "Canceled":
        is_expiring = order.time_in_force in _EXPIRING
        return "EXPIRED" if is_expiring else "CANCELED"
    words = {"New": "NEW", "PartiallyFilled": "PARTIALLY_FILLED", "Filled": "FILLED"}
    return words.get(order.ord_status, "REJECTED")


def kind(order: Order) -> str:
    if order.ord_type == "Market":
        return "MARKET"
    return "LIMIT_MAKER" if "ParticipateDoNotInitiate" in order.exec_inst else "LIMIT"


def balance_rows(rows: list[Row], is_event: bool = False) -> list[Row]:
    """Balances by BitMEX's margin rows of them."""
    names = ("a", "f", "l") if is_event else ("asset", "free", "locked")
    found = []
    for row in rows:
        currency = row["currency"]
        free = row["availableMargin"]
        amounts = (money(free, currency), money(row["walletBalance"] - free, currency))
        found.append(dict(zip(names, (CURRENCIES[currency][0], *amounts), strict=True)))
    return found


def money(minor: int, currency: str) -> str:
    return text(Decimal(minor).scaleb(-CURRENCIES[currency][1]))


def text(amount: Decimal) -> str:
    """Eight decimals, as all amounts are written."""
    return f"{amount:.8f}"


def ms(time_s: float) -> int:
    return round(time_s * 1000)


def trade_id(name: str) -> int:
    """The number that stands for an identifier of the engine; later ones are larger."""
    return int(name.replace("-", "")[-12:], 16)


def decimal(given: Any) -> Decimal:
    """A number as it was written; raises ArithmeticError or ValueError for what is none."""
    number = Decimal(str(given))
    if not number.is_finite():
        raise ValueError(given)
    return number
