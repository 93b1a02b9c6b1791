"""Orders in OKX's words, and what its answers to them mean."""

from collections.abc import Mapping
from typing import Any

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.okx_rows import Market
from market_maker.model.rows import LATE_AMEND, LIFETIMES, NO_FUNDS, POST_ONLY, Row
from market_maker.model.wire import Answer

MAX_BATCH = 20

# What the codes mean to the bot (OKX v5 error codes; the legacy faces are BitMEX's).
_TURNED_AWAY = {"50011", "50061"}  # too many requests: it was not looked at
_UNDECIDED = {"50001", "50004", "50005", "50013", "50026"}
_KEY_REFUSED = {"50100", "50101", "50103", "50104", "50105", "50110", "50111", "50113", "50114"}
_GONE = {"51400", "51401", "51402", "51410", "51603"}  # a cancel of what is no longer there
_TEXTS = {
    **dict.fromkeys(("51503", "51509", "51510"), LATE_AMEND),
    **dict.fromkeys(_GONE, "Unable to cancel order"),
    "51016": "Duplicate clOrdID",
    "51008": NO_FUNDS,
}


def new_order(order: Row, market: Market, ids: ClientIds, trade_mode: str) -> dict[str, Any]:
    """The parameters that create *order*; raises ValueError for an id that does not fit."""
    rules = str(order.get("execInst") or "")
    qty = float(order["orderQty"])
    side = str(order.get("side") or ("Sell" if qty < 0 else "Buy"))
    lifetime = LIFETIMES.get(str(order.get("timeInForce")), "limit").lower()
    wire: dict[str, Any] = {
        "instId": market.inst_id,
        "tdMode": trade_mode,
        "side": side.lower(),
        "ordType": "post_only" if POST_ONLY in rules else lifetime,
        "sz": market.sz(qty),
        "clOrdId": ids.encode(str(order["clOrdID"])),
        "tag": ids.tag,
    }
    if order.get("price") is None:
        wire["ordType"] = "market"
        if market.is_spot:
            wire["tgtCcy"] = "base_ccy"
    else:
        wire["px"] = market.px(order["price"])
    if "ReduceOnly" in rules or "Close" in rules:
        wire["reduceOnly"] = "true"
    return wire


def changed_order(change: Row, market: Market) -> dict[str, Any]:
    """The parameters of an amend. A new size is the total, what is filled included."""
    wire = {"instId": market.inst_id, "ordId": str(change["orderID"])}
    if change.get("orderQty") is not None:
        wire["newSz"] = market.sz(change["orderQty"])
    if change.get("price") is not None:
        wire["newPx"] = market.px(change["price"])
    return wire


def placed_row(order: Row, order_id: str) -> Row:
    """What we know of an order that was only acknowledged: the answer has no state or price."""
    qty = abs(order["orderQty"])
    side = order.get("side") or ("Sell" if order["orderQty"] < 0 else "Buy")
    return {
        **order, "orderID": order_id, "side": side, "orderQty": qty, "leavesQty": qty,
        "cumQty": 0, "ordStatus": "New", "ordType": "Limit" if order.get("price") else "Market",
    }  # fmt: skip


def results(answer: Answer, count: int, done: Status) -> list[Result]:
    """One result for each of *count* orders; *done* is what an item's yes amounts to.

    A yes to a new order proves it (OK); a yes to an amend or a cancel only promises.
    """
    body = answer.body if isinstance(answer.body, Mapping) else {}
    items, code = items_of(answer), str(body.get("code", ""))
    is_told = answer.status == 200 and code in ("0", "1", "2")
    if is_told and len(items) == count:
        return [_item(item, answer, done) for item in items]
    return [_whole(answer, code, str(body.get("msg") or ""))] * count


def items_of(answer: Answer) -> list[Mapping[str, Any]]:
    """What an answer tells of each order; nothing where it holds something else."""
    items = answer.body.get("data") if isinstance(answer.body, Mapping) else None
    are_told = isinstance(items, list) and all(isinstance(item, Mapping) for item in items)
    return items if are_told else []  # type: ignore[return-value]  # a list, as just asked


def _item(item: Mapping[str, Any], answer: Answer, done: Status) -> Result:
    code, text = str(item.get("sCode", "")), str(item.get("sMsg") or "")
    row = {"orderID": str(item.get("ordId") or "")}
    if code == "0":
        return Result(done, row, "", answer)
    return _refusal(code, text, answer)


def _whole(answer: Answer, code: str, text: str) -> Result:
    """An answer that tells of no single order."""
    if not answer.sent:
        return Result(Status.NOT_SENT, {}, answer.error, answer)
    if answer.refuses_key:
        refused = answer._replace(status=401)
        return Result(
            Status.REJECTED, {}, f"{text} ({code})" if text else f"HTTP {answer.status}", refused
        )
    if answer.status == 429:
        return Result(Status.NOT_SENT, {}, text or f"HTTP {answer.status}", answer, 1.0)
    if answer.status == 0 or answer.status >= 500 or not code or code in ("0", "2"):
        return Result(Status.UNKNOWN, {}, text or answer.error or "no usable answer", answer)
    return _refusal(code, text, answer)


def _refusal(code: str, text: str, answer: Answer) -> Result:
    words = _TEXTS.get(code) or f"{text} ({code})"
    if code in _TURNED_AWAY:
        return Result(Status.NOT_SENT, {}, words, answer, 1.0)
    if code in _UNDECIDED:
        return Result(Status.UNKNOWN, {}, words, answer)
    if code in _KEY_REFUSED:
        return Result(Status.REJECTED, {}, words, answer._replace(status=401))
    return Result(Status.REJECTED, {}, words, answer)
