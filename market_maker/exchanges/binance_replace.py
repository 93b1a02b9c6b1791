"""Changing an order where the venue can only replace it, as one order of the bot throughout.

An order that has not traded is cancelled and entered anew in one request, which is refused if it
has traded meanwhile (`ONLY_NEW`): else its fills would come on top of the new size. One that has
traded goes in steps: cancel, see how much it filled in the end, enter the rest. The new one is
never entered before the old one is known to be gone.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.binance_calls import Call
from market_maker.exchanges.binance_orders import (
    NOT_REPLACED,
    REPLACED_PARTLY,
    RESTRICTED,
    code_of,
    gone,
    is_yes,
    order_params,
    part,
    refusal,
    sub_refusal,
)
from market_maker.exchanges.binance_rows import SpotMarket, is_dead, order_row, report
from market_maker.exchanges.binance_tables import BinanceTables
from market_maker.exchanges.chains import Chains
from market_maker.exchanges.okx_rows import decimal
from market_maker.model.rows import LATE_AMEND, Row
from market_maker.model.wire import Answer


class _Step(NamedTuple):
    """One change on its way."""

    order_id: str
    old_id: str
    new_id: str
    wanted: Row  # the order as it shall be
    total: Decimal  # its whole size, what is filled included


class Replacer:
    """Carries out amends. *send* sends calls and returns their answers."""

    def __init__(
        self, send: Callable[[Sequence[Call]], list[Answer]], tables: BinanceTables, chains: Chains
    ) -> None:
        self._send, self._tables, self._chains = send, tables, chains

    @property
    def _market(self) -> SpotMarket:
        return self._tables.market

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        """One result for each change, in order."""
        done: dict[int, Result] = {}
        steps: list[tuple[int, _Step]] = []
        for number, change in enumerate(changes):
            try:
                steps.append((number, self._step(change)))
            except ValueError as error:
                done[number] = Result(Status.REJECTED, {}, str(error))
        whole = [(n, step) for n, step in steps if not self._chains.filled(step.order_id)[1]]
        calls = [self._replace_call(step) for _, step in whole]
        answers = self._send(calls) if calls else []
        for (number, step), answer in zip(whole, answers, strict=True):
            result = self._replaced(step, answer)
            if result is not None:
                done[number] = result
        for number, step in steps:
            if number not in done:
                done[number] = self._in_steps(step)
        return [done[number] for number in range(len(changes))]

    def _step(self, change: Row) -> _Step:
        """Raises ValueError for a change that cannot be asked for."""
        order_id = str(change["orderID"])
        raw = self._chains.last(order_id)
        if raw is None or is_dead(raw):
            raise ValueError(LATE_AMEND)
        before = self._chains.filled(order_id)[0] - decimal(raw.get("executedQty"))
        known = order_row(raw, self._market, order_id, "", before)
        wanted = {**known, **{name: v for name, v in change.items() if v is not None}}
        total = self._market.qty(wanted["orderQty"])
        rest = total - self._chains.filled(order_id)[0]
        order_params(wanted, self._market, "", rest)  # the filters are met before anything is sent
        old_id = self._chains.ids(order_id)[-1]
        new_id = self._chains.begin_replace(order_id)
        return _Step(order_id, old_id, new_id, wanted, total)

    def _new(self, step: _Step, qty: Decimal) -> dict[str, str]:
        return order_params(step.wanted, self._market, step.new_id, qty)

    def _replace_call(self, step: _Step) -> Call:
        params = self._new(step, step.total - self._chains.filled(step.order_id)[0])
        params |= {
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelRestrictions": "ONLY_NEW",
            "cancelOrigClientOrderId": step.old_id,
        }
        return Call("order.cancelReplace", params)

    def _replaced(self, step: _Step, answer: Answer) -> Result | None:
        """What became of a cancelReplace; None where it must go in steps. Both parts are read."""
        if is_yes(answer):
            return self._entered(part(answer, "newOrderResponse"), answer)
        code = code_of(answer)
        if code == REPLACED_PARTLY:  # the old one is gone and the new one was refused
            self._chains.read(report(part(answer, "cancelResponse")))
            return self._ended(step, sub_refusal(part(answer, "newOrderResponse"), answer))
        if code == NOT_REPLACED:
            told = part(answer, "cancelResponse")
            if RESTRICTED in str(told.get("msg")):
                return None
            return self._ended(step, gone(sub_refusal(told, answer)))
        judged = refusal(answer)
        if judged.status is Status.UNKNOWN:
            return judged  # either may be live: the ids of both are kept
        return self._ended(step, gone(judged))

    def _in_steps(self, step: _Step) -> Result:
        params = {"symbol": self._market.symbol, "origClientOrderId": step.old_id}
        (answer,) = self._send([Call("order.cancel", params)])
        if not is_yes(answer):
            return self._ended(step, gone(refusal(answer)))
        self._chains.read(report(answer.body))  # held: the replace is on its way
        before = self._chains.filled(step.order_id)[0]
        rest = step.total - before
        try:
            if rest <= 0:
                raise ValueError("all of it was filled")
            call = Call("order.place", self._new(step, rest))
        except ValueError as error:  # what is left is too little for an order of its own
            return self._ended(step, Result(Status.REJECTED, {}, str(error)))
        (answer,) = self._send([call])
        if is_yes(answer):
            return self._entered(answer.body, answer)
        judged = refusal(answer)
        return judged if judged.status is Status.UNKNOWN else self._ended(step, judged)

    def _entered(self, raw: Mapping[str, Any], answer: Answer) -> Result:
        row = self._tables.order_row(raw)
        if row is None:
            return Result(Status.UNKNOWN, {}, "an answer that tells of another order", answer)
        return Result(Status.OK, row, "", answer)

    def _ended(self, step: _Step, result: Result) -> Result:
        """The replace came to nothing: the order is as it was, or gone."""
        reading = self._chains.end_replace(step.order_id)
        if reading is None:
            return result
        row = {**step.wanted, **self._tables.row_of(reading)}
        row["text"] = result.text or row["text"]
        status = Status.REJECTED if result.status is Status.NOT_SENT else result.status
        return result._replace(row=row, status=status, retry_after_s=None)
