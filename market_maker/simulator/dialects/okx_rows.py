"""Engine objects as OKX rows: everything a string, times in milliseconds, sizes in `sz`.

Shapes: the samples of OKX v5's public clients and its API guide.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from market_maker.model.rows import TERMINAL, Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Fill, Order, OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, XBT_USDT, Instrument

LISTED = {"XBTUSD": "BTC-USD-SWAP", "XBTUSDT": "BTC-USDT-SWAP", "XBT_USDT": "BTC-USDT"}
# what an engine is opened with that speaks this language; on OKX buyers pay in what they buy
INSTRUMENTS = (*DEFAULT_INSTRUMENTS, replace(XBT_USDT, pays_in_base=True))
CURRENCIES = {"XBt": ("BTC", 8), "USDt": ("USDT", 6)}
_CT_VAL = {"XBTUSD": Decimal(100), "XBTUSDT": Decimal("0.01")}
_STATES = {"New": "live", "PartiallyFilled": "partially_filled", "Filled": "filled"}
_FIRST_CODE = 10_458
_PRICE_BAND = 0.05  # around the mark price; OKX reckons it by its index and how new a listing is
CUT = "cut"  # in an order's `extra`: an amend has left it no more than was filled


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument in both languages. `unit` is how many of the engine's contracts make 1 sz."""

    spec: Instrument
    grid: PriceGrid
    inst_id: str
    code: int
    unit: Decimal

    @classmethod
    def of(cls, spec: Instrument) -> Self:
        # a contract of the engine is 1 USD of the inverse swap and a millionth of a BTC otherwise
        size = _CT_VAL.get(spec.symbol, Decimal(1))
        unit = size if spec.is_inverse else size * 1_000_000
        code = _FIRST_CODE + list(LISTED).index(spec.symbol)
        return cls(spec, spec.grid(), LISTED[spec.symbol], code, unit)

    @property
    def inst_type(self) -> str:
        return "SPOT" if self.spec.is_spot else "SWAP"

    @property
    def settle(self) -> str:
        return CURRENCIES[self.spec.settle_currency][0]

    @property
    def trade_modes(self) -> tuple[str, ...]:
        return ("cash",) if self.spec.is_spot else ("cross", "isolated")

    def fee(self, paid: int, side: str) -> Row:
        """The columns of a fee in minor units; a buyer on spot pays in what he buys."""
        currency = self.spec.settle_currency
        if self.spec.pays_in_base and side == "Buy":
            currency = self.spec.base_currency
        return {"fee": money(-paid, currency), "feeCcy": CURRENCIES[currency][0]}

    def sz(self, qty: int) -> str:
        return plain(Decimal(qty) / self.unit)

    def qty(self, sz: Any) -> float:
        """Contracts of the engine; raises ValueError for what is no number."""
        return float(Decimal(str(sz)) * self.unit)

    def px(self, ticks: int | None) -> str:
        return "" if ticks is None else self.grid.format(self.grid.price(ticks))

    def price_limits(self, mark: float) -> tuple[float, float]:
        """The highest price that buys and the lowest that sells while the mark price is *mark*."""
        high = self.grid.bid_ticks(mark * (1 + _PRICE_BAND))
        return self.grid.price(high), self.grid.price(self.grid.ask_ticks(mark * (1 - _PRICE_BAND)))

    def money(self, minor: int) -> str:
        return money(minor, self.spec.settle_currency)

    def instrument_row(self, state: str) -> Row:
        lot = self.sz(self.spec.lot_size)
        return {
            "instType": self.inst_type, "instId": self.inst_id, "instIdCode": self.code,
            **(self._pair_columns() if self.spec.is_spot else self._swap_columns()),
            "category": "1", "optType": "", "stk": "", "listTime": "1535424203000", "expTime": "",
            "tickSz": self.grid.format(self.spec.tick_size), "lotSz": lot, "minSz": lot,
            "alias": "", "state": "live" if state == "Open" else "suspend",
            "maxLmtSz": self.sz(self.spec.max_order_qty), "maxMktSz": "30000",
            "maxLmtAmt": "20000000", "maxMktAmt": "", "ruleType": "normal",
        }  # fmt: skip

    def _pair_columns(self) -> Row:
        base, quote = self.inst_id.split("-")
        empty = ("uly", "instFamily", "settleCcy", "ctVal", "ctMult", "ctValCcy", "ctType")
        return {"baseCcy": base, "quoteCcy": quote, "lever": "10"} | dict.fromkeys(empty, "")

    def _swap_columns(self) -> Row:
        inverse = self.spec.is_inverse
        base, quote, _ = self.inst_id.split("-")
        family = f"{base}-{quote}"
        return {
            "uly": family, "instFamily": family, "baseCcy": "", "quoteCcy": "",
            "settleCcy": self.settle, "ctVal": plain(_CT_VAL[self.spec.symbol]), "ctMult": "1",
            "ctValCcy": quote if inverse else base, "ctType": "inverse" if inverse else "linear",
            "lever": "100",
        }  # fmt: skip

    def quote_row(self, quote: QuoteEvent) -> Row:
        def level(ticks: int | None, size: int) -> list[list[str]]:
            return [] if ticks is None else [[self.px(ticks), self.sz(size), "0", "1"]]

        return {
            "asks": level(quote.ask_ticks, quote.ask_size),
            "bids": level(quote.bid_ticks, quote.bid_size),
            "ts": ms(quote.time_s),
            "seqId": int(quote.time_s * 1000),
        }

    def trade_row(self, trade: TradeEvent) -> Row:
        return {
            "instId": self.inst_id, "tradeId": trade_id(trade.match_id),
            "px": self.px(trade.price_ticks), "sz": self.sz(trade.qty),
            "side": trade.side.lower(), "ts": ms(trade.time_s), "count": "1",
        }  # fmt: skip

    def order_row(self, order: Order, order_id: str, fee_paid: int, tag: str) -> Row:
        """An order. `fee` is the sum so far, negative when paid."""
        post_only = "ParticipateDoNotInitiate" in order.exec_inst
        bounced = order.ord_status == "Canceled" and "ParticipateDoNotInitiate" in order.text
        is_cut, is_ended = CUT in order.extra, order.ord_status in TERMINAL
        state = "filled" if is_cut else _STATES.get(order.ord_status, "canceled")
        size = order.cum_qty if is_cut else order.order_qty
        kind = "post_only" if post_only else _KINDS.get(order.time_in_force, "limit")
        return {
            "instType": self.inst_type, "instId": self.inst_id, "ordId": order_id,
            "clOrdId": order.cl_ord_id, "tag": tag, "side": order.side.lower(),
            "posSide": "net", "tdMode": self.trade_modes[0],
            "ordType": "market" if order.ord_type == "Market" else kind,
            "px": self.px(order.price_ticks), "sz": self.sz(size),
            "accFillSz": self.sz(order.cum_qty), "avgPx": str(order.avg_px or ""),
            "state": state,
            "cancelSource": ("31" if bounced else "1") if is_ended and state != "filled" else "",
            "cancelSourceReason": "", "category": "normal", "lever": "100", "ccy": "",
            "reduceOnly": str("ReduceOnly" in order.exec_inst).lower(), "pnl": "0", "source": "",
            **self.fee(fee_paid, order.side), "rebate": "0",
            "rebateCcy": self.settle, "fillPx": "", "fillSz": "0", "fillTime": "", "tradeId": "",
            "execType": "", "amendResult": "", "reqId": "", "code": "0", "msg": "",
            "tgtCcy": "", "stpMode": "cancel_maker", "uTime": ms(order.timestamp),
            "cTime": ms(order.timestamp),
        }  # fmt: skip

    def fill_columns(self, event: OrderEvent, fill: Fill) -> Row:
        """What an order's push tells of the fill that caused it."""
        price = self.px(fill.price_ticks) if fill.price is None else str(fill.price)
        return {
            "fillPx": price, "fillSz": self.sz(fill.qty), "tradeId": trade_id(fill.match_id),
            "fillTime": ms(event.time_s), "execType": "M" if fill.is_maker else "T",
        }  # fmt: skip

    def fill_row(self, event: OrderEvent, fill: Fill, order_id: str) -> Row:
        """A row of /trade/fills, whose fee is the fill's own."""
        return {
            "instType": self.inst_type, "instId": self.inst_id, "ordId": order_id,
            "clOrdId": event.order.cl_ord_id, "side": event.order.side.lower(),
            "posSide": "net",
            **self.fee(fill.comm_sat, event.order.side),
            "billId": trade_id(fill.exec_id), "ts": ms(event.time_s), "tag": "",
            **self.fill_columns(event, fill),
        }  # fmt: skip

    def bill_row(self, event: OrderEvent, fill: Fill) -> Row:
        """A payment of funding as a row of /account/bills."""
        amount = self.money(-fill.comm_sat)
        return {
            "instType": self.inst_type, "instId": self.inst_id, "mgnMode": "cross",
            "billId": trade_id(fill.exec_id), "type": "8",
            "subType": "173" if fill.comm_sat > 0 else "174", "ccy": self.settle,
            "balChg": amount, "pnl": amount, "bal": "", "sz": self.sz(fill.qty), "fee": "0",
            "posBal": "0", "posBalChg": "0", "ordId": "", "notes": "", "ts": ms(event.time_s),
        }  # fmt: skip

    def position_row(self, row: Row, funding_paid: int) -> Row:
        """A position by BitMEX's row of it; funding in minor units, since it was opened."""
        qty = row["currentQty"]
        return {
            "instType": "SWAP", "instId": self.inst_id, "mgnMode": "cross", "posSide": "net",
            "posId": str(row["account"]), "pos": self.sz(qty), "ccy": self.settle,
            "avgPx": str(row["avgEntryPrice"] or ""), "markPx": str(row["markPrice"] or ""),
            "liqPx": str(row["liquidationPrice"] or ""), "lever": str(row["leverage"]),
            "upl": self.money(row["unrealisedPnl"]), "realizedPnl": self.money(row["realisedPnl"]),
            "fee": self.money(-row["currentComm"]), "fundingFee": self.money(-funding_paid),
            "bePx": str(row["breakEvenPrice"] or ""),
            "uTime": ms_of_iso(row["timestamp"]), "adl": "1", "last": "", "availPos": "",
        }  # fmt: skip


_KINDS = {"ImmediateOrCancel": "ioc", "FillOrKill": "fok"}


def balance_row(row: Row) -> Row:
    """One currency of the balance, by BitMEX's margin row of it."""
    currency = row["currency"]
    name, _ = CURRENCIES[currency]

    def amount(column: str) -> str:
        return money(row[column], currency)

    return {
        "ccy": name, "cashBal": amount("walletBalance"), "eq": amount("marginBalance"),
        "availBal": amount("availableMargin"), "availEq": amount("availableMargin"),
        "upl": amount("unrealisedPnl"), "isoEq": "0", "imr": amount("initMargin"),
        "mmr": amount("maintMargin"), "ordFrozen": amount("initMargin"),
        "frozenBal": amount("initMargin"), "notionalLever": str(row["marginLeverage"]),
        "uTime": ms_of_iso(row["timestamp"]),
    }  # fmt: skip


def money(minor: int, currency: str) -> str:
    """Minor units as OKX writes an amount: in whole ones of its currency."""
    return plain(Decimal(minor).scaleb(-CURRENCIES[currency][1]))


def plain(number: Decimal) -> str:
    """No exponent, no idle zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ms(time_s: float) -> str:
    return str(round(time_s * 1000))


def ms_of_iso(text: str) -> str:
    return ms(datetime.fromisoformat(text).timestamp())


def trade_id(match_id: str) -> str:
    """The digits that stand for an identifier of the engine."""
    return str(int(match_id.replace("-", ""), 16) % 10**15)
