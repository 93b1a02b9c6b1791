"""Signing with a short life, as scripts of sample-market-maker import it."""

from requests import PreparedRequest
from requests.auth import AuthBase

from market_maker.auth.APIKeyAuth import sign_prepared
from market_maker.clock import Clock


class APIKeyAuthWithExpires(AuthBase):
    """Signs the requests of a `requests.Session`; each is good for five seconds."""

    def __init__(self, apiKey: str, apiSecret: str) -> None:
        self.apiKey = apiKey
        self.apiSecret = apiSecret

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return sign_prepared(r, self.apiKey, self.apiSecret, round(Clock().now()) + 5)
