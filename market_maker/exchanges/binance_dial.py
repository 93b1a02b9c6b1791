"""Connections over the network to Binance spot, or to a server that speaks its protocol."""

import hashlib
import random
import threading
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker.auth.binance import BinanceSigner
from market_maker.clock import Clock
from market_maker.exchanges.binance import BinanceConnector, public_topics
from market_maker.exchanges.binance_calls import FrameCalls, Limits, RestCalls
from market_maker.exchanges.binance_line import SharedLine
from market_maker.exchanges.binance_reads import ServerTime
from market_maker.exchanges.stream import WebSocketStream
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.wire import Stream

HOME = "https://api.binance.com"
TESTNET = "https://testnet.binance.vision"
# by the host of REST: the WebSocket API and the public streams (Binance's spot API docs)
_SOCKETS = {
    "api.binance.com": (
        "wss://ws-api.binance.com:443/ws-api/v3",
        "wss://stream.binance.com:9443/stream",
    ),
    "testnet.binance.vision": (
        "wss://ws-api.testnet.binance.vision/ws-api/v3",
        "wss://stream.testnet.binance.vision/stream",
    ),
}
_SILENCE_S = 15.0
_lines: dict[tuple[str, str], SharedLine] = {}  # (address, key) -> the account's one socket
_lock = threading.Lock()


class BinanceKey(NamedTuple):
    """What an account at Binance is known by. Without a key only the market is read."""

    key: str = ""
    secret: str = ""


def open_connector(
    base_url: str | None,
    symbol: str,
    key: BinanceKey,
    *,
    clock: Clock,
    rng: random.Random,
    prefix: str,
    is_testnet: bool = False,
    ws_per_bot: bool = True,
    will_trade: bool = True,
    spot_inventory: float = 0.0,
    timeout_s: float = 7.0,
) -> BinanceConnector:
    """A connector to Binance, or to *base_url* in its place; without a key a public one.

    With *ws_per_bot* it has a socket for orders of its own, else all connectors of the account
    in this process share one.
    """
    parts = urlsplit(base_url or (TESTNET if is_testnet else HOME))
    origin = f"{parts.scheme}://{parts.netloc}"
    transport = HttpTransport(origin, timeout_s=timeout_s, clock=clock)
    limits, time = Limits(), ServerTime(clock)
    signer = BinanceSigner(*key, time.now)
    transport.signer = signer
    orders, market = socket_urls(origin)
    socket = partial(
        WebSocketStream, clock=clock, rng=rng, ping_after_s=_SILENCE_S, ping_text=None,
    )  # fmt: skip
    streams: dict[str, Stream] = {
        "public": socket(market, public_topics(symbol), subscription=subscription)
    }
    frames = None
    if key.key:
        line: Any = socket(orders, [])
        if not ws_per_bot:
            with _lock:
                shared = _lines.get((orders, key.key))
                if shared is None or shared.is_closed:
                    shared = _lines[orders, key.key] = SharedLine(line)
                line = shared.member()
        streams["private"] = line
        frames = FrameCalls(line.send, signer, limits, clock, timeout_s)
    return BinanceConnector(
        RestCalls(transport, signer, limits),
        frames,
        streams,
        symbol,
        limits=limits,
        time=time,
        prefix=prefix,
        account_key=hashlib.sha256(key.key.encode()).hexdigest()[:8] if key.key else "public",
        spot_inventory=spot_inventory,
        will_trade=will_trade,
    )


def subscription(topics: list[str]) -> dict[str, Any]:
    """The frame that follows *topics*."""
    return {"method": "SUBSCRIBE", "params": topics, "id": 1}


def socket_urls(origin: str) -> tuple[str, str]:
    """Where the WebSocket API and the streams of *origin* are: a host of their own at Binance,
    the same port elsewhere."""
    parts = urlsplit(origin)
    known = _SOCKETS.get(parts.hostname or "")
    if known is not None:
        return known
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}/ws-api/v3", f"{scheme}://{parts.netloc}/stream"
