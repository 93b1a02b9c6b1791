"""Engine objects as HitBTC rows: amounts are strings in whole units of their currency.

Shapes: the messages that HitBTC v3's public clients carry. What is played is spot.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from market_maker.model.rows import POST_ONLY, TERMINAL, Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Fill, Order, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import Instrument, iso_time

SYMBOLS = {"XBT_USDT": "BTCUSDT"}
CURRENCIES = {"XBt": ("BTC", 8), "USDt": ("USDT", 6)}
_STATUSES = {"New": "new", "PartiallyFilled": "partiallyFilled", "Filled": "filled"}
_LIFETIMES = {"ImmediateOrCancel": "IOC", "FillOrKill": "FOK"}
_REPORTS = {"new": "new", "partiallyFilled": "trade", "filled": "trade"}


@dataclass(frozen=True, slots=True)
class Spot:
    """One symbol in both languages."""

    spec: Instrument
    grid: PriceGrid
    name: str

    @classmethod
    def of(cls, spec: Instrument) -> Self:
        return cls(spec, spec.grid(), SYMBOLS[spec.symbol])

    @property
    def base(self) -> str:
        return CURRENCIES[self.spec.base_currency][0]

    @property
    def quote(self) -> str:
        return CURRENCIES[self.spec.settle_currency][0]

    @property
    def increment(self) -> Decimal:
        least = self._amount(self.spec.lot_size).normalize()  # without idle zeros
        return least if least < 1 else least.quantize(Decimal(1))

    def _amount(self, qty: int) -> Decimal:
        _, decimals = CURRENCIES[self.spec.base_currency]
        return (Decimal(qty) * self.spec.base_unit).scaleb(-decimals)

    def quantity(self, qty: int) -> str:
        """Contracts of the engine as an amount of the base currency."""
        amount = self._amount(qty)
        return f"{amount if amount % self.increment else amount.quantize(self.increment):f}"

    def qty(self, quantity: Decimal) -> int:
        """Contracts of the engine, rounded down to a whole lot."""
        return int(quantity / self.increment) * self.spec.lot_size

    def px(self, ticks: int | None) -> str:
        return "" if ticks is None else self.grid.format(self.grid.price(ticks))

    def symbol_row(self, state: str) -> Row:
        return {
            "type": "spot", "base_currency": self.base, "quote_currency": self.quote,
            "status": "working" if state == "Open" else "suspended",
            "quantity_increment": f"{self.increment:f}",
            "tick_size": self.grid.format(self.spec.tick_size),
            "take_rate": str(self.spec.taker_fee), "make_rate": str(self.spec.maker_fee),
            "fee_currency": self.quote, "margin_trading": False, "max_initial_leverage": "1.00",
        }  # fmt: skip

    def touch(self, quote: QuoteEvent) -> Row:
        return {
            "t": round(quote.time_s * 1000), "a": self.px(quote.ask_ticks),
            "A": self.quantity(quote.ask_size), "b": self.px(quote.bid_ticks),
            "B": self.quantity(quote.bid_size),
        }  # fmt: skip

    def print_row(self, trade: TradeEvent) -> Row:
        """A public trade as the stream tells it."""
        return {
            "t": round(trade.time_s * 1000), "i": number_of(trade.match_id),
            "p": self.px(trade.price_ticks), "q": self.quantity(trade.qty),
            "s": trade.side.lower(),
        }  # fmt: skip

    def order_row(self, order: Order, number: int, born_s: float) -> Row:
        row: Row = {
            "id": number, "client_order_id": order.cl_ord_id, "symbol": self.name,
            "side": order.side.lower(), "status": _status(order),
            "type": "market" if order.ord_type == "Market" else "limit",
            "time_in_force": _LIFETIMES.get(order.time_in_force, "GTC"),
            "quantity": self.quantity(order.order_qty),
            "quantity_cumulative": self.quantity(order.cum_qty),
            "post_only": POST_ONLY in order.exec_inst, "created_at": iso_time(born_s),
            "updated_at": iso_time(order.timestamp),
        }  # fmt: skip
        if order.price_ticks is not None:
            row["price"] = self.px(order.price_ticks)
        if order.avg_px:
            row["price_average"] = str(order.avg_px)
        return row

    def fill_columns(self, fill: Fill) -> Row:
        """What a report of a trade tells beside the order."""
        return {
            "trade_id": number_of(fill.match_id), "trade_quantity": self.quantity(fill.qty),
            "trade_price": self.px(fill.price_ticks), "trade_fee": self.fee(fill),
            "trade_taker": not fill.is_maker,
        }  # fmt: skip

    def fee(self, fill: Fill) -> str:
        _, decimals = CURRENCIES[self.spec.settle_currency]
        return f"{Decimal(fill.comm_sat).scaleb(-decimals):f}"


def _status(order: Order) -> str:
    return _STATUSES.get(order.ord_status, "canceled")


def report_type(row: Row) -> str:
    """What a report of an order in this state is called, where nothing else is known of it."""
    return _REPORTS.get(row["status"], "canceled")


def is_dead(order: Order) -> bool:
    return order.ord_status in TERMINAL


def currency_rows() -> dict[str, Row]:
    """The currencies; nothing is paid in or out here."""
    closed = dict.fromkeys(("payin_enabled", "payout_enabled", "transfer_enabled"), False)
    return {
        name: {
            "full_name": name, "crypto": True, **closed, "delisted": False, "networks": [],
            "precision_transfer": f"{Decimal(1).scaleb(-decimals):f}",
        }
        for name, decimals in CURRENCIES.values()
    }  # fmt: skip


def balance_row(margin: Row) -> Row:
    """One currency of the balance, by BitMEX's margin row of it."""
    name, decimals = CURRENCIES[margin["currency"]]

    def amount(minor: int) -> str:
        return f"{Decimal(minor).scaleb(-decimals):f}"

    return {
        "currency": name,
        "available": amount(margin["availableMargin"]),
        "reserved": amount(margin["walletBalance"] - margin["availableMargin"]),
    }


def number_of(identifier: str) -> int:
    """The number that stands for an identifier of the engine."""
    return int(identifier.replace("-", ""), 16) % 10**15


def error_body(error: Any) -> Row:
    told = {"code": error.code, "message": error.message, "description": error.description}
    return {"error": told}
