"""How a request to Binance is signed: hex of HMAC-SHA256 over its parameters (Binance API docs).

Over REST the parameters are percent-encoded first (required since 2026-01-15) and signed in the
order in which they are sent; over the WebSocket API they are sorted by name and signed as they
are.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import quote

RECV_WINDOW_MS = 2000  # what arrives later than so long after it was signed is refused


def sign(secret: str, payload: str) -> str:
    """The signature in lower-case hex."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def query_string(params: Mapping[str, str]) -> str:
    """Parameters as REST sends and signs them, in their order."""
    return "&".join(f"{quote(name, safe='')}={quote(v, safe='')}" for name, v in params.items())


def frame_payload(params: Mapping[str, object]) -> str:
    """Parameters as the WebSocket API signs them: sorted by name, not encoded."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


class BinanceSigner:
    """Adds key, time and signature to parameters. It never shows its secret.

    *server_now* tells the exchange's time in Unix seconds.
    """

    def __init__(self, key: str, secret: str, server_now: Callable[[], float]) -> None:
        self._key, self._secret = key, secret
        self._server_now = server_now

    def __call__(self, *_: str) -> dict[str, str]:
        """The headers of a REST request; the signature is in its query."""
        return {"X-MBX-APIKEY": self._key} if self._key else {}

    def query(self, params: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a signed REST request, the signature last."""
        timed = {**params, **self._times()}
        return {**timed, "signature": sign(self._secret, query_string(timed))}

    def frame(self, params: Mapping[str, object]) -> dict[str, object]:
        """The parameters of a signed request over the WebSocket API."""
        timed = {**params, "apiKey": self._key, **self._times()}
        return {**timed, "signature": sign(self._secret, frame_payload(timed))}

    def _times(self) -> dict[str, str]:
        return {
            "recvWindow": str(RECV_WINDOW_MS),
            "timestamp": str(int(self._server_now() * 1000)),
        }
