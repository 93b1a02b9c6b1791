"""How a request to HitBTC v3 is signed: HS256, the hex of an HMAC-SHA256 over what is sent."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any


def sign(
    secret: str, timestamp: str, window: str = "", verb: str = "", path: str = "", body: str = ""
) -> str:
    """The signature in hex. *path* includes the query as it is sent; a login signs only times."""
    text = f"{verb.upper()}{path}{body}{timestamp}{window}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class HitbtcSigner:
    """Gives each request the header of an API key, and each stream its login.

    *server_now* tells the exchange's time in Unix seconds. A REST request that arrives later
    than *valid_s* after it was signed is refused there; requests of the stream know no such
    window. It never shows its secrets.
    """

    def __init__(
        self, key: str, secret: str, server_now: Callable[[], float], *, valid_s: float = 10.0
    ) -> None:
        self._key, self._secret = key, secret
        self._server_now = server_now
        self._window = str(int(valid_s * 1000))

    def __call__(self, verb: str, path: str, body: str = "") -> dict[str, str]:
        if not self._key or "/public/" in path:
            return {}
        timestamp = self._timestamp()
        signature = sign(self._secret, timestamp, self._window, verb, path, body)
        told = f"{self._key}:{signature}:{timestamp}:{self._window}"
        return {"Authorization": f"HS256 {base64.b64encode(told.encode()).decode()}"}

    def login(self) -> dict[str, Any]:
        """The frame that opens the trading stream."""
        timestamp = self._timestamp()
        params = {
            "type": "HS256",
            "api_key": self._key,
            "timestamp": int(timestamp),
            "window": int(self._window),
            "signature": sign(self._secret, timestamp, self._window),
        }
        return {"method": "login", "params": params}

    def _timestamp(self) -> str:
        return str(int(self._server_now() * 1000))
