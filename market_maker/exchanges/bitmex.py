"""BitMEX's protocol: REST for orders and queries, WebSocket for tables.

Serves the built-in exchange and any other server that speaks this protocol. Rows and table
messages are passed on as they come, because they are the language of the bot.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from market_maker import jsonx
from market_maker.exchanges.base import (
    Capabilities,
    ExchangeError,
    Result,
    Sink,
    Status,
    error_message,
)
from market_maker.exchanges.pages import read_pages
from market_maker.exchanges.receiver import start_receiving
from market_maker.exchanges.refusals import SPENT
from market_maker.exchanges.throttle import retry_after_s
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.latency import Latency, measure_all
from market_maker.model.rows import Row, is_sound
from market_maker.model.wire import Answer, Request, Stream, Transport
from market_maker.utils.errors import AuthenticationError

logger = logging.getLogger("root")

PUBLIC_TOPICS = ("instrument", "quote", "trade")
PRIVATE_TOPICS = ("order", "execution", "margin", "position")
_WITHOUT_SYMBOL = frozenset({"margin", "position"})
_OVERLOADED = "overloaded"
_SINGLES = 6  # of the ten of a second: the switch, cancels and a bulk call take theirs
_PAGE = 500  # the most that one query may ask for


def topics(symbol: str, has_account: bool) -> list[str]:
    """What the bot follows: the market of *symbol* and, with a key, the account."""
    tables = PUBLIC_TOPICS + (PRIVATE_TOPICS if has_account else ())
    return [table if table in _WITHOUT_SYMBOL else f"{table}:{symbol}" for table in tables]


class BitMEXConnector:
    """One account and one symbol at a server that speaks BitMEX's protocol."""

    name = "bitmex"

    def __init__(
        self,
        transport: Transport,
        stream: Stream,
        symbol: str,
        *,
        endpoint: str = "",
        account_key: str = "public",
        bulk: bool | str = "auto",
        offset_s: Callable[[], float] = lambda: 0.0,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.symbol = symbol
        self.endpoint = endpoint  # the stream's address, for the log
        self.account_key = account_key
        self.on_answer: Callable[[Answer], None] = _ignore
        self.transport = transport
        self.stream = stream
        self._bulk = bulk
        self._offset_s = offset_s
        self._on_stop = on_stop
        self._followed: set[str] = set()

    @property
    def caps(self) -> Capabilities:
        return _caps(self._bulk)

    def measure(self, latency: Latency) -> None:
        measure_all(latency, self.stream, self.transport)

    def start(self, sink: Sink) -> None:
        logger.info("Connecting to %s", self.endpoint or "the exchange in this process")
        if self.account_key != "public":
            logger.info("Authenticating with API Key.")
        start_receiving(self.stream, sink, f"receive-{self.symbol}")
        if isinstance(self.transport, HttpTransport) and self.account_key != "public":
            self.transport.keep_warm(1 if self._bulk is True else None)
        logger.info("Started thread")

    def stop_stream(self) -> None:
        self.stream.close()

    def stop(self) -> None:
        self.stream.close()
        self.transport.close()
        self._on_stop()

    def follow(self, topic: str) -> None:
        if topic not in self._followed:
            self._followed.add(topic)
            self.stream.subscribe(topic)

    def reconnect(self) -> None:
        self.stream.reconnect()

    def account_label(self) -> str:
        rows = self.fetch_rows("user") if self.account_key != "public" else []
        return str(rows[0].get("username") or self.account_key) if rows else self.account_key

    def server_offset_s(self) -> float:
        return self._offset_s()

    # -- orders -------------------------------------------------------------------------

    def place(self, orders: Sequence[Row]) -> list[Result]:
        return self._send_orders("POST", orders)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        return self._send_orders("PUT", changes)

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        """One request for the whole list, whatever its length."""
        if not order_ids:
            return []
        request = Request("DELETE", "/order", None, {"orderID": list(order_ids)})
        answer = self._send(request)[0]
        if answer.status == 200 and isinstance(answer.body, list):
            by_id = {str(row.get("orderID")): row for row in answer.body if is_sound(row)}
            return [_cancel_result(order_id, by_id.get(order_id), answer) for order_id in order_ids]
        result = result_of(answer)
        if answer.status == 404:
            result = Result(Status.REJECTED, {}, "Not Found", answer)
        return [result] * len(order_ids)

    def dead_man(self, timeout_s: float | None) -> bool:
        body = {"timeout": round((timeout_s or 0) * 1000)}
        answer = self._send(Request("POST", "/order/cancelAllAfter", None, body))[0]
        if answer.refuses_key:  # the first action of a run is the first to hear it
            raise AuthenticationError(f"the exchange refuses the key: {error_message(answer)}")
        return answer.status == 200

    def _send(self, *requests: Request) -> list[Answer]:
        if logger.isEnabledFor(logging.DEBUG):
            for request in requests:
                # What concerns the user (addresses, one-time passwords) is not for a log.
                is_private = request.path.startswith("/user")
                what = "" if is_private else request.body or request.query or ""
                logger.debug("sending req to %s: %s", request.path, jsonx.dumps(what))
        answers = self.transport.send(requests)
        for answer in answers:
            self.on_answer(answer)
        return answers

    def _send_orders(self, verb: str, orders: Sequence[Row]) -> list[Result]:
        if not orders:
            return []
        if self._bulk and len(orders) > 1:
            body = {"orders": list(orders)}
            answer = self._send(Request(verb, "/order/bulk", None, body))[0]
            if answer.status != 404 or self._bulk is True:
                return self._bulk_results(answer, len(orders))
            # The route is unknown, so nothing has happened; it will not come back either.
            self._bulk = False
            logger.info("This exchange has no order/bulk: orders go out one by one.")
            # As many as the second still allows.
            now, later = orders[:_SINGLES], orders[_SINGLES:]
            return [*self._send_singly(verb, now), *[SPENT] * len(later)]
        return self._send_singly(verb, orders)

    def _send_singly(self, verb: str, orders: Sequence[Row]) -> list[Result]:
        requests = [Request(verb, "/order", None, dict(order)) for order in orders]
        return [result_of(answer) for answer in self._send(*requests)]

    def _bulk_results(self, answer: Answer, count: int) -> list[Result]:
        if answer.status == 200 and _are_rows(answer.body) and len(answer.body) == count:
            self._bulk = True
            return [Result(Status.OK, row, "", answer) for row in answer.body]
        if answer.status == 200:
            return [Result(Status.UNKNOWN, {}, "an answer that does not fit the batch", answer)] * (
                count
            )
        return [result_of(answer)] * count

    # -- queries ------------------------------------------------------------------------

    def fetch_open_orders(self) -> list[Row]:
        wanted = jsonx.dumps({"ordStatus.isTerminated": False, "symbol": self.symbol})

        def read(found: list[Row]) -> list[Row]:
            page = {"filter": wanted, "count": _PAGE, "start": len(found)}
            return _rows(self.call("GET", "/order", page))

        return read_pages(read, _PAGE, "orderID")

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        wanted = {"orderID": order_id} if order_id else {"clOrdID": cl_ord_id}
        query = {"filter": jsonx.dumps({**wanted, "symbol": self.symbol}), "reverse": "true"}
        rows = _rows(self.call("GET", "/order", query))
        return rows[0] if rows else None

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        path = "/user/margin" if table == "margin" else f"/{table}"
        query: dict[str, Any] = dict(params)
        if table == "position":
            query.setdefault("filter", jsonx.dumps({"symbol": self.symbol}))
        elif table == "margin":
            query.setdefault("currency", "all")  # left out it means XBt
        elif table != "user":
            query.setdefault("symbol", self.symbol)
        query = {name: value for name, value in query.items() if value is not None}
        return _rows(self.call("GET", path, query))

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        return self._send(Request(verb, "/" + path.lstrip("/"), query, body))[0]


@cache  # asked for several times in every round
def _caps(bulk: bool | str) -> Capabilities:
    # While it is unknown whether bulk calls exist, a batch may come down to single calls.
    return Capabilities(atomic_batch=bulk is True, max_batch=100 if bulk else 1, other_symbols=True)


def _ignore(_: Answer) -> None:
    """Nobody asked to hear of answers."""


def result_of(answer: Answer) -> Result:
    """Class an answer to one order by what may be concluded from it."""
    text = error_message(answer) if answer.status != 200 else ""
    if answer.status == 200 and is_sound(answer.body):
        status = Status.REJECTED if answer.body.get("ordStatus") == "Rejected" else Status.OK
        return Result(status, answer.body, str(answer.body.get("ordRejReason") or ""), answer)
    if not answer.sent:
        return Result(Status.NOT_SENT, {}, text, answer)
    if answer.status == 429 or (answer.status == 503 and _OVERLOADED in text):
        # Turned away before the engine saw it.
        return Result(Status.NOT_SENT, {}, text, answer, _retry_after(answer))
    if answer.status == 0 or answer.status >= 500 or not _is_error_body(answer.body):
        return Result(Status.UNKNOWN, {}, text, answer)
    return Result(Status.REJECTED, {}, text, answer)


def raise_for(answer: Answer) -> None:
    """Raise what the answer means, if it means no: AuthenticationError or ExchangeError."""
    if 200 <= answer.status < 300:
        return
    text = error_message(answer)
    if answer.status == 401 and not answer.is_page:
        raise AuthenticationError(f"the exchange refuses the key: {text}")
    raise ExchangeError(answer.status, text)


def _rows(answer: Answer) -> list[Row]:
    if answer.status == 403 and not answer.is_page:
        # A disabled key, a banned address: asking again makes it worse.
        raise AuthenticationError(f"the exchange refuses us: {error_message(answer)}")
    raise_for(answer)
    body = answer.body
    found: list[Any] = body if isinstance(body, list) else [body]
    if not _are_rows(found):
        raise ExchangeError(answer.status, "an answer that holds no rows")  # never "no orders"
    return found


def _are_rows(body: Any) -> bool:
    return isinstance(body, list) and all(map(is_sound, body))


def _cancel_result(order_id: str, row: Row | None, answer: Answer) -> Result:
    if row is None:
        return Result(Status.UNKNOWN, {"orderID": order_id}, "not in the answer", answer)
    if row.get("error"):
        return Result(Status.REJECTED, row, str(row["error"]), answer)
    return Result(Status.OK, row, "", answer)


def _is_error_body(body: Any) -> bool:
    return isinstance(body, dict) and "error" in body


def _retry_after(answer: Answer) -> float | None:
    asked_s = retry_after_s(answer.headers)
    if asked_s is None:
        return 0.5 if answer.status == 503 else None
    return max(0.5, asked_s)
