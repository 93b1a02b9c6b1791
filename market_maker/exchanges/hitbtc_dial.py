"""Connections over the network to HitBTC, or to a server that speaks its protocol."""

import hashlib
import random
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker.auth.hitbtc import HitbtcSigner
from market_maker.clock import Clock
from market_maker.exchanges.hitbtc import HitbtcConnector, private_topics, public_topics
from market_maker.exchanges.hitbtc_orders import API
from market_maker.exchanges.stream import WebSocketStream
from market_maker.exchanges.transport import HttpTransport

HOME = "https://api.hitbtc.com"
DEMO = "https://api.demo.hitbtc.com"


class HitbtcKey(NamedTuple):
    """What an account at HitBTC is known by. Without a key only the market is read."""

    key: str = ""
    secret: str = ""


def open_connector(
    base_url: str | None,
    symbol: str,
    key: HitbtcKey,
    *,
    clock: Clock,
    rng: random.Random,
    prefix: str,
    is_demo: bool = False,
    replays: bool = False,
    spot_inventory: float = 0.0,
    timeout_s: float = 7.0,
) -> HitbtcConnector:
    """A connector to HitBTC, or to *base_url* in its place; without a key a public one."""
    parts = urlsplit(base_url or (DEMO if is_demo else HOME))
    transport = HttpTransport(f"{parts.scheme}://{parts.netloc}", timeout_s=timeout_s, clock=clock)
    signer = HitbtcSigner(*key, lambda: clock.now() + transport.server_offset_s)
    transport.signer = signer
    line = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{API}/ws"
    socket = partial(WebSocketStream, clock=clock, rng=rng, subscription=list, ping_text=None)
    streams = {"public": socket(f"{line}/public", public_topics(symbol))}
    if key.key:
        streams["private"] = socket(
            f"{line}/trading", private_topics(), login=signer.login, login_refusal=login_refusal
        )
    return HitbtcConnector(
        transport,
        streams,
        symbol,
        clock=clock,
        prefix=prefix,
        account_key=hashlib.sha256(key.key.encode()).hexdigest()[:8] if key.key else "public",
        spot_inventory=spot_inventory,
        timeout_s=timeout_s,
        replays=replays,
        offset_s=lambda: transport.server_offset_s,
    )


def login_refusal(answer: Mapping[str, Any]) -> str:
    """Why an answer to a login is no yes, or nothing."""
    if answer.get("result") is True:
        return ""
    error = answer.get("error")
    told = error if isinstance(error, Mapping) else {}
    return str(told.get("description") or told.get("message") or "no reason given")
