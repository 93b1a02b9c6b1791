"""Orders in Binance's words, and what its answers to them mean."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.binance_rows import SpotMarket
from market_maker.exchanges.throttle import retry_after_s
from market_maker.model.rows import LATE_AMEND, LIFETIMES, NO_FUNDS, POST_ONLY, WOULD_TAKE, Row
from market_maker.model.wire import Answer

# What the codes mean to the bot (Binance spot error codes).
_UNDECIDED = {-1000, -1001, -1006, -1007, -1016}  # the outcome is not known
_TURNED_AWAY = {-1003, -1008, -1015}  # too many requests or orders: it was not looked at
_LATE = {-1021, -1034}  # outside recvWindow: it was not acted on
_KEY_REFUSED = {-1002, -1022, -2014, -2015}
CLOCK = -1021
GONE = -2011  # a cancel of what is no longer there, or may not be cancelled
NOT_FOUND = {-2013, -2026}
FILTER = -1013
REPLACED_PARTLY, NOT_REPLACED = -2021, -2022
_WORDS = (  # the message of a -2010 or -2011 tells what it is about
    ("would immediately match", WOULD_TAKE),
    ("insufficient balance", NO_FUNDS),
    ("Duplicate order sent", "Duplicate clOrdID"),
    ("Unknown order sent", "Unable to cancel order"),
)
RESTRICTED = "cancel restrictions"
_PAUSE_S = 1.0


def order_params(order: Row, market: SpotMarket, wire_id: str, qty: Decimal) -> dict[str, str]:
    """The parameters that create *order* under *wire_id*; raises ValueError where a filter of
    the symbol refuses it."""
    size = float(order.get("orderQty") or 0)
    side = str(order.get("side") or ("Sell" if size < 0 else "Buy"))
    at = None if order.get("price") is None else market.price(order["price"])
    objection = market.objection(qty, at)
    if objection:
        raise ValueError(objection)
    wire = {"symbol": market.symbol, "side": side.upper(), "newClientOrderId": wire_id}
    wire |= {"quantity": f"{qty:f}", "newOrderRespType": "RESULT"}
    lifetime = LIFETIMES.get(str(order.get("timeInForce")))
    if at is None:
        return wire | {"type": "MARKET"}
    wire["price"] = f"{at:f}"
    if POST_ONLY in str(order.get("execInst") or "") and lifetime is None:
        return wire | {"type": "LIMIT_MAKER"}
    return wire | {"type": "LIMIT", "timeInForce": lifetime or "GTC"}


def code_of(answer: Answer) -> int:
    """The venue's own code of a refusal; 0 where there is none."""
    code = answer.body.get("code") if isinstance(answer.body, Mapping) else None
    return code if isinstance(code, int) else 0


def words_of(answer: Answer) -> str:
    """The venue's words in a refusal, or a phrase for what came instead."""
    text = str(answer.body.get("msg") or "") if isinstance(answer.body, Mapping) else ""
    return f"{text} ({code_of(answer)})" if text else answer.error or f"HTTP {answer.status}"


def part(answer: Answer, name: str) -> Mapping[str, Any]:
    """One of the two sub-results of a cancelReplace."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    data = body.get("data") if isinstance(body.get("data"), Mapping) else body
    found = (data or {}).get(name)
    return found if isinstance(found, Mapping) else {}


def is_yes(answer: Answer) -> bool:
    return answer.status == 200 and isinstance(answer.body, Mapping) and not code_of(answer)


def refusal(answer: Answer, row: Row | None = None) -> Result:
    """What an answer that is no yes lets us conclude."""
    code, row = code_of(answer), row or {}
    words = _face(words_of(answer))
    if not answer.sent:
        return Result(Status.NOT_SENT, {}, answer.error, answer)
    if answer.status in (418, 429) or code in _TURNED_AWAY:
        wait_s = retry_after_s(answer.headers)
        return Result(Status.NOT_SENT, {}, words, answer, _PAUSE_S if wait_s is None else wait_s)
    if code in _KEY_REFUSED or (answer.status == 401 and not answer.is_page):
        return Result(Status.REJECTED, {}, words, answer._replace(status=401))
    if answer.status == 403:  # the web application firewall, which no key has angered
        return Result(Status.NOT_SENT, {}, words, answer._replace(status=429), 60 * _PAUSE_S)
    if answer.status == 0 or answer.status >= 500 or code in _UNDECIDED or not code:
        return Result(Status.UNKNOWN, {}, words, answer)
    if code in _LATE:
        return Result(Status.NOT_SENT, {}, words, answer)
    if words == WOULD_TAKE:
        row = {**row, "ordStatus": "Canceled", "text": words}
    return Result(Status.REJECTED, row, words, answer._replace(status=400))


def sub_refusal(told: Mapping[str, Any], answer: Answer) -> Result:
    """The same of one sub-result of a cancelReplace."""
    return refusal(answer._replace(body=dict(told), status=400))


def gone(result: Result) -> Result:
    """The refusal of an amend as old strategies know it."""
    if result.text == "Unable to cancel order":
        return result._replace(text=LATE_AMEND)
    return result


def _face(words: str) -> str:
    return next((face for known, face in _WORDS if known in words), words)
