"""Orders in even steps on both sides of the touch, as sample-market-maker places them."""

from market_maker.market_maker import OrderManager


class Layered(OrderManager):
    """ORDER_PAIRS orders on each side, INTERVAL apart: what OrderManager does by itself."""
