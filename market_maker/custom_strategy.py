"""A strategy of your own: `marketmaker setup` copies this file as my_strategy.py.

    python my_strategy.py XBTUSD

Everything else of the market maker goes on as it is: connection, limits, status, clean-up at
the end. Any method of OrderManager may be overridden in the same way.
"""

from typing import Any

from market_maker.market_maker import OrderManager
from market_maker.settings import settings


class CustomOrderManager(OrderManager):
    """Quotes one order on each side, and only the side that brings the position back home
    when it is large."""

    def place_orders(self) -> Any:
        """Called in every round. Make up two lists of orders and hand them to converge_orders.

        converge_orders compares them with what is in the book: it amends what differs, creates
        what is missing and cancels the rest.
        """
        # Names of your own in settings.py are read like ours; one that is not there is None.
        size = settings.MY_ORDER_SIZE or settings.ORDER_START_SIZE
        position = self.exchange.get_delta()  # contracts held, negative when short
        large = 5 * size

        # An order is a dict. It may also carry other keys of BitMEX's order, such as execInst.
        # get_price_offset(-1) is the best price to buy at, 1 the best to sell at by MIN_SPREAD;
        # -2, 2 and so on lie INTERVAL further out each.
        buy_orders = []
        if position < large:
            price = self.get_price_offset(-1)
            buy_orders.append({"price": price, "orderQty": size, "side": "Buy"})

        sell_orders = []
        if position > -large:
            price = self.get_price_offset(1)
            sell_orders.append({"price": price, "orderQty": size, "side": "Sell"})

        return self.converge_orders(buy_orders, sell_orders)


def run() -> None:
    """Trade the symbol of the command line (or of settings.py) until Ctrl-C."""
    CustomOrderManager().run_loop()


if __name__ == "__main__":
    run()
