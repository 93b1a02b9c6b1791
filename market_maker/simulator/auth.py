"""API-key authentication as BitMEX documents it: HMAC-SHA256 over the bytes as sent."""

import hmac
import math
from collections.abc import Mapping

from market_maker.simulator.exchange import Account, Engine, Refused

NAMES = ("api-key", "api-expires", "api-signature")
NONCE = "api-nonce"  # the scheme before `expires`; BitMEX gave it up


def signature(secret: str, verb: str, path: str, expires: str, body: bytes = b"") -> str:
    """Hex signature; *path* includes the query string exactly as sent."""
    text = f"{verb}{path}{expires}".encode() + body
    return hmac.digest(secret.encode(), text, "sha256").hex()


def identify(
    engine: Engine,
    credentials: Mapping[str, str],
    verb: str,
    path: str,
    body: bytes = b"",
) -> Account | None:
    """The account that signed the call; None for a call without a key. Raises Refused."""
    key, expires, signed = (str(credentials.get(name) or "") for name in NAMES)
    if not (key or signed):
        return None
    account = engine.account_by_key(key)
    if account is None:
        raise Refused("Invalid API Key.", 401)
    if not expires and credentials.get(NONCE):
        raise Refused("Nonces are not supported: sign `api-expires` instead.", 401)
    expected = signature(account.secret, verb, path, expires, body)
    if not hmac.compare_digest(expected.encode(), signed.lower().encode()):
        raise Refused("Signature not valid.", 401)
    if not account.is_enabled:
        raise Refused("This key is disabled.", 403)
    _check_expiry(expires, engine.now() + engine.skew_s)
    return account


def _check_expiry(expires: str, now_s: float) -> None:
    # read as seconds whatever was meant: ccxt signs the present in milliseconds, which in
    # seconds is never over, and so it was always in time
    try:
        until = float(expires)
    except ValueError:
        until = math.nan
    if not math.isfinite(until):
        raise Refused("Signature not valid.", 401)
    if until < int(now_s):
        raise Refused(
            f"This request has expired - `expires` is in the past. Current time: {int(now_s)}"
        )
