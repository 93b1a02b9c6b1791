"""What happens inside the built-in exchange, free of any wire language.

The engine hands each event to its listeners in the order of happening; a dialect renders them
as messages. Prices are integer ticks, sizes contracts, money satoshis, times Unix seconds.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Order:
    """One order of one account, as the engine keeps it."""

    order_id: str
    account: int
    symbol: str
    side: str  # "Buy" | "Sell"
    order_qty: int
    price_ticks: int | None
    cl_ord_id: str = ""
    ord_type: str = "Limit"
    time_in_force: str = "GoodTillCancel"
    exec_inst: str = ""  # comma list: "ParticipateDoNotInitiate,ReduceOnly"
    stop_ticks: int | None = None
    display_qty: int | None = None
    ord_status: str = "New"
    triggered: str = ""
    working: bool = False
    leaves_qty: int = 0
    cum_qty: int = 0
    cum_cost: float = 0.0  # sum of fill qty x price (linear) or qty / price (inverse), for avgPx
    avg_px: float | None = None
    text: str = "Submitted via API."
    rej_reason: str = ""
    transact_time: float = 0.0
    timestamp: float = 0.0
    extra: dict[str, object] = field(default_factory=dict)  # clOrdLinkID and the like, echoed


@dataclass(slots=True, frozen=True)
class Fill:
    """One side of a trade, as booked on an account."""

    exec_id: str
    match_id: str
    qty: int
    price_ticks: int
    is_maker: bool
    commission: float  # rate; negative is a rebate
    cost_sat: int  # execCost: negative for a buy of an inverse contract
    comm_sat: int  # execComm: positive is paid
    realised_sat: int


class OrderEvent(NamedTuple):
    """An order changed. `order` is a copy taken at that moment."""

    time_s: float
    order: Order
    exec_type: str  # New | Trade | Canceled | Replaced | Rejected | TriggeredOrActivatedBySystem
    exec_id: str
    is_first: bool  # the account sees this order for the first time: an insert
    fill: Fill | None = None


class BookEvent(NamedTuple):
    """A price level changed. `size` is 0 when it is gone, `was` is 0 when it is new."""

    time_s: float
    symbol: str
    side: str
    price_ticks: int
    level_id: int
    was: int
    size: int


class QuoteEvent(NamedTuple):
    """The touch changed. A missing side has ticks None and size 0."""

    time_s: float
    symbol: str
    bid_ticks: int | None
    bid_size: int
    ask_ticks: int | None
    ask_size: int


class TradeEvent(NamedTuple):
    """A public trade print; `side` is the taker's."""

    time_s: float
    symbol: str
    side: str
    qty: int
    price_ticks: int
    match_id: str
    tick_direction: str


class InstrumentEvent(NamedTuple):
    """Columns of the instrument row changed, by their exchange names."""

    time_s: float
    symbol: str
    changes: dict[str, object]


class PositionEvent(NamedTuple):
    """The position row of an account changed; read it from the engine."""

    time_s: float
    account: int
    symbol: str


class MarginEvent(NamedTuple):
    """The margin row of an account changed; read it from the engine."""

    time_s: float
    account: int


Event = (
    OrderEvent | BookEvent | QuoteEvent | TradeEvent | InstrumentEvent | PositionEvent | MarginEvent
)
