"""How a request to OKX is signed: base64 of HMAC-SHA256 over what is sent (OKX v5 API guide)."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

LOGIN_PATH = "/users/self/verify"
_PUBLIC = ("/api/v5/public/", "/api/v5/market/")  # answered to anybody, whatever our clock says


def sign(secret: str, timestamp: str, verb: str, path: str, body: str = "") -> str:
    """The signature in base64. *path* includes the query exactly as it is sent."""
    text = f"{timestamp}{verb.upper()}{path}{body}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class OkxSigner:
    """Gives each request the headers of an API key, and each stream its login.

    *server_now* tells the exchange's time in Unix seconds. An order that reaches the exchange
    later than *valid_s* after it was signed is refused there (`expTime`), so that a lost request
    cannot come to life. With *demo* the calls go to the demo environment. It never shows its
    secrets.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        passphrase: str,
        server_now: Callable[[], float],
        *,
        valid_s: float = 2.0,
        demo: bool = False,
    ) -> None:
        self._key, self._secret, self._passphrase = key, secret, passphrase
        self._server_now = server_now
        self._valid_s = valid_s
        self._fixed = {"x-simulated-trading": "1"} if demo else {}

    def __call__(self, verb: str, path: str, body: str = "") -> dict[str, str]:
        if not self._key or path.startswith(_PUBLIC):
            return dict(self._fixed)
        timestamp = iso_ms(self._server_now())
        headers = {
            "OK-ACCESS-KEY": self._key,
            "OK-ACCESS-PASSPHRASE": self._passphrase,
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-SIGN": sign(self._secret, timestamp, verb, path, body),
            **self._fixed,
        }
        if verb.upper() == "POST":
            headers["expTime"] = self.expires()
        return headers

    def expires(self) -> str:
        """When what is sent now is no longer to be acted on (Unix milliseconds)."""
        return str(int((self._server_now() + self._valid_s) * 1000))

    def login(self) -> dict[str, object]:
        """The frame that opens a private stream."""
        timestamp = str(int(self._server_now()))
        argument = {
            "apiKey": self._key,
            "passphrase": self._passphrase,
            "timestamp": timestamp,
            "sign": sign(self._secret, timestamp, "GET", LOGIN_PATH),
        }
        return {"op": "login", "args": [argument]}


def iso_ms(time_s: float) -> str:
    """Unix seconds as 2023-11-14T22:13:20.123Z."""
    moment = datetime.fromtimestamp(round(time_s, 3), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
