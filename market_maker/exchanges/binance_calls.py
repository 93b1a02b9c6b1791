"""Binance's requests by one name each, over either of its two ways: REST, or a WebSocket that
wraps the same requests. Which way an adapter takes changes nothing else.

An answer's body is the result, or `{"code", "msg", ...}` of a refusal; its headers tell what is
left of the limits in the words the rate budget knows.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from market_maker.auth.binance import BinanceSigner
from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request, Transport

logger = logging.getLogger("root")

API = "/api/v3"
ROUTES = {
    "time": ("GET", "/time"),
    "exchangeInfo": ("GET", "/exchangeInfo"),
    "ticker.book": ("GET", "/ticker/bookTicker"),
    "trades.recent": ("GET", "/trades"),
    "klines": ("GET", "/klines"),
    "account.status": ("GET", "/account"),
    "order.place": ("POST", "/order"),
    "order.cancel": ("DELETE", "/order"),
    "order.cancelReplace": ("POST", "/order/cancelReplace"),
    "order.status": ("GET", "/order"),
    "openOrders.status": ("GET", "/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/openOrders"),
    "myTrades": ("GET", "/myTrades"),
}
PUBLIC = frozenset({"time", "exchangeInfo", "ticker.book", "trades.recent", "klines"})
_LOST = Answer(0, None, {}, sent=True, error="the stream was lost")
_LATE = Answer(0, None, {}, sent=True, error="timed out")
_UNSENT = Answer(0, None, {}, sent=False, error="the stream is not connected")


class Call(NamedTuple):
    """One request by the WebSocket API's name of it."""

    method: str
    params: Mapping[str, str] = {}


class Limits:
    """What may still be asked: orders in ten seconds, weight in a minute."""

    def __init__(self) -> None:
        self.orders, self.weight = 50, 6000

    def read(self, rate_limits: Sequence[Mapping[str, Any]]) -> None:
        """Take over what exchangeInfo says."""
        for row in rate_limits:
            if row.get("rateLimitType") == "ORDERS" and row.get("interval") == "SECOND":
                self.orders = int(row["limit"])
            elif row.get("rateLimitType") == "REQUEST_WEIGHT" and row.get("interval") == "MINUTE":
                self.weight = int(row["limit"])

    def headers(self, orders: str | None, weight: str | None) -> dict[str, str]:
        """What is left, as the rate budget reads it, by the counts of an answer."""
        left = []
        if orders is not None and orders.isdigit():
            left.append(self.orders - int(orders))
        if weight is not None and weight.isdigit():
            left.append(self.weight - int(weight))
        return {"x-ratelimit-remaining": str(max(0, min(left)))} if left else {}


class RestCalls:
    """Over REST."""

    def __init__(self, transport: Transport, signer: BinanceSigner, limits: Limits) -> None:
        self._transport, self._signer, self._limits = transport, signer, limits

    def send(self, calls: Sequence[Call]) -> list[Answer]:
        """All at the same time; one answer each, in order."""
        return [self._told(a) for a in self._transport.send([self._request(c) for c in calls])]

    def close(self) -> None:
        self._transport.close()

    def _request(self, call: Call) -> Request:
        verb, path = ROUTES[call.method]
        query = call.params if call.method in PUBLIC else self._signer.query(call.params)
        return Request(verb, API + path, dict(query))

    def _told(self, answer: Answer) -> Answer:
        told = answer.headers
        left = self._limits.headers(
            told.get("x-mbx-order-count-10s"), told.get("x-mbx-used-weight-1m")
        )
        return answer._replace(headers={**told, **left})


def new_number() -> str:
    """An id for a request that nobody guesses."""
    return secrets.token_hex(12)


class FrameCalls:
    """Over the WebSocket API. Answers come by the receive thread through `reply`."""

    def __init__(
        self,
        send: Callable[[Mapping[str, Any]], None],
        signer: BinanceSigner,
        limits: Limits,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._send, self._signer, self._limits = send, signer, limits
        self._clock, self._timeout_s = clock, timeout_s
        self._waiting: dict[str, _Waiting] = {}

    def send(self, calls: Sequence[Call]) -> list[Answer] | None:
        """Send all, then wait for all. None when no byte of any was sent."""
        waiting = [self._ask(call) for call in calls]
        if not any(asked.was_sent for asked in waiting):
            return None
        until_s = self._clock.monotonic() + self._timeout_s
        for asked in waiting:
            if asked.was_sent:
                self._clock.wait(asked.has_come, until_s - self._clock.monotonic())
            self._waiting.pop(asked.number, None)
        return [asked.answer or _LATE for asked in waiting]

    def tell(self, number: str, method: str, params: Mapping[str, Any]) -> None:
        """Send a signed request that nobody waits for; its answer will bear *number*."""
        self._send({"id": number, "method": method, "params": self._signer.frame(params)})

    def reply(self, message: Mapping[str, Any]) -> bool:
        """An answer came; a late, repeated or foreign one changes nothing. False: not ours."""
        asked = self._waiting.get(str(message.get("id")))
        if asked is None or asked.answer is not None:
            return False
        asked.answer = self._read(message)
        asked.has_come.set()
        return True

    def lost(self) -> None:
        """The connection is gone: what had no answer by now will have none."""
        for asked in list(self._waiting.values()):
            if asked.answer is None:
                asked.answer = _LOST
                asked.has_come.set()

    def _ask(self, call: Call) -> "_Waiting":
        asked = _Waiting(new_number())
        params = call.params if call.method in PUBLIC else self._signer.frame(call.params)
        self._waiting[asked.number] = asked
        frame = {"id": asked.number, "method": call.method, "params": dict(params)}
        try:
            self._send(frame)
        except ConnectionError:
            asked.was_sent, asked.answer = False, _UNSENT
        return asked

    def _read(self, message: Mapping[str, Any]) -> Answer:
        counts = {
            row.get("rateLimitType"): str(row.get("count"))
            for row in message.get("rateLimits") or ()
            if (row.get("rateLimitType"), row.get("interval"))
            in (("ORDERS", "SECOND"), ("REQUEST_WEIGHT", "MINUTE"))
        }
        headers = self._limits.headers(counts.get("ORDERS"), counts.get("REQUEST_WEIGHT"))
        error = message.get("error")
        status = message.get("status")
        if not isinstance(status, int):
            return Answer(0, None, headers, sent=True, error="an answer without a status")
        if not isinstance(error, Mapping):
            return Answer(status, message.get("result"), headers)
        data = error.get("data") or {}
        if data.get("retryAfter") and data.get("serverTime"):
            wait_s = max(0.0, (data["retryAfter"] - data["serverTime"]) / 1000)
            headers["retry-after"] = str(wait_s)
        return Answer(status, dict(error), headers)


class _Waiting:
    """A request on its way."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.was_sent = True
        self.has_come = threading.Event()
        self.answer: Answer | None = None
