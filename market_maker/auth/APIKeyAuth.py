"""Signing as strategies and scripts of sample-market-maker import it."""

from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from market_maker.auth import signing
from market_maker.clock import Clock


def generate_expires() -> int:
    """Unix seconds, an hour from now."""
    return int(Clock().now() + 3600)


def generate_signature(
    secret: str, verb: str, url: str, nonce: int, data: str | bytes | None
) -> str:
    """The signature of a call of *url*, which may be a path or a full address."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = data.decode() if isinstance(data, bytes | bytearray) else data or ""
    return signing.sign(secret, verb, path, nonce, body)


def sign_prepared(request: PreparedRequest, key: str, secret: str, expires: int) -> PreparedRequest:
    """Add the three headers of a key to what `requests` is about to send."""
    body = request.body if isinstance(request.body, str | bytes) else None
    verb, url = request.method or "GET", request.url or ""
    request.headers["api-expires"] = str(expires)
    request.headers["api-key"] = key
    request.headers["api-signature"] = generate_signature(secret, verb, url, expires, body)
    return request


class APIKeyAuth(AuthBase):
    """Signs the requests of a `requests.Session`; each is good for an hour."""

    generate_expires = staticmethod(generate_expires)
    generate_signature = staticmethod(generate_signature)

    def __init__(self, apiKey: str, apiSecret: str) -> None:
        self.apiKey = apiKey
        self.apiSecret = apiSecret

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return sign_prepared(r, self.apiKey, self.apiSecret, generate_expires())
