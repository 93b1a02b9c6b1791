"""What happens inside the built-in exchange, free of any wire language.

The engine hands each event to its listeners in the order of happening; a dialect renders them
as messages. Prices are integer ticks, sizes contracts, money satoshis, times Unix seconds.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

BY_API = "Submitted via API."  # the text of an order that came by a wire


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
    text: str = BY_API
    rej_reason: str = ""
    transact_time: float = 0.0
    timestamp: float = 0.0
    extra: dict[str, object] = field(default_factory=dict)  # clOrdLinkID and the like


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
    price: float | None = None  # where it is not on the grid: funding, settlement, takeovers


class OrderEvent(NamedTuple):
    """An order changed. `order` is a copy taken at that moment."""

    time_s: float
    order: Order
    # New | Trade | Canceled | Replaced | Rejected | TriggeredOrActivatedBySystem, and of an order
    # that nobody sent, with no row of its own: Funding | Settlement | Liquidation
    exec_type: str
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
    currency: str = "XBt"


class WalletEvent(NamedTuple):
    """The wallet row of an account changed; read it from the engine."""

    time_s: float
    account: int
    currency: str


@dataclass(slots=True)
class Transaction:
    """Money that came to an account's wallet (negative: left it), in minor units."""

    transact_id: str
    account: int
    currency: str
    kind: str  # Deposit | Withdrawal | RealisedPNL
    amount: int
    fee: int
    status: str  # Pending | Completed
    address: str  # where to; the symbol for realised profit
    text: str
    time_s: float
    wallet_balance: int


class TransactEvent(NamedTuple):
    """A transaction is new or has another status; `transaction` is a copy."""

    time_s: float
    account: int
    transaction: Transaction
    is_first: bool = True


class FundingEvent(NamedTuple):
    """Funding was exchanged between longs and shorts. `rate` is of the value at the mark."""

    time_s: float
    symbol: str
    rate: float
    interval_s: float


class SettlementEvent(NamedTuple):
    """A contract expired and was settled at `price`."""

    time_s: float
    symbol: str
    kind: str  # Settlement
    price: float


class LiquidationEvent(NamedTuple):
    """An order of the liquidation engine came, traded or went."""

    time_s: float
    order_id: str
    symbol: str
    side: str
    price_ticks: int
    leaves_qty: int
    action: str  # insert | update | delete


class TickEvent(NamedTuple):
    """The clock reached a moment that a listener had asked to hear of."""

    time_s: float


Event = (
    OrderEvent
    | BookEvent
    | QuoteEvent
    | TradeEvent
    | InstrumentEvent
    | PositionEvent
    | MarginEvent
    | WalletEvent
    | TransactEvent
    | FundingEvent
    | SettlementEvent
    | LiquidationEvent
    | TickEvent
)
