"""Connections over the network to a server that speaks BitMEX's protocol."""

import hashlib
import random
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from market_maker.auth.signing import WS_PATH, KeySigner
from market_maker.clock import Clock
from market_maker.exchanges.bitmex import BitMEXConnector, topics
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.gateway import GatewayRules
from market_maker.exchanges.stream import WebSocketStream
from market_maker.exchanges.throttle import RateBudget
from market_maker.exchanges.transport import HttpTransport
from market_maker.journal import Journal

_STREAM_AUTH_VALID_S = 60.0


def open_connector(
    base_url: str,
    symbol: str,
    key: str = "",
    secret: str = "",
    *,
    clock: Clock,
    rng: random.Random,
    timeout_s: float = 7.0,
    bulk: bool | str = "auto",
    should_stream_account: bool = True,
    on_stop: Callable[[], None] = lambda: None,
) -> BitMEXConnector:
    """A connector to *base_url*, such as "https://host/api/v1/"; without a key a public one."""
    transport = HttpTransport(base_url, timeout_s=timeout_s, clock=clock)

    def server_now() -> float:
        return clock.now() + transport.server_offset_s

    stream_headers = None
    if key:
        transport.signer = KeySigner(key, secret, server_now)
        if should_stream_account:
            signer = KeySigner(key, secret, server_now, valid_s=_STREAM_AUTH_VALID_S)
            stream_headers = lambda: signer("GET", WS_PATH)  # noqa: E731
    stream = WebSocketStream(
        stream_url(base_url),
        topics(symbol, stream_headers is not None),
        headers=stream_headers,
        clock=clock,
        rng=rng,
    )
    return BitMEXConnector(
        transport,
        stream,
        symbol,
        endpoint=stream_url(base_url),
        account_key=hashlib.sha256(key.encode()).hexdigest()[:8] if key else "public",
        bulk=bulk,
        offset_s=lambda: transport.server_offset_s,
        on_stop=on_stop,
    )


def open_desk(
    base_url: str,
    symbol: str,
    key: str = "",
    secret: str = "",
    *,
    prefix: str = "mm_bitmex_",
    timeout_s: float = 7.0,
    should_stream_account: bool = True,
) -> Desk:
    """An open desk without limits or journal file, for scripts that use the verbs alone."""
    clock, rng = Clock(), random.Random()
    connector = open_connector(
        base_url,
        symbol,
        key,
        secret,
        clock=clock,
        rng=rng,
        timeout_s=timeout_s,
        should_stream_account=should_stream_account,
    )
    desk = Desk(
        connector,
        clock=clock,
        journal=Journal(":memory:", clock),
        budget=RateBudget(clock, *connector.caps.budget),
        rng=rng,
        rules=GatewayRules,
        prefix=prefix,
        has_account=bool(key) and should_stream_account,
    )
    desk.open()
    return desk


def stream_url(base_url: str) -> str:
    """The WebSocket beside a REST address: same host and port, path /realtime."""
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, WS_PATH, "", ""))
