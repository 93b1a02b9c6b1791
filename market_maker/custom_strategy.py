"""A strategy of your own: `marketmaker setup` copies this file as my_strategy.py.

    python my_strategy.py XBTUSD

or STRATEGY = "my_strategy.py" in settings.py, and then `marketmaker XBTUSD` as ever. Everything
else of the market maker goes on as it is: connection, limits, status, clean-up at the end. Any
method of OrderManager may be overridden in the same way.
"""

from typing import Any

from market_maker.market_maker import OrderManager, logger


class CustomOrderManager(OrderManager):
    """Quotes one order on each side, and only the side that brings the position back home
    when it is large."""

    def on_start(self) -> None:
        """Called once, connected and before the first order: begin what you want to remember."""
        self.bought = self.sold = 0.0

    def on_fill(self, fill: dict[str, Any]) -> None:
        """Called for each fill of ours, before the round that answers it. There are also on_trade
        (of anybody), on_book (the touch has changed) and on_stop (before the orders go)."""
        if fill["side"] == "Buy":
            self.bought += fill["lastQty"]
        else:
            self.sold += fill["lastQty"]
        logger.info("Bought %s, sold %s in this run.", self.bought, self.sold)

    def place_orders(self) -> Any:
        """Called in every round. Make up two lists of orders and hand them to converge_orders.

        converge_orders compares them with what is in the book: it amends what differs, creates
        what is missing and cancels the rest.
        """
        # Names of your own in settings.py are read like ours; one that is not there is None.
        size = self.settings.MY_ORDER_SIZE or self.settings.ORDER_START_SIZE
        position = self.exchange.get_delta()  # contracts held, negative when short
        large = 5 * size

        # An order is a dict. It may also carry other keys of BitMEX's order, such as execInst.
        # Prices are multiples of self.instrument["tickSize"], sizes of its "lotSize".
        # get_price_offset(-1) is the best price to buy at, 1 the best to sell at by MIN_SPREAD;
        # -2, 2 and so on lie INTERVAL further out each. For prices of your own begin from
        # self.exchange.get_touch(), the best bid and ask of the others: get_ticker() shows your
        # own orders too, and who joins what he sees there follows himself.
        buy_orders = []
        if position < large:
            price = self.get_price_offset(-1)
            buy_orders.append({"price": price, "orderQty": size, "side": "Buy"})

        sell_orders = []
        if position > -large:
            price = self.get_price_offset(1)
            sell_orders.append({"price": price, "orderQty": size, "side": "Sell"})

        # No list can pass MAX_POSITION and the other limits: what would is refused, with a reason.
        return self.converge_orders(buy_orders, sell_orders)


def run() -> None:
    """Trade the symbol of the command line (or of settings.py) until Ctrl-C."""
    CustomOrderManager().run_loop()


if __name__ == "__main__":
    run()
