"""Whatever a client of another venue's language sends, it is answered: nothing of it raises."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from market_maker import jsonx
from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.binance_tongue import faulty_binance
from market_maker.simulator.console import StatusLine
from market_maker.simulator.dialects.binance import API as BINANCE
from market_maker.simulator.dialects.binance import ROUTES
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.dialects.binance_session import ApiSession, PublicSession
from market_maker.simulator.dialects.hitbtc_session import HitbtcSession
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.dialects.okx_session import OkxSession
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faulty_hub import FaultyHub
from market_maker.simulator.hitbtc_tongue import faulty_hitbtc
from market_maker.simulator.instruments import XBT_USDT
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.simulator.plain_tongue import faulty_plain

ODD: list[Any] = [
    *(None, True, "", "abc", "-1", "1.5", [], {}, [None], [1], {"a": 1}, -1, 0, 1.5, 2**63 - 1),
    *(1e308, -1e308, 5e-324, "nan", "inf", "1e999", "\u00b2", "9" * 400, [[[]]], "\ud7ff", "x/y"),
]
PAGES = {"limit": "1", "begin": "1", "after": "1", "sz": "1", "depth": "1", "startTime": "1"}
PAGES |= {"fromId": "1", "from": "1", "till": "1", "since": "1", "skip": "1", "bar": "1m"}
PAGES |= {"start": "1", "end": "1", "endTime": "1", "before": "1", "period": "M1"}
PAGES |= {"interval": "1m"}

Call = tuple[str, str, dict[str, Any]]

OKX_ORDER = {
    "instId": "BTC-USD-SWAP", "instIdCode": 10_458, "tdMode": "cross", "side": "buy",
    "ordType": "limit", "px": "50000", "sz": "1", "clOrdId": "a1", "tag": "t",
    "reduceOnly": "false",
}  # fmt: skip
OKX_AMEND = {"instId": "BTC-USD-SWAP", "clOrdId": "a1", "newPx": "50001", "newSz": "2"}
OKX: list[Call] = [
    *(("GET", path, {"instId": "BTC-USD-SWAP", "instType": "SWAP", **PAGES}) for path in (
        "/public/time", "/public/instruments", "/public/mark-price", "/public/funding-rate",
        "/market/ticker", "/market/tickers", "/market/books", "/market/trades",
        "/market/candles", "/account/config", "/account/balance", "/account/positions",
        "/account/bills", "/account/leverage-info", "/account/trade-fee",
        "/trade/orders-pending", "/trade/orders-history", "/trade/fills",
    )),
    ("GET", "/trade/order", {"instId": "BTC-USD-SWAP", "ordId": "1", "clOrdId": "a1"}),
    ("POST", "/trade/order", OKX_ORDER),
    ("POST", "/trade/amend-order", OKX_AMEND),
    ("POST", "/trade/cancel-order", {"instId": "BTC-USD-SWAP", "ordId": "1"}),
    ("POST", "/trade/cancel-all-after", {"timeOut": "10", "tag": "t"}),
]  # fmt: skip
HITBTC_ORDER = {
    "symbol": "BTCUSDT", "side": "buy", "type": "limit", "time_in_force": "GTC",
    "quantity": "0.001", "price": "50000", "client_order_id": "abcdefgh1", "post_only": True,
    "strict_validate": True,
}  # fmt: skip
HITBTC: list[Call] = [
    *(("GET", path, {"symbols": "BTCUSDT", "symbol": "BTCUSDT", **PAGES}) for path in (
        "/public/currency", "/public/symbol", "/public/symbol/BTCUSDT", "/public/ticker/BTCUSDT",
        "/public/orderbook/BTCUSDT", "/public/trades/BTCUSDT", "/public/candles/BTCUSDT",
        "/spot/balance", "/spot/fee", "/spot/history/order", "/spot/history/trade", "/spot/order",
    )),
    ("POST", "/spot/order", HITBTC_ORDER),
    ("PATCH", "/spot/order/abcdefgh1", {"new_client_order_id": "abcdefgh2", "quantity": "0.001"}),
    ("DELETE", "/spot/order/abcdefgh1", {}),
    ("DELETE", "/spot/order", {"symbol": "BTCUSDT"}),
]  # fmt: skip
BINANCE_CALL = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001",
    "price": "50000", "newClientOrderId": "a1", "newOrderRespType": "FULL", "orderId": "1",
    "origClientOrderId": "a1", "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "1",
    "cancelRestrictions": "ONLY_NEW", "recvWindow": "5000", **PAGES,
}  # fmt: skip
PLAIN: list[Call] = [
    *(("GET", path, {"symbol": "XBTUSD", **PAGES}) for path in (
        "/time", "/markets", "/ticker", "/trades", "/orders", "/fills", "/position", "/balance",
    )),
    ("POST", "/orders", {"symbol": "XBTUSD", "side": "buy", "size": 100, "price": 50_000.0}),
    ("DELETE", "/orders", {"symbol": "XBTUSD", "side": "buy"}),
    ("DELETE", "/orders/1", {}),
]  # fmt: skip


def okx(engine: Engine) -> tuple[Any, list[Call]]:
    return faulty_okx(engine).dialect, OKX


def hitbtc(engine: Engine) -> tuple[Any, list[Call]]:
    return faulty_hitbtc(engine).dialect, HITBTC


def binance(engine: Engine) -> tuple[Any, list[Call]]:
    dialect = faulty_binance(engine).dialect
    dialect.api.weights.is_on = False
    return dialect, [(r.verb, f"{BINANCE}{r.path}", BINANCE_CALL) for r in ROUTES.values()]


def plain(engine: Engine) -> tuple[Any, list[Call]]:
    return faulty_plain(engine).dialect, PLAIN


def opened(instruments: Any) -> tuple[ManualClock, Engine, Account]:
    clock = ManualClock()
    engine = Engine(clock, instruments, market=SyntheticMarket(seed=1), seed=1)
    clock.attach(engine)
    return clock, engine, engine.open_account()


@pytest.mark.parametrize(
    ("speak", "instruments"),
    [(okx, INSTRUMENTS), (hitbtc, [XBT_USDT]), (binance, [BTCUSDT]), (plain, None)],
)
def test_every_call_takes_every_value(
    speak: Callable[[Engine], tuple[Any, list[Call]]], instruments: Any
) -> None:
    clock, engine, account = opened(instruments)
    dialect, calls = speak(engine)
    for verb, path, params in calls:
        bodies = [params, *({**params, name: odd} for name in params for odd in ODD)]
        bodies += [] if verb == "GET" else ODD
        for body in bodies:
            if verb == "GET":
                texts = {name: str(value) for name, value in body.items()}
                request = Request(verb, path, texts)
            else:
                query = body if isinstance(body, dict) else {}
                request = Request(verb, path, query, body)
            answer = dialect.handle(request, account)
            assert answer.status in (200, 400, 401, 403, 404, 409, 429), (request, answer)
            jsonx.dumps(answer.body)
            clock.sleep(0.01)
    assert engine.imbalance_sat("XBt") == engine.imbalance_sat("USDt") == 0


@pytest.mark.parametrize("tongue", [faulty_okx, faulty_hitbtc, faulty_binance, faulty_plain])
def test_the_status_can_be_asked_in_every_language(tongue: Callable[[Engine], Any]) -> None:
    clock, engine, _ = opened([*INSTRUMENTS, BTCUSDT])
    hub = FaultyHub(tongue(engine), clock, token="t")
    assert hub.control.status()["accounts"] == 1
    assert "XBTUSD 6" in StatusLine(io.StringIO(), hub).text()


def okx_frames(engine: Engine, account: Account) -> tuple[Any, list[Any]]:
    session = OkxSession(faulty_okx(engine).dialect, "private", account)
    arg = {"channel": "orders", "instType": "SWAP", "instId": "BTC-USD-SWAP"}
    keys = {"apiKey": "k", "passphrase": "p", "timestamp": "1600000000", "sign": "s"}
    return session, [
        {"id": "1", "op": "order", "expTime": "9999999999999", "args": [OKX_ORDER]},
        {"id": "2", "op": "amend-order", "args": [{**OKX_AMEND, "instIdCode": 10_458}]},
        {"id": "3", "op": "batch-cancel-orders", "args": [{"instIdCode": 10_458, "ordId": "1"}]},
        {"op": "subscribe", "args": [arg]},
        {"op": "unsubscribe", "args": [arg]},
        {"op": "login", "args": [keys]},
    ]


def hitbtc_frames(engine: Engine, account: Account) -> tuple[Any, list[Any]]:
    session = HitbtcSession(faulty_hitbtc(engine).dialect, "trading", account)
    names = {"client_order_id": "abcdefgh1", "new_client_order_id": "abcdefgh2"}
    return session, [
        {"id": 1, "method": "spot_new_order", "params": HITBTC_ORDER},
        {"id": 2, "method": "spot_replace_order", "params": {**names, "quantity": "0.001"}},
        {"id": 3, "method": "spot_cancel_order", "params": {"client_order_id": "abcdefgh2"}},
        {"id": 4, "method": "spot_cancel_orders", "params": {"symbol": "BTCUSDT"}},
        {"id": 5, "method": "spot_get_orders", "params": {"symbol": "BTCUSDT"}},
        {"method": "login", "params": {"type": "HS256", "api_key": "k", "timestamp": 1}},
    ]


def hitbtc_public_frames(engine: Engine, account: Account) -> tuple[Any, list[Any]]:
    del account
    params = {"symbols": ["BTCUSDT"], "limit": 1}
    return HitbtcSession(faulty_hitbtc(engine).dialect, "public"), [
        {"method": method, "ch": channel, "params": params, "id": 1}
        for method in ("subscribe", "unsubscribe")
        for channel in ("orderbook/full", "orderbook/top/100ms", "trades", "ticker/1s")
    ]


def binance_frames(engine: Engine, account: Account) -> tuple[Any, list[Any]]:
    del account
    dialect = faulty_binance(engine).dialect
    dialect.api.weights.is_on = False
    methods = [*ROUTES, "userDataStream.subscribe.signature", "userDataStream.unsubscribe"]
    params = {"apiKey": "k", "signature": "s", "timestamp": 1, **BINANCE_CALL}
    return ApiSession(dialect), [{"id": 1, "method": m, "params": params} for m in methods]


def binance_public_frames(engine: Engine, account: Account) -> tuple[Any, list[Any]]:
    del account
    return PublicSession(faulty_binance(engine).dialect, []), [
        {"id": 1, "method": method, "params": ["btcusdt@bookTicker", "btcusdt@depth5"]}
        for method in ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")
    ]


def broken(frame: Any) -> Iterator[Any]:
    """*frame* with each of its values, and each of what they hold, replaced by odd ones."""
    for key, value in frame.items() if isinstance(frame, dict) else enumerate(frame):
        for odd in [*ODD, *(broken(value) if isinstance(value, dict | list) else ())]:
            changed = frame.copy()
            changed[key] = odd
            yield changed


@pytest.mark.parametrize(
    ("speak", "instruments"),
    [
        (okx_frames, INSTRUMENTS), (hitbtc_frames, [XBT_USDT]),
        (hitbtc_public_frames, [XBT_USDT]), (binance_frames, [BTCUSDT]),
        (binance_public_frames, [BTCUSDT]),
    ],
)  # fmt: skip
def test_every_frame_takes_every_value(
    speak: Callable[[Engine, Account], tuple[Any, list[Any]]], instruments: Any
) -> None:
    clock, engine, account = opened(instruments)
    session, frames = speak(engine, account)
    said: list[Any] = []
    session.begin([], said.append)
    for frame in [*frames, *ODD, *(odd for good in frames for odd in broken(good))]:
        said += session.receive(frame)
        session.ending = ""
        jsonx.dumps(said)
        said.clear()
        clock.sleep(0.001)
    assert engine.imbalance_sat("XBt") == engine.imbalance_sat("USDt") == 0
