"""What OKX tells everybody: its instruments, their prices, books and trades."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.candles import candles
from market_maker.simulator.dialects.numbers import page, whole
from market_maker.simulator.dialects.okx_desk import OkxError
from market_maker.simulator.dialects.okx_rows import LISTED, Listing, ms
from market_maker.simulator.exchange import Engine

_PAGE = 100
_BARS = {"1m": 60, "5m": 300, "1H": 3600, "1Dutc": 86_400}

Params = Mapping[str, Any]


class OkxMarket:
    """The instruments an engine has of those that OKX lists. `calls` answer public GETs."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.listings: dict[str, Listing] = {}  # by OKX's name
        self.by_symbol: dict[str, Listing] = {}  # by the engine's
        for symbol in LISTED:
            if symbol in engine.symbols():
                self.describe(symbol)
        self.calls: dict[str, Callable[[Params], list[Any]]] = {
            "/public/time": lambda _: [{"ts": ms(engine.now())}],
            "/public/instruments": self._instruments,
            "/public/mark-price": lambda p: [self.mark(one) for one in self.swaps(p)],
            "/public/price-limit": lambda p: [self.price_limit(self.listing(p))],
            "/public/funding-rate": lambda p: [self.funding(one) for one in self.swaps(p)],
            "/market/ticker": lambda p: [self.ticker(self.listing(p))],
            "/market/tickers": lambda p: [self.ticker(one) for one in self.chosen(p)],
            "/market/books": lambda p: [self.book(self.listing(p), whole(p, "sz", 1))],
            "/market/trades": self._trades,
            "/market/candles": self._candles,
        }

    def describe(self, symbol: str) -> None:
        """Describe an instrument of the engine as it is now."""
        listing = Listing.of(self.engine.instrument(symbol))
        self.listings[listing.inst_id] = self.by_symbol[symbol] = listing

    def listing(self, params: Params) -> Listing:
        """The instrument a query names. Raises OkxError."""
        listing = self.listings.get(str(params.get("instId")))
        if listing is None:
            raise OkxError("51001", "Instrument ID does not exist")
        return listing

    def chosen(self, params: Params) -> list[Listing]:
        """What a query means: one instrument, or all of a type, or all."""
        if params.get("instId"):
            return [self.listing(params)]
        kind = params.get("instType") or "ANY"
        return [one for one in self.listings.values() if kind in ("ANY", one.inst_type)]

    def swaps(self, params: Params) -> list[Listing]:
        return [one for one in self.chosen(params) if not one.spec.is_spot]

    def _instruments(self, params: Params) -> list[Row]:
        if not params.get("instType"):
            raise OkxError("50014", "Parameter instType can not be empty.")
        kind, chosen = params["instType"], self.chosen(params)
        return [self.instrument(one) for one in chosen if one.inst_type == kind]

    def instrument(self, listing: Listing) -> Row:
        return listing.instrument_row(self.engine.instrument_row(listing.spec.symbol)["state"])

    def mark(self, listing: Listing) -> Row:
        row = self.engine.instrument_row(listing.spec.symbol)
        now = ms(self.engine.now())
        price = str(row["markPrice"])
        return {
            "instType": listing.inst_type,
            "instId": listing.inst_id,
            "markPx": price,
            "ts": now,
        }

    def price_limit(self, listing: Listing) -> Row:
        mark = self.engine.instrument_row(listing.spec.symbol)["markPrice"]
        high, low = map(listing.grid.format, listing.price_limits(mark))
        return {
            "instType": listing.inst_type, "instId": listing.inst_id, "buyLmt": high,
            "sellLmt": low, "ts": ms(self.engine.now()), "enabled": True,
        }  # fmt: skip

    def funding(self, listing: Listing) -> Row:
        row = self.engine.instrument_row(listing.spec.symbol)
        due = ms(datetime.fromisoformat(row["fundingTimestamp"]).timestamp())
        return {
            "instType": listing.inst_type, "instId": listing.inst_id,
            "fundingRate": str(row["fundingRate"]),
            "nextFundingRate": str(row["indicativeFundingRate"]), "fundingTime": due,
            "nextFundingTime": due, "ts": ms(self.engine.now()),
        }  # fmt: skip

    def ticker(self, listing: Listing) -> Row:
        quote = self.engine.quote(listing.spec.symbol)
        row = self.engine.instrument_row(listing.spec.symbol)
        return {
            "instType": listing.inst_type, "instId": listing.inst_id,
            "last": str(row["lastPrice"]), "lastSz": "0",
            "askPx": listing.px(quote.ask_ticks), "askSz": listing.sz(quote.ask_size),
            "bidPx": listing.px(quote.bid_ticks), "bidSz": listing.sz(quote.bid_size),
            "open24h": str(row["prevPrice24h"] or ""), "high24h": str(row["highPrice"] or ""),
            "low24h": str(row["lowPrice"] or ""), "vol24h": listing.sz(row["volume24h"] or 0),
            "volCcy24h": "0", "ts": ms(self.engine.now()),
        }  # fmt: skip

    def book(self, listing: Listing, depth: int) -> Row:
        bids, asks = self.engine.book(listing.spec.symbol, depth)
        rows = {
            name: [
                [listing.px(level.price_ticks), listing.sz(level.size), "0", "1"]
                for level in levels
            ]
            for name, levels in (("asks", asks), ("bids", bids))
        }
        return {**rows, "ts": ms(self.engine.now())}

    def _trades(self, params: Params) -> list[Row]:
        listing = self.listing(params)
        recent = list(self.engine.trades(listing.spec.symbol))[-page(params, _PAGE) :]
        return [listing.trade_row(trade) for trade in reversed(recent)]

    def _candles(self, params: Params) -> list[list[str]]:
        listing, bar = self.listing(params), str(params.get("bar") or "1m")
        if bar not in _BARS:
            raise OkxError("51000", "Parameter bar error")
        return [
            [
                str(start_ms), *(str(row[name]) for name in ("open", "high", "low", "close")),
                listing.sz(row["volume"]),
                str(row["foreignNotional" if listing.spec.is_spot else "homeNotional"]),
                str(row["foreignNotional"]), str(int(has_ended)),
            ]
            for start_ms, has_ended, row in reversed(
                candles(self.engine, listing.spec.symbol, _BARS[bar], params)
            )
        ]  # fmt: skip
