"""Signatures of the plain REST exchange: hex HMAC-SHA256 of time, verb, target and body."""

import hmac
from collections.abc import Callable


def plain_signature(secret: str, time_ms: str, verb: str, target: str, body: str = "") -> str:
    """What `X-Sign` must hold.

    >>> plain_signature("secret", "1700000000123", "GET", "/plain/v1/orders?symbol=XBTUSD")[:16]
    '61ea6cc9d5abb9e0'
    """
    text = f"{time_ms}{verb}{target}{body}"
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


class PlainSigner:
    """Makes the headers of a call. *now* is the exchange's time in Unix seconds."""

    def __init__(self, key: str, secret: str, now: Callable[[], float]) -> None:
        self._key, self._secret, self._now = key, secret, now

    def __call__(self, verb: str, target: str, body: str = "") -> dict[str, str]:
        time_ms = str(round(self._now() * 1000))
        signed = plain_signature(self._secret, time_ms, verb, target, body)
        return {"X-Key": self._key, "X-Time": time_ms, "X-Sign": signed}
