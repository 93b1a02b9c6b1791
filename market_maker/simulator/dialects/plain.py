"""A plain REST exchange over the engine: no stream, no client order ids, no status of an order.

It stands for the small venues that a bot can only poll. What it takes and gives is documented in
docs/plain.md. A request that acts or tells of an account is signed: `X-Key`, `X-Time` (Unix
milliseconds) and `X-Sign`, the hex HMAC-SHA256 of time, verb, target and body. A new order is
answered with its number and nothing else; what became of it is found among the open orders and
in the history of fills, which lags.
"""

import hmac
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from market_maker.auth.plain import plain_signature
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.numbers import NotWhole, page, whole
from market_maker.simulator.dialects.order_numbers import OrderNumbers
from market_maker.simulator.events import Event, Order, OrderEvent
from market_maker.simulator.exchange import Account, Engine, Refused

API = "/plain/v1"
FILL_LAG_S = 0.5  # how long after a trade its fill shows in the history
TIMELY_S = 5.0  # a signed request that is older is refused
_PAGE = 100
_MOST_SKIPPED = 10**9  # more than there ever are
_HEADERS = ("x-key", "x-time", "x-sign")

Params = Mapping[str, Any]


class PlainError(Exception):
    """The exchange will not do it. `name` is for programs, the text for people."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


def identify(
    engine: Engine, headers: Mapping[str, str], verb: str, target: str, body: str
) -> Account | None:
    """Whose key signed the call; None for a call without one. Raises PlainError."""
    key, time_ms, signed = (headers.get(name, "") for name in _HEADERS)
    if not (key or time_ms or signed):
        return None
    account = engine.account_by_key(key)
    if account is None or not account.is_enabled:
        raise PlainError(401, "key", "The key is not known")
    expected = plain_signature(account.secret, time_ms, verb, target, body)
    if not hmac.compare_digest(expected.encode(), signed.encode()):
        raise PlainError(401, "signature", "The signature is wrong")
    now_s = engine.now() + engine.skew_s
    if not time_ms.isdecimal() or abs(int(time_ms) / 1000 - now_s) > TIMELY_S:
        raise PlainError(401, "time", f"The request is not of now: {now_s * 1000:.0f}")
    return account


class PlainRest:
    """Answers calls below /plain/v1, on Python objects."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.deliver: Callable[[list[Scoped]], None] = lambda _: None  # there is no stream
        self._numbers = OrderNumbers(engine, 1_000_001)
        self._public: dict[str, Callable[[Params], Any]] = {
            "/time": lambda _: {"time": _ms(engine.now())},
            "/markets": lambda _: [self._market(symbol) for symbol in engine.symbols()],
            "/ticker": lambda p: self._ticker(self._symbol(p)),
            "/book": lambda p: self._book(self._symbol(p), p),
            "/trades": lambda p: self._trades(self._symbol(p), p),
        }
        self._private: dict[tuple[str, str], Callable[[Account, Params], Any]] = {
            ("GET", "/orders"): self._open_orders,
            ("POST", "/orders"): self._place,
            ("DELETE", "/orders"): self._cancel_many,
            ("GET", "/fills"): self._fills,
            ("GET", "/position"): self._position,
            ("GET", "/balance"): self._balance,
        }

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call; *account* is whose key signed it."""
        params = request.body if request.verb == "POST" else request.query or {}
        try:
            if not isinstance(params, Mapping):
                raise PlainError(400, "body", "The body must be an object")
            return Answer(200, self._find(request, params, account), {})
        except PlainError as error:
            return refusal(error)
        except Refused as refused:
            return refusal(_told(refused))
        except NotWhole as wrong:
            return refusal(PlainError(400, wrong.name, str(wrong)))

    def render(self, event: Event) -> list[Scoped]:
        """Nothing is told unasked."""
        del event
        return []

    def _find(self, request: Request, params: Params, account: Account | None) -> Any:
        if request.verb == "GET" and request.path in self._public:
            return self._public[request.path](params)
        parts = request.path.strip("/").split("/")
        is_cancel = request.verb == "DELETE" and len(parts) == 2 and parts[0] == "orders"
        action = self._private.get((request.verb, request.path))
        if action is None and not is_cancel:
            raise PlainError(404, "path", "There is nothing here")
        if account is None:
            raise PlainError(401, "key", "This call must be signed")
        if request.verb != "GET" and "order" not in account.permissions:
            raise PlainError(403, "right", "The key may not trade")
        return action(account, params) if action else self._cancel(account, parts[1])

    # -- public --------------------------------------------------------------------------------

    def _symbol(self, params: Params) -> str:
        symbol = str(params.get("symbol") or "")
        if symbol not in self.engine.symbols():
            raise PlainError(404, "symbol", f"There is no market {symbol}")
        return symbol

    def _market(self, symbol: str) -> Row:
        spec, row = self.engine.instrument(symbol), self.engine.instrument_row(symbol)
        return {
            "symbol": symbol, "state": "open" if row["state"] == "Open" else "closed",
            "tick": spec.tick_size, "lot": spec.lot_size, "min_size": spec.lot_size,
            "max_size": spec.max_order_qty, "settle": spec.settle_currency,
            "inverse": spec.is_inverse, "multiplier": spec.multiplier,
            "maker_fee": spec.maker_fee, "taker_fee": spec.taker_fee,
            "initial_margin": spec.init_margin,
        }  # fmt: skip

    def _ticker(self, symbol: str) -> Row:
        quote, row = self.engine.quote(symbol), self.engine.instrument_row(symbol)
        return {
            "symbol": symbol, "bid": row["bidPrice"], "bid_size": quote.bid_size,
            "ask": row["askPrice"], "ask_size": quote.ask_size, "last": row["lastPrice"],
            "mark": row["markPrice"], "time": _ms(self.engine.now()),
        }  # fmt: skip

    def _book(self, symbol: str, params: Params) -> list[Row]:
        grid = self.engine.instrument(symbol).grid()
        bids, asks = self.engine.book(symbol, page(params, _PAGE))
        return [
            {"side": side, "price": grid.price(level.price_ticks), "size": level.size}
            for side, levels in (("sell", asks), ("buy", bids))
            for level in levels
        ]

    def _trades(self, symbol: str, params: Params) -> list[Row]:
        grid = self.engine.instrument(symbol).grid()
        recent = list(self.engine.trades(symbol))[-page(params, _PAGE) :]
        return [
            {
                "id": trade.match_id, "side": trade.side.lower(), "size": trade.qty,
                "price": grid.price(trade.price_ticks), "time": _ms(trade.time_s),
            }
            for trade in recent
        ]  # fmt: skip

    # -- orders --------------------------------------------------------------------------------

    def _number(self, order: Order) -> str:
        return str(self._numbers.of(order))

    def _open_orders(self, account: Account, params: Params) -> list[Row]:
        symbol = self._symbol(params)
        grid = self.engine.instrument(symbol).grid()
        return [
            {
                "id": self._number(order), "side": order.side.lower(), "size": order.order_qty,
                "left": order.leaves_qty, "price": grid.price(order.price_ticks or 0),
                "time": _ms(order.transact_time),
            }
            for order in self.engine.orders(account.number)
            if order.leaves_qty > 0 and order.symbol == symbol
        ]  # fmt: skip

    def _place(self, account: Account, params: Params) -> Row:
        if params.get("side") not in ("buy", "sell"):
            raise PlainError(400, "side", "A side is buy or sell")
        post_only = params.get("post_only") is True
        fields: Row = {
            "symbol": self._symbol(params),
            "side": str(params["side"]).capitalize(),
            "orderQty": params.get("size"),
            "execInst": "ParticipateDoNotInitiate" if post_only else "",
        }
        if params.get("price") is not None:
            fields["price"] = params["price"]
        order = self.engine.place(account.number, fields)
        if post_only and order.ord_status == "Canceled":
            raise PlainError(400, "would_take", "A post-only order would take")
        return {"id": self._number(order)}

    def _cancel(self, account: Account, number: str) -> Row:
        orders = self.engine.orders(account.number)
        found = next((o for o in orders if self._number(o) == number), None)
        if found is None or found.leaves_qty <= 0:
            raise PlainError(404, "order", "No such open order")
        self.engine.cancel(account.number, [found.order_id])
        return {"id": number}

    def _cancel_many(self, account: Account, params: Params) -> Row:
        symbol, side = self._symbol(params), str(params.get("side") or "").capitalize()
        ids = [
            order.order_id
            for order in self.engine.orders(account.number)
            if order.leaves_qty > 0 and order.symbol == symbol and side in ("", order.side)
        ]
        self.engine.cancel(account.number, ids)
        return {"cancelled": len(ids)}

    # -- the account ---------------------------------------------------------------------------

    def _fills(self, account: Account, params: Params) -> list[Row]:
        """Fills from the time `since` on, oldest first, a page at a time."""
        symbol, since = self._symbol(params), whole(params, "since")
        seen_by_s = self.engine.now() - FILL_LAG_S
        found = (
            event
            for event in self.engine.executions(account.number)
            if event.fill and event.exec_type == "Trade" and event.order.symbol == symbol
            and _ms(event.time_s) >= since and event.time_s <= seen_by_s
        )  # fmt: skip
        start = min(max(0, whole(params, "skip")), _MOST_SKIPPED)
        return [self._fill(event) for event in islice(found, start, start + _PAGE)]

    def _fill(self, event: OrderEvent) -> Row:
        fill, grid = event.fill, self.engine.instrument(event.order.symbol).grid()
        assert fill is not None
        return {
            "id": fill.exec_id, "order": self._number(event.order),
            "side": event.order.side.lower(), "price": grid.price(fill.price_ticks),
            "size": fill.qty, "maker": fill.is_maker, "fee": fill.comm_sat,
            "time": _ms(event.time_s),
        }  # fmt: skip

    def _position(self, account: Account, params: Params) -> Row:
        row = self.engine.position_row(account.number, self._symbol(params))
        return {
            "size": row["currentQty"], "entry_price": row["avgEntryPrice"],
            "cost_price": row["avgCostPrice"], "mark_price": row["markPrice"],
            "value": row["markValue"], "home": row["homeNotional"],
            "unrealised": row["unrealisedPnl"], "realised": row["realisedPnl"],
            "liquidation_price": row["liquidationPrice"], "time": _ms(self.engine.now()),
        }  # fmt: skip

    def _balance(self, account: Account, params: Params) -> Row:
        currency = self.engine.instrument(self._symbol(params)).settle_currency
        row = self.engine.margin_row(account.number, currency)
        return {
            "currency": currency, "wallet": row["walletBalance"],
            "equity": row["marginBalance"], "available": row["availableMargin"],
            "orders": row["initMargin"], "time": _ms(self.engine.now()),
        }  # fmt: skip


def refusal(error: PlainError) -> Answer:
    body = {"error": {"name": error.name, "message": error.message}}
    return Answer(error.status, body, {})


def _told(refused: Refused) -> PlainError:
    words = refused.message
    if words.startswith("Account has insufficient"):
        return PlainError(400, "funds", words)
    if words.startswith("Market is not open"):
        return PlainError(400, "closed", words)
    return PlainError(400, "order", words)


def _ms(time_s: float) -> int:
    return round(time_s * 1000)
