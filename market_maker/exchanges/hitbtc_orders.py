"""Orders in HitBTC's words, and what its answers to them mean."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from market_maker.exchanges.approval import side_of
from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.hitbtc_rows import Market
from market_maker.model.rows import LATE_AMEND, LIFETIMES, NO_FUNDS, POST_ONLY, Row
from market_maker.model.wire import Answer, Request

API = "/api/3"
NEW, REPLACE, CANCEL = "spot_new_order", "spot_replace_order", "spot_cancel_order"

# What the codes mean to the bot (HitBTC v3 errors; the legacy faces are BitMEX's).
_TURNED_AWAY = {429}  # too many requests: it was not looked at
_UNDECIDED = {500, 502, 503, 504}
_KEY_REFUSED = {403, 1001, 1002, 1003, 1004, 1005}
NO_SUCH_ORDER, DUPLICATE = 20002, 20008
_TEXTS = {
    20001: NO_FUNDS,
    20008: "Duplicate clOrdID",
    2010: "Invalid orderQty",
    2011: "Invalid orderQty",
    2012: "Invalid orderQty",
    2020: "Invalid price",
    2021: "Invalid price",
    2022: "Invalid price",
    20045: "Invalid orderQty",
}
OFF_GRID = frozenset({2010, 2011, 2012, 2020, 2021, 2022, 20045})  # of a size or a price
_GONE = {CANCEL: "Unable to cancel order"}


class Call(NamedTuple):
    """One order request; `order_id` is the bot's name for the order."""

    method: str
    params: dict[str, Any]
    order_id: str

    def over_rest(self) -> Request:
        """The same request for REST, where orders are addressed by client order id too."""
        if self.method == NEW:
            return Request("POST", f"{API}/spot/order", None, self.params)
        rest = dict(self.params)
        path = f"{API}/spot/order/{rest.pop('client_order_id')}"
        if self.method == REPLACE:
            return Request("PATCH", path, None, rest)
        return Request("DELETE", path)


def new_order(order: Row, market: Market, wire_id: str) -> dict[str, Any]:
    """The parameters that create *order* under *wire_id*."""
    wire: dict[str, Any] = {
        "client_order_id": wire_id,
        "symbol": market.name,
        "side": side_of(order).lower(),
        "type": "market" if order.get("price") is None else "limit",
        "time_in_force": LIFETIMES.get(str(order.get("timeInForce")), "GTC"),
        "quantity": market.quantity(order["orderQty"]),
        "strict_validate": True,
    }
    if order.get("price") is not None:
        wire["price"] = market.px(order["price"])
    if POST_ONLY in str(order.get("execInst") or ""):
        wire["post_only"] = True
    return wire


def outcome(answer: Answer) -> tuple[Status, str, int]:
    """What an answer to an order request amounts to: status, words, the venue's code."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    error = body.get("error")
    if not isinstance(error, Mapping):
        return _without_error(answer, body)
    code = int(error.get("code") or 0)
    words = _TEXTS.get(code) or f"{error.get('message') or 'refused'} ({code})"
    if code in _TURNED_AWAY:
        return Status.NOT_SENT, words, code
    # A duplicate means that the id is there: only a query tells as what.
    if code in _UNDECIDED or code == DUPLICATE or not code:
        return Status.UNKNOWN, words, code
    return Status.REJECTED, words, code


def _without_error(answer: Answer, body: Mapping[str, Any]) -> tuple[Status, str, int]:
    if not answer.sent:
        return Status.NOT_SENT, answer.error, 0
    if answer.status == 200 and body.get("client_order_id"):
        return Status.OK, "", 0
    if answer.status == 429:
        return Status.NOT_SENT, "too many requests", 429
    if answer.refuses_key:
        return Status.REJECTED, f"HTTP {answer.status}", 403
    return Status.UNKNOWN, answer.error or f"HTTP {answer.status} without a readable answer", 0


def refusal(method: str, answer: Answer) -> Result:
    """The result of a request that was not done."""
    status, words, code = outcome(answer)
    if code == NO_SUCH_ORDER:
        words = _GONE.get(method, LATE_AMEND)
    if code in _KEY_REFUSED:
        return Result(Status.REJECTED, {}, words, answer._replace(status=401))
    retry_s = 1.0 if code in _TURNED_AWAY else None
    return Result(status, {}, words, answer, retry_s)
