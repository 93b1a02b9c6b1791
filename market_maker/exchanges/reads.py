"""What a venue without a stream is asked, and how often."""

from typing import NamedTuple, Protocol

from market_maker.exchanges.base import Capabilities
from market_maker.model.rows import Row


class Reads(Protocol):
    """What is asked of a venue. All raise ExchangeError or AuthenticationError."""

    caps: Capabilities

    def market(self) -> Row:
        """The instrument's row, with bidPrice, bidSize, askPrice, askSize, lastPrice, markPrice."""

    def trades(self) -> list[Row]:
        """The latest public trades, oldest first."""

    def book(self) -> list[Row]:
        """The levels near the touch at the time of the last `market`, or just after it: `symbol,
        side, price, size`. It is paid with that."""

    def open_orders(self) -> list[Row]: ...

    def order(self, order_id: str, cl_ord_id: str = "") -> Row | None:
        """One order; None where the venue does not know it. Asked only with caps.order_lookup."""

    def fills(self, since_s: float) -> list[Row]:
        """Fills at or after *since_s* (Unix seconds), oldest first."""

    def position(self) -> Row: ...

    def margin(self) -> Row: ...


class Pace(NamedTuple):
    """How often to ask, in seconds."""

    poll_s: float = 1.0
    check_s: float = 1.0
    idle_s: float = 10.0


PACE = Pace()
