"""The table of all REST routes, and the permissions that each needs."""

from collections.abc import Callable
from typing import Any, NamedTuple

from market_maker.simulator.dialects import bitmex_account as account
from market_maker.simulator.dialects import bitmex_help as help_
from market_maker.simulator.dialects import bitmex_market as market
from market_maker.simulator.dialects import bitmex_orders as orders
from market_maker.simulator.dialects.bitmex_call import Call


class Route(NamedTuple):
    """An endpoint and the permissions of which a key needs one; None for a public one."""

    answer: Callable[[Call], Any]
    needs: frozenset[str] | None = None
    is_bulk: bool = False


READ: frozenset[str] = frozenset()
TRADE = frozenset({"order"})
CANCEL = frozenset({"order", "orderCancel"})
WITHDRAW = frozenset({"withdraw"})

ROUTES = {
    ("GET", ""): Route(help_.get_root),
    ("GET", "/schema"): Route(help_.get_schema),
    ("GET", "/schema/websocketHelp"): Route(help_.get_websocket_help),
    # orders
    ("GET", "/order"): Route(orders.get_orders, READ),
    ("POST", "/order"): Route(orders.place_order, TRADE),
    ("PUT", "/order"): Route(orders.amend_order, TRADE),
    ("DELETE", "/order"): Route(orders.cancel_orders, CANCEL),
    ("POST", "/order/bulk"): Route(orders.place_bulk, TRADE, is_bulk=True),
    ("PUT", "/order/bulk"): Route(orders.amend_bulk, TRADE, is_bulk=True),
    ("DELETE", "/order/all"): Route(orders.cancel_all, CANCEL),
    ("POST", "/order/cancelAllAfter"): Route(orders.cancel_all_after, CANCEL),
    ("POST", "/order/closePosition"): Route(orders.close_position, TRADE),
    # the account
    ("GET", "/execution"): Route(account.get_executions, READ),
    ("GET", "/execution/tradeHistory"): Route(account.get_trade_history, READ),
    ("GET", "/position"): Route(account.get_positions, READ),
    ("POST", "/position/leverage"): Route(account.set_leverage, TRADE),
    ("POST", "/position/isolate"): Route(account.isolate, TRADE),
    ("POST", "/position/riskLimit"): Route(account.set_risk_limit, TRADE),
    ("POST", "/position/transferMargin"): Route(account.transfer_margin, TRADE),
    ("GET", "/user"): Route(account.get_user, READ),
    ("GET", "/user/margin"): Route(account.get_margin, READ),
    ("GET", "/user/wallet"): Route(account.get_wallet, READ),
    ("GET", "/user/walletHistory"): Route(account.get_wallet_history, READ),
    ("GET", "/user/walletSummary"): Route(account.get_wallet_summary, READ),
    ("GET", "/user/commission"): Route(account.get_commission, READ),
    ("GET", "/user/quoteFillRatio"): Route(account.get_quote_fill_ratio, READ),
    ("POST", "/user/requestWithdrawal"): Route(account.request_withdrawal, WITHDRAW),
    ("POST", "/user/logout"): Route(account.log_out),
    ("GET", "/apiKey"): Route(account.get_keys, READ),
    ("GET", "/address"): Route(account.get_nothing, READ),
    ("GET", "/userEvent"): Route(account.get_nothing, READ),
    # the market
    ("GET", "/instrument"): Route(market.get_instruments),
    ("GET", "/instrument/active"): Route(market.get_active),
    ("GET", "/instrument/activeAndIndices"): Route(market.get_active_and_indices),
    ("GET", "/instrument/activeIntervals"): Route(market.get_intervals),
    ("GET", "/instrument/compositeIndex"): Route(market.get_composite),
    ("GET", "/instrument/indices"): Route(market.get_indices),
    ("GET", "/orderBook/L2"): Route(market.get_book),
    ("GET", "/quote"): Route(market.get_quotes),
    ("GET", "/quote/bucketed"): Route(market.get_quote_bins),
    ("GET", "/trade"): Route(market.get_trades),
    ("GET", "/trade/bucketed"): Route(market.get_trade_bins),
    ("GET", "/funding"): Route(market.get_funding),
    ("GET", "/liquidation"): Route(market.get_liquidations),
    ("GET", "/settlement"): Route(market.get_settlements),
    ("GET", "/insurance"): Route(market.get_insurance),
    ("GET", "/stats"): Route(market.get_stats),
    ("GET", "/wallet/assets"): Route(account.get_assets),
    ("GET", "/wallet/networks"): Route(account.get_networks),
    # the site, where nobody writes
    ("GET", "/announcement"): Route(account.get_nothing),
    ("GET", "/announcement/urgent"): Route(account.get_nothing),
    ("GET", "/chat"): Route(account.get_nothing),
    ("GET", "/globalNotification"): Route(account.get_nothing),
}
