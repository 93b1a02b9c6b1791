"""How a request is signed: HMAC-SHA256 over what is sent, byte for byte (BitMEX, API Key Usage)."""

import hashlib
import hmac
import math
from collections.abc import Callable

WS_PATH = "/realtime"  # signed without the query, whatever the query is


def sign(secret: str, verb: str, path: str, expires: int, body: str = "") -> str:
    """The signature in lower-case hex. *path* includes the query exactly as it is sent."""
    text = f"{verb.upper()}{path}{expires}{body}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class KeySigner:
    """Gives each request the headers of an API key.

    *server_now* tells the exchange's time in Unix seconds; a request is good for *valid_s*
    seconds from then, rounded up to the next whole one. It never shows its secret.
    """

    def __init__(
        self, key: str, secret: str, server_now: Callable[[], float], *, valid_s: float = 5.0
    ) -> None:
        self._key = key
        self._mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)  # prepared: copied to sign
        self._server_now = server_now
        self._valid_s = valid_s

    def __call__(self, verb: str, path: str, body: str = "") -> dict[str, str]:
        expires = str(math.ceil(self._server_now() + self._valid_s))
        mac = self._mac.copy()
        mac.update(f"{verb.upper()}{path}{expires}{body}".encode())
        return {
            "api-key": self._key,
            "api-expires": expires,
            "api-signature": mac.hexdigest(),
        }
