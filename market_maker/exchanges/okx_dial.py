"""Connections over the network to OKX, or to a server that speaks its protocol."""

import hashlib
import random
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from market_maker.auth.okx import OkxSigner
from market_maker.clock import Clock
from market_maker.exchanges.okx import OkxConnector, private_topics, public_topics
from market_maker.exchanges.okx_reads import instrument_type
from market_maker.exchanges.okx_rows import instrument_id
from market_maker.exchanges.stream import WebSocketStream
from market_maker.exchanges.transport import HttpTransport

HOME = "https://www.okx.com"
# OKX's regions, by the host of REST: hosts of the stream, live and demo (its API guide)
_STREAM_HOSTS = {
    "www.okx.com": ("ws.okx.com", "wspap.okx.com"),
    "eea.okx.com": ("wseea.okx.com", "wseeapap.okx.com"),
    "us.okx.com": ("wsus.okx.com", "wsuspap.okx.com"),
}
_SILENCE_S = 15.0  # OKX cuts a connection that says nothing for 30 s


class OkxKey(NamedTuple):
    """What an account at OKX is known by. Without a key only the market is read."""

    key: str = ""
    secret: str = ""
    passphrase: str = ""


def open_connector(
    base_url: str | None,
    symbol: str,
    key: OkxKey,
    *,
    clock: Clock,
    rng: random.Random,
    prefix: str,
    is_demo: bool = False,
    will_trade: bool = True,
    margin_mode: str = "cross",
    order_entry: str = "ws",
    spot_inventory: float = 0.0,
    timeout_s: float = 7.0,
) -> OkxConnector:
    """A connector to OKX, or to *base_url* in its place; without a key a public one."""
    origin = _origin(base_url or HOME)
    transport = HttpTransport(origin, timeout_s=timeout_s, clock=clock)
    signer = OkxSigner(*key, lambda: clock.now() + transport.server_offset_s, demo=is_demo)
    transport.signer = signer
    topics = (instrument_id(symbol), instrument_type(symbol))
    line = stream_url(origin, is_demo)
    socket = partial(WebSocketStream, clock=clock, rng=rng, ping_after_s=_SILENCE_S)
    streams = {"public": socket(f"{line}/public", public_topics(*topics))}
    if key.key:
        streams["private"] = socket(f"{line}/private", private_topics(*topics), login=signer.login)
    return OkxConnector(
        transport,
        streams,
        symbol,
        clock=clock,
        prefix=prefix,
        account_key=hashlib.sha256(key.key.encode()).hexdigest()[:8] if key.key else "public",
        margin_mode=margin_mode,
        order_entry=order_entry,
        spot_inventory=spot_inventory,
        timeout_s=timeout_s,
        expires=signer.expires,
        offset_s=lambda: transport.server_offset_s,
        will_trade=will_trade,
    )


def stream_url(origin: str, is_demo: bool) -> str:
    """Where the sockets of *origin* are: OKX has hosts for them, others the same port."""
    parts = urlsplit(origin)
    known = _STREAM_HOSTS.get(parts.hostname or "")
    if known is None:
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws/v5"
    return f"wss://{known[is_demo]}:8443/ws/v5"


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
