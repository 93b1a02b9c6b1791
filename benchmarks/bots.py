"""Bots that quote twelve orders against benchmarks/server.py, each as its users run it.

    python bots.py NAME PORT KEY SECRET [SETTING=VALUE ...]

Their own limits of requests are raised out of the way, as the server has none. Runs with the
Python of the bot's environment.
"""

import functools
import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

SYMBOL = "XBTUSD"
PAIRS, INTERVAL, MIN_SPREAD, RELIST = 6, 0.005, 0.01, 0.0005
SETTINGS = f"""
ORDER_PAIRS = {PAIRS}
ORDER_START_SIZE = 100
ORDER_STEP_SIZE = 100
INTERVAL = {INTERVAL}
MIN_SPREAD = {MIN_SPREAD}
RELIST_INTERVAL = {RELIST}
POST_ONLY = False
CHECK_POSITION_LIMITS = False
WATCHED_FILES = []
"""


def ours(port, key, secret, words):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from market_maker.clock import Clock
    from market_maker.exchanges import bitmex
    from market_maker.market_maker import OrderManager
    from market_maker.settings import load

    settings = load(SYMBOL, environ={}, cwd="/nonexistent")
    exec(SETTINGS, values := {})
    settings.update({k: v for k, v in values.items() if k.isupper()})
    settings.update({"EXCHANGE": "bitmex", "BASE_URL": f"http://127.0.0.1:{port}/api/v1/"})
    settings.update({"BITMEX_API_KEY": key, "BITMEX_API_SECRET": secret})
    settings.update({"STATE_DIR": str(Path.cwd()), **words})
    manager = OrderManager(settings=settings)
    gateway, clock = manager.exchange.desk.gateway, Clock()
    told = bitmex._caps
    bitmex._caps = functools.cache(lambda bulk: replace(told(bulk), requests_per_s=1e9))
    for bucket in (gateway.budget, gateway.burst):  # the same objects are known elsewhere
        bucket.__init__(clock, 1e9, 1e9)
    manager.run_loop()


def floor(port, key, secret, _):
    """Bare sockets, one thread, nothing checked: what the machine itself takes. It re-prices each
    order by as much as the bid has moved."""
    from workers import Raw

    client, orders, at = Raw(port, key, secret), [], 0.0
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(
        f"GET /realtime?subscribe=quote:{SYMBOL} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    while data := sock.recv(65_536):
        _, found, rest = data.rpartition(b'"bidPrice":')
        bid = float(rest.partition(b",")[0]) if found else at
        if abs(bid - at) <= RELIST * bid:
            continue
        at = bid
        prices = [round(bid * (1 + (i - 2 * PAIRS // 2) / 200)) for i in range(2 * PAIRS)]
        if orders:
            rows = zip(orders, prices, strict=True)
            client.amend(
                [{"orderID": name, "orderQty": 100, "price": price} for name, price in rows]
            )
        else:
            rows = [{"symbol": SYMBOL, "side": "Buy", "orderQty": 100, "price": p} for p in prices]
            orders = [row["orderID"] for row in client.place(rows)]


def original(port, key, secret, words):
    text = f'BASE_URL = "http://127.0.0.1:{port}/api/v1/"\nAPI_KEY = "{key}"\n'
    text += f'API_SECRET = "{secret}"\nSYMBOL = "{SYMBOL}"\nAPI_REST_INTERVAL = 0.01\n{SETTINGS}'
    text += "".join(f"{name} = {value!r}\n" for name, value in words.items())
    Path("settings.py").write_text(text)
    command = [sys.executable, "-u", str(Path(sys.executable).with_name("marketmaker"))]
    os.execv(sys.executable, command)


def nautilus(port, key, secret, _):
    """The same ladder as a strategy, on modify_order."""
    from nautilus_trader.adapters.bitmex.config import (
        BitmexDataClientConfig,
        BitmexExecClientConfig,
    )
    from nautilus_trader.adapters.bitmex.factories import (
        BitmexLiveDataClientFactory,
        BitmexLiveExecClientFactory,
    )
    from nautilus_trader.config import (
        InstrumentProviderConfig,
        LiveExecEngineConfig,
        LiveRiskEngineConfig,
        LoggingConfig,
        TradingNodeConfig,
    )
    from nautilus_trader.live.node import TradingNode
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.trading.strategy import Strategy

    class Ladder(Strategy):
        def __init__(self):
            super().__init__()
            self.instrument_id = InstrumentId.from_str(f"{SYMBOL}.BITMEX")
            self.ladder, self.at = [], 0.0

        def on_start(self):
            self.instrument = self.cache.instrument(self.instrument_id)
            self.subscribe_quote_ticks(self.instrument_id)

        def prices(self, bid, ask):
            for level in range(PAIRS):
                low = bid * (1 - MIN_SPREAD / 2) * (1 + INTERVAL) ** -level
                high = ask * (1 + MIN_SPREAD / 2) * (1 + INTERVAL) ** level
                yield level, OrderSide.BUY, round(low * 2) / 2
                yield level, OrderSide.SELL, round(high * 2) / 2

        def on_quote_tick(self, tick):
            bid, ask = float(tick.bid_price), float(tick.ask_price)
            if abs(bid / self.at - 1 if self.at else 1) < RELIST:
                return
            self.at, make = bid, self.instrument
            if not self.ladder:
                for level, side, price in self.prices(bid, ask):
                    order = self.order_factory.limit(
                        self.instrument_id, side, make.make_qty(100 * (level + 1)),
                        make.make_price(price),
                    )  # fmt: skip
                    self.ladder.append(order)
                    self.submit_order(order)
                return
            wanted = list(self.prices(bid, ask))
            for order, (_, _, price) in zip(self.ladder, wanted, strict=True):
                self.modify_order(order, order.quantity, make.make_price(price))

    access = {
        "api_key": key, "api_secret": secret, "base_url_http": f"http://127.0.0.1:{port}/api/v1",
        "base_url_ws": f"ws://127.0.0.1:{port}/realtime", "max_requests_per_second": 100_000,
        "max_requests_per_minute": 1_000_000,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    }  # fmt: skip
    node = TradingNode(
        config=TradingNodeConfig(
            trader_id="TESTER-001",
            logging=LoggingConfig(log_level="WARNING"),
            exec_engine=LiveExecEngineConfig(reconciliation=False),
            risk_engine=LiveRiskEngineConfig(bypass=True),
            data_clients={"BITMEX": BitmexDataClientConfig(**access)},
            exec_clients={"BITMEX": BitmexExecClientConfig(**access)},
        )
    )
    node.add_data_client_factory("BITMEX", BitmexLiveDataClientFactory)
    node.add_exec_client_factory("BITMEX", BitmexLiveExecClientFactory)
    node.trader.add_strategy(Ladder())
    node.build()
    node.run()


if __name__ == "__main__":
    name, port, key, secret, *words = sys.argv[1:]
    pairs = (word.partition("=") for word in words)
    given = {name: json.loads(value) for name, _, value in pairs}
    {"ours": ours, "floor": floor, "original": original, "nautilus": nautilus}[name](
        int(port), key, secret, given
    )
