"""Orders in even steps around the touch, as in sample-market-maker."""

from market_maker.market_maker import OrderManager


class Layered(OrderManager):
    """ORDER_PAIRS orders on each side, INTERVAL apart: what OrderManager does by itself."""
