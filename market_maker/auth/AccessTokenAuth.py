"""Access by token, as scripts of sample-market-maker import it."""

from requests import PreparedRequest
from requests.auth import AuthBase


class AccessTokenAuth(AuthBase):
    """Adds an access token, if there is one, to the requests of a `requests.Session`."""

    def __init__(self, accessToken: str | None) -> None:
        self.token = accessToken

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if self.token:
            r.headers["access-token"] = self.token
        return r
