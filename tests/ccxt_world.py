"""A bot that polls Binance's dialect through ccxt, in one process on a manual clock."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from market_maker import jsonx
from market_maker.exchanges.base import Connector
from market_maker.exchanges.ccxt_rest import CcxtVenue, new_exchange
from market_maker.exchanges.polled import PolledConnector
from market_maker.model.wire import Answer
from market_maker.settings import Settings
from market_maker.simulator.binance_tongue import BinanceTongue, FaultyBinance
from market_maker.simulator.tongue import Call
from market_maker.simulator.twin import TwinTransport
from tests.binance_world import BinanceWorld


class Session:
    """What ccxt takes for `requests`: its calls are read by the dialect, bytes and signature."""

    def __init__(self, world: BinanceWorld, timeout_s: float) -> None:
        self._world, self._timeout_s = world, timeout_s
        self._tongue = BinanceTongue(FaultyBinance(world.engine, world.faults))
        self.cookies: list[Any] = []
        self.headers: dict[str, str] = {}

    def request(
        self, method: str, url: str, *, data: Any = None, headers: Any = None, **_: Any
    ) -> requests.Response:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        named = {name.lower(): str(value) for name, value in (headers or {}).items()}
        body = data.encode() if isinstance(data, str) else data or b""
        heard = self._tongue.read(Call(method, target, named, body, "127.0.0.1"))
        if heard.refusal is not None:
            return _response(heard.refusal)
        transport = TwinTransport(
            self._tongue.dialect, heard.account, self._world.clock, self._timeout_s
        )
        (answer,) = transport.send([heard.request])
        if answer.status:
            return _response(answer)
        if not answer.sent:
            raise requests.exceptions.ConnectionError(answer.error)
        raise requests.exceptions.ReadTimeout(answer.error)

    def close(self) -> None:
        """Nothing to close."""


def _response(answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code, response.reason = answer.status, ""
    is_page = isinstance(answer.body, str)
    response._content = (answer.body if is_page else jsonx.dumps(answer.body)).encode()
    response.headers.update(answer.headers)
    return response


class CcxtWorld(BinanceWorld):
    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        pytest.importorskip("ccxt")
        exchange = new_exchange(
            "binance", self.account.key, self.account.secret, "", settings.TIMEOUT
        )
        exchange.session = Session(self, settings.TIMEOUT)
        exchange.milliseconds = lambda: round((self.clock.now() + self.engine.skew_s) * 1000)
        venue = CcxtVenue(
            exchange,
            settings.SYMBOL,
            settings.ORDERID_PREFIX,
            inventory=settings.SPOT_BASE_INVENTORY,
        )
        return PolledConnector(
            venue, settings.SYMBOL, clock=self.clock, account_key=str(self.account.number)
        )
