"""What every exchange connector offers, and the results it gives.

A connector translates at its edge: above it there are only BitMEX-shaped rows
(`market_maker.model.rows`) and BitMEX-shaped table messages
(`{"table", "action", "keys", "data"}`), whatever the venue speaks.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

import requests

from market_maker import jsonx
from market_maker.exchanges.wire_errors import NOBODY_THERE
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, StreamEvent
from market_maker.utils.errors import SettingsError, StopTrading

logger = logging.getLogger("root")

Sink = Callable[[StreamEvent], None]
# What reading an answer raises that is not as documented.
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_PAGE = re.compile(r"(HTTP|handshake) \d+|\S+ answers \d+ with a page")  # no API speaks so
_NOT_HERE = (404, 410, 451)  # 451: "unavailable for legal reasons", as Binance says by country


class Status(Enum):
    """How a request for one order ended, by what the bot may conclude from it."""

    OK = "ok"  # done, as the row says
    ACCEPTED = "accepted"  # promised: the stream or a query tells when it has happened
    REJECTED = "rejected"  # the exchange (or the gateway) said no; nothing happened
    UNKNOWN = "unknown"  # no usable answer: it may be live
    NOT_SENT = "not sent"  # no byte left; may be tried again freely


class Result(NamedTuple):
    """The outcome for one order of a batch, in the order they were asked for."""

    status: Status
    row: Row
    text: str = ""
    answer: Answer | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do. The bot asks this, never which venue it is."""

    client_id_max: int = 36
    client_ids: bool = True  # an order can bear an id of ours, and be found by it
    order_lookup: bool = True  # it tells how a single order stands, finished ones included
    fill_lag_s: float = 0.0  # how late a fill may come into the history
    amend: str = "in_place"  # "in_place" | "qty_down" | "replace_new_id" | "none"
    atomic_batch: bool = True  # a batch is applied as one, so own quotes cannot meet within it
    max_batch: int = 100  # orders in one request
    max_cancel: int = 100
    post_only: str = "cancel"  # a post-only order that would take is "cancel"ed | "reject"ed
    events: str = "stream_snapshot"  # "stream_snapshot" | "stream" | "poll"
    request_expiry_s: float | None = 5.0  # a request reaching the venue later is refused
    dead_man_s: tuple[float, float] | None = (5.0, 3600.0)
    dead_man_of_own: bool = False  # it cancels the orders with our tag only
    positions: bool = True
    every_kind: bool = True  # stops, pegs, icebergs and linked orders, not just limit and market
    reduce_only: bool = True  # it lets an order do nothing but shrink the position
    other_symbols: bool = False  # `follow` streams the instrument row of any other symbol too
    budget: tuple[float, float, float] = (300.0, 1.0, 10.0)  # tokens, per second, for cancels only
    requests_per_s: float = 10.0  # order requests
    order_cost: float = 0.1  # tokens of the rate budget for each order of a batch


class Connector(Protocol):
    """One venue, one account, one symbol."""

    name: str
    symbol: str
    on_answer: Callable[[Answer], None]  # hears every answer, for the rate budget
    account_key: str  # opaque: which account this is, for the journal's file name; no secret

    @property
    def caps(self) -> Capabilities: ...

    def start(self, sink: Sink) -> None:
        """Begin streaming; events reach *sink* from the receive thread, or as the clock moves."""

    def stop_stream(self) -> None:
        """Stop streaming for good; calls still work."""

    def stop(self) -> None:
        """Stop streaming and close every connection."""

    def reconnect(self) -> None:
        """Drop the stream's connection, so that it comes back with fresh images."""

    def follow(self, topic: str) -> None:
        """Stream one more topic from now on, such as "orderBookL2:XBTUSD"."""

    def place(self, orders: Sequence[Row]) -> list[Result]: ...

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        """Each change has `orderID` and new `orderQty` (total) and/or `price`."""

    def cancel(self, order_ids: Sequence[str]) -> list[Result]: ...

    def fetch_open_orders(self) -> list[Row]:
        """The open orders of the symbol, asked of the exchange itself."""

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        """One order, or None when the exchange does not know it."""

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        """Rows of a table ("instrument", "margin", "position", "quote", "execution", ...)."""

    def call(
        self,
        verb: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Answer:
        """Any call of BitMEX's REST protocol; raises NotSupported where a venue has none."""

    def dead_man(self, timeout_s: float | None) -> bool:
        """Arm (or with None disarm) the server-side dead man's switch. False: it has none."""

    def account_label(self) -> str:
        """Which account this is, for its owner to recognise; asked of the exchange."""

    def server_offset_s(self) -> float:
        """The exchange's clock minus ours, as measured from its answers."""


class ExchangeError(requests.exceptions.HTTPError):
    """The exchange refused a call. `response` reads as `requests` gives it.

    `status` is the HTTP status, `message` the exchange's own text.
    """

    def __init__(self, status: int, message: str, name: str = "HTTPError") -> None:
        response = requests.Response()
        response.status_code = status
        response._content = jsonx.dumps({"error": {"message": message, "name": name}}).encode()
        response.headers["Content-Type"] = "application/json"
        super().__init__(f"{status}: {message}", response=response)
        self.status = status
        self.message = message

    @property
    def line(self) -> str:
        """What happened, in words for a user: a status of 0 means that no answer came."""
        who = "The exchange says" if self.status else "No answer of the exchange"
        return f"{who}: {self.message}"


class UnknownSymbol(ExchangeError):
    """The venue does not list the symbol, or not as one that the bot can trade."""


def no_start(error: ExchangeError) -> StopTrading:
    """What a start ends with: exit code 1 where it may go well the next time, and 2 where the
    address itself is the matter: no exchange is there, or none for who comes from here."""
    if isinstance(error, UnknownSymbol):
        return SettingsError([error.message])
    is_page = error.status < 400 and bool(_PAGE.match(error.message))  # or a redirect
    is_nobody = not error.status and error.message in NOBODY_THERE
    if error.status in _NOT_HERE or is_page or is_nobody:
        return SettingsError(
            [f"{error.line.rstrip('.')}. Is BASE_URL right, and does the exchange serve you?"]
        )
    return StopTrading(error.line)


@contextlib.contextmanager
def first_answers() -> Iterator[None]:
    """Within it an exchange is read for the first time: answers that cannot be read come from
    somebody else, and end the start in one line."""
    try:
        yield
    except ODD as error:
        logger.debug("An answer cannot be read.", exc_info=error)
        text = f"What answers does not speak as the exchange does ({error!r}). Is BASE_URL right?"
        raise SettingsError([text]) from None


def no_stream(reason: str) -> StopTrading:
    """The same where no live data came, for *reason*, in which a handshake's status may stand."""
    found = re.match(r"(?:handshake|\S+ answers) (\d+)", reason)
    status = int(found[1]) if found else 0
    is_refusal = status >= 400  # else it is no such server at all
    text = reason.removeprefix(f"handshake {status}: ") if is_refusal else reason
    return no_start(ExchangeError(status, text))


def error_message(answer: Answer) -> str:
    """The exchange's own words in a refusal, or a phrase for what came instead."""
    if isinstance(answer.body, dict):
        error = answer.body.get("error")
        if isinstance(error, dict) and error.get("message"):
            return str(error["message"])
        if isinstance(error, str):
            return error
    if answer.error:
        return answer.error
    return f"HTTP {answer.status} without a readable message"
