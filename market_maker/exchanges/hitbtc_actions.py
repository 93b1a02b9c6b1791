"""What the bot does to orders at HitBTC: place, replace, cancel, each through its ids."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.chains import Chains, Reading
from market_maker.exchanges.hitbtc_orders import (
    CANCEL,
    NEW,
    REPLACE,
    Call,
    new_order,
    outcome,
    refusal,
)
from market_maker.exchanges.hitbtc_rows import Market
from market_maker.exchanges.hitbtc_tables import HitbtcTables
from market_maker.exchanges.okx_rows import decimal
from market_maker.model.rows import LATE_AMEND, WOULD_TAKE, Row
from market_maker.model.wire import Answer


class Actions:
    """The actions of one connector. `ask` sends requests and gives an answer for each."""

    def __init__(self, tables: HitbtcTables, ask: Callable[[Sequence[Call]], list[Answer]]) -> None:
        self.tables = tables
        self.chains: Chains = tables.chains
        self.market: Market = tables.market
        self._ask = ask

    def place(self, orders: Sequence[Row]) -> list[Result]:
        calls, results = {}, {}
        for number, order in enumerate(orders):
            try:
                wire_id = self.chains.first_id(str(order["clOrdID"]))
            except ValueError as error:
                results[number] = Result(Status.REJECTED, {}, str(error))
                continue
            params = new_order(order, self.market, wire_id)
            calls[number] = Call(NEW, params, self.chains.order_id(wire_id))
        answers = self._ask(list(calls.values()))
        for (number, call), answer in zip(calls.items(), answers, strict=True):
            results[number] = self._placed(call, answer)
        return [results[number] for number in range(len(orders))]

    def _placed(self, call: Call, answer: Answer) -> Result:
        if outcome(answer)[0] is not Status.OK:
            return refusal(call.method, answer)
        row = self.row(self.chains.read(answer.body), answer.body)
        if row["ordStatus"] == "Canceled" and row["execInst"] and not row["cumQty"]:
            row["text"] = WOULD_TAKE
        return Result(Status.OK, row, row["text"], answer)

    def row(self, reading: Reading | None, raw: Mapping[str, Any]) -> Row:
        """The order as the report *raw* leaves it."""
        if reading is None:  # a later id of the order has been read already
            order_id = self.chains.order_id(str(raw["client_order_id"]))
            before = self.chains.filled(order_id)[0]
            reading = Reading(order_id, self.chains.last(order_id) or raw, before)
        return self.tables.row_of(reading)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        """Replace what is unfilled; cancel and enter anew what is filled in part."""
        results: dict[int, Result] = {}
        replaces: dict[int, Call] = {}
        partly: dict[int, Row] = {}
        for number, change in enumerate(changes):
            order_id = str(change["orderID"])
            raw, (filled, _) = self.chains.last(order_id), self.chains.filled(order_id)
            if raw is None:
                results[number] = Result(Status.REJECTED, {}, LATE_AMEND)
            elif filled:
                partly[number] = change
            else:
                replaces[number] = self._replace(order_id, change, raw)
        answers = self._ask(list(replaces.values()))
        for (number, call), answer in zip(replaces.items(), answers, strict=True):
            results[number] = self._replaced(call, answer)
        results.update(self._enter_anew(partly))
        return [results[number] for number in range(len(changes))]

    def _replace(self, order_id: str, change: Row, raw: Mapping[str, Any]) -> Call:
        old_id = self.chains.ids(order_id)[-1]
        params = {
            "client_order_id": old_id,
            "new_client_order_id": self.chains.begin_replace(order_id),
            "quantity": self._wanted_quantity(change, raw, Decimal(0)),
            "price": self._wanted_price(change, raw),
            "strict_validate": True,
        }
        return Call(REPLACE, params, order_id)

    def _replaced(self, call: Call, answer: Answer) -> Result:
        status, *_ = outcome(answer)
        if status is Status.OK:
            return Result(status, self.row(self.chains.read(answer.body), answer.body), "", answer)
        result = refusal(call.method, answer)
        if status is Status.UNKNOWN:
            return result
        ended = self.chains.end_replace(call.order_id)
        return result if ended is None else result._replace(row=self.tables.row_of(ended))

    def _enter_anew(self, changes: Mapping[int, Row]) -> dict[int, Result]:
        """Cancel, see what was filled, and enter what is left of it under the next id."""
        cancels, results, calls = {}, {}, {}
        for number, change in changes.items():
            order_id = str(change["orderID"])
            params = {"client_order_id": self.chains.ids(order_id)[-1]}
            self.chains.begin_replace(order_id)
            cancels[number] = Call(CANCEL, params, order_id)
        answers = self._ask(list(cancels.values()))
        for (number, cancel), answer in zip(cancels.items(), answers, strict=True):
            status, *_ = outcome(answer)
            if status is Status.OK:
                self.chains.read(answer.body)
                call = self._remainder(cancel.order_id, changes[number], answer.body)
                if call is not None:
                    calls[number] = call
                    continue
            results[number] = (
                self._replaced(cancel, answer)
                if status is not Status.OK
                else (self._nothing_left(cancel.order_id, answer))
            )
        answers = self._ask(list(calls.values()))
        for (number, call), answer in zip(calls.items(), answers, strict=True):
            results[number] = self._replaced(call, answer)
        return results

    def _remainder(self, order_id: str, change: Row, raw: Mapping[str, Any]) -> Call | None:
        filled, _ = self.chains.filled(order_id)
        quantity = self._wanted_quantity(change, raw, filled)
        if not decimal(quantity) > 0:
            return None
        params = {
            "client_order_id": self.chains.ids(order_id)[0],
            "symbol": self.market.name,
            "side": raw["side"],
            "type": "limit",
            "time_in_force": raw.get("time_in_force") or "GTC",
            "quantity": quantity,
            "price": self._wanted_price(change, raw),
            "strict_validate": True,
        }
        return Call(NEW, params | ({"post_only": True} if raw.get("post_only") else {}), order_id)

    def _nothing_left(self, order_id: str, answer: Answer) -> Result:
        ended = self.chains.end_replace(order_id)
        row = self.row(ended, answer.body)
        return Result(Status.OK, row, "", answer)

    def _wanted_quantity(self, change: Row, raw: Mapping[str, Any], filled: Decimal) -> str:
        """What is to rest: BitMEX's total less what is filled."""
        if change.get("orderQty") is None:
            return str(raw["quantity"])
        left = decimal(str(change["orderQty"])) - filled
        return self.market.quantity(left) if left > 0 else "0"

    def _wanted_price(self, change: Row, raw: Mapping[str, Any]) -> str:
        return str(raw["price"]) if change.get("price") is None else self.market.px(change["price"])

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        """Cancel under every id that the order may have by now."""
        calls = [
            Call(CANCEL, {"client_order_id": wire_id}, order_id)
            for order_id in order_ids
            for wire_id in self.chains.ids(order_id)
        ]
        answers: dict[str, list[Answer]] = {}
        for call, answer in zip(calls, self._ask(calls), strict=True):
            answers.setdefault(call.order_id, []).append(answer)
        return [self._cancelled(order_id, answers[order_id]) for order_id in order_ids]

    def _cancelled(self, order_id: str, answers: Sequence[Answer]) -> Result:
        done = [a for a in answers if outcome(a)[0] is Status.OK]
        refused = [refusal(CANCEL, a) for a in answers if a not in done]
        doubts = [r for r in refused if r.status is not Status.REJECTED]
        if doubts:
            return doubts[0]
        if not done:
            return refused[0]
        reading = self.chains.read(done[0].body)
        ended = self.chains.end_replace(order_id) or reading
        row = self.row(ended, done[0].body)
        return Result(Status.OK, row, "", done[0])
