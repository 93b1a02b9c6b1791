"""A bot that polls through ccxt's own classes, in one process on a manual clock."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from market_maker import jsonx
from market_maker.exchanges.base import Connector
from market_maker.exchanges.ccxt_quirks import QUIRKS, paced
from market_maker.exchanges.ccxt_rest import CcxtVenue, new_exchange
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.reads import PACE
from market_maker.model.wire import Answer, Request
from market_maker.settings import Settings
from market_maker.simulator.binance_tongue import BinanceTongue, FaultyBinance
from market_maker.simulator.dialects.binance_rows import BTCUSDT
from market_maker.simulator.exchange import Account, MarketSource
from market_maker.simulator.tongue import Call
from market_maker.simulator.twin import TwinTransport
from tests.binance_world import BinanceWorld
from tests.ccxt_tongues import TONGUES, Refused


class Session:
    """What ccxt takes for `requests`: its calls are read to the byte, signature and all."""

    def __init__(self, world: "CcxtWorld", timeout_s: float) -> None:
        self._world, self._timeout_s = world, timeout_s
        self._binance = BinanceTongue(FaultyBinance(world.engine, world.faults))
        self.cookies: list[Any] = []
        self.headers: dict[str, str] = {}

    def request(
        self, method: str, url: str, *, data: Any = None, headers: Any = None, **_: Any
    ) -> requests.Response:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        named = {name.lower(): str(value) for name, value in (headers or {}).items()}
        body = data.encode() if isinstance(data, str) else data or b""
        call = Call(method, target, {**named, "host": parts.netloc}, body, "127.0.0.1")
        answer = self._foreign(call) if self._world.tongue else self._own(call)
        if answer.status:
            return _response(answer)
        if not answer.sent:
            raise requests.exceptions.ConnectionError(answer.error)
        raise requests.exceptions.ReadTimeout(answer.error)

    def _own(self, call: Call) -> Answer:
        heard = self._binance.read(call)
        return heard.refusal or self._ask(heard.request, heard.account)

    def _foreign(self, call: Call) -> Answer:
        tongue = self._world.tongue
        assert tongue is not None
        try:
            request, shape, account = tongue.read(call)
        except Refused as refused:
            return refused.answer
        answer = self._ask(request, account)
        if not answer.status or not isinstance(answer.body, dict | list):
            return answer
        if answer.status == 200:
            return answer._replace(body=shape(answer.body))
        code, text = answer.body["code"], answer.body["msg"]
        if "immediately match" in text and tongue.takes_and_cancels:
            return Answer(200, shape({"orderId": tongue.ghost(request)}), {})
        return answer._replace(body=tongue.refusal(code, text))

    def _ask(self, request: Request, account: Account | None) -> Answer:
        transport = TwinTransport(
            self._binance.dialect, account, self._world.clock, self._timeout_s
        )
        return transport.send([request])[0]

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
    """*venue* is ccxt's name of the exchange that is played."""

    def __init__(
        self, market: MarketSource | None = None, seed: int = 1, venue: str = "binance",
        **engine: Any,
    ) -> None:  # fmt: skip
        # of HTX and Kraken ticks are powers of ten
        tenths = replace(BTCUSDT, tick_size=0.1) if venue in ("htx", "kraken") else BTCUSDT
        super().__init__(market, seed, instruments=[tenths], **engine)
        self.venue = venue
        self.tongue = TONGUES[venue](self.engine) if venue in TONGUES else None

    def connector(
        self, settings: Settings, profile: str, wrap: Callable[[Any], Any] | None
    ) -> Connector:
        pytest.importorskip("ccxt")
        key, secret = self.account.key, self.account.secret
        if self.tongue is not None:
            key, secret = self.tongue.keys(self.account)
        exchange = new_exchange(self.venue, key, secret, "", settings.TIMEOUT)
        exchange.session = Session(self, settings.TIMEOUT)
        exchange.milliseconds = lambda: round((self.clock.now() + self.engine.skew_s) * 1000)
        venue = CcxtVenue(
            exchange,
            settings.SYMBOL,
            settings.ORDERID_PREFIX,
            inventory=settings.SPOT_BASE_INVENTORY,
        )
        return PolledConnector(
            venue,
            settings.SYMBOL,
            clock=self.clock,
            pace=paced(PACE, QUIRKS[self.venue]),
            account_key=str(self.account.number),
        )
