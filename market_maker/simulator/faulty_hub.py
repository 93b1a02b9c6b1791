"""A hub whose wire breaks as the faults say, and which takes control calls."""

from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.control import PREFIX, Control
from market_maker.simulator.dialects.bitmex import route_path
from market_maker.simulator.exchange import Account
from market_maker.simulator.faults import UNHARMED, Fate, Faults
from market_maker.simulator.hub import Hub
from market_maker.simulator.limits import Limits
from market_maker.simulator.listener import LOOPBACK, Server
from market_maker.simulator.tongue import Call, Tongue


class FaultyHub(Hub):
    """A hub over a faulty dialect: it does the waiting that a request's fate asks for."""

    def __init__(
        self, tongue: Tongue, clock: Clock, limits: Limits | None = None, *, token: str = ""
    ) -> None:
        """Without a *token* no control call is taken."""
        super().__init__(tongue, clock, limits)
        self.faults: Faults = self.dialect.faults
        self.control = Control(self, self.faults, token)
        self.faults.on_close.append(self.cut)
        self.faults.on_change.append(self._freeze_or_thaw)
        self.actions = 0  # requests so far that were to change something
        self._fate = UNHARMED  # of the request that is under way, under the lock

    def open_port(self, host: str = LOOPBACK, port: int = 0) -> Server:
        """A server of this hub, not yet started; raises OSError when the port is taken."""
        server = Server(self, host, port)
        self.faults.on_change.append(lambda: server.refuse(self.faults.is_refusing))
        return server

    def answer(self, call: Call) -> Answer:
        path = route_path(call.path)
        if path.startswith(PREFIX):
            with self.lock:
                self.advance()
                self.actions += call.verb != "GET"
                return self.control.answer(call)
        if not self.faults.active:
            return super().answer(call)
        fate = self._arrive(call, path)
        self.clock.sleep(fate.before_s)
        with self.lock:
            self._fate = fate
            try:
                answer = super().answer(call)
            finally:
                self._fate = UNHARMED
        self.clock.sleep(fate.after_s)
        return fate.answer if fate.answer and not fate.answer.status else answer

    def _arrive(self, call: Call, path: str) -> Fate:
        """The fate of a request before its signature is looked at, as the network decides it."""
        with self.lock:
            self.advance()
            account = self.engine.account_by_key(self.tongue.key_of(call))
            request = Request(call.verb, path.removeprefix(self.tongue.root))
            fate: Fate = self.dialect.fate(request, account)
            return fate

    def _handle(self, request: Request, account: Account | None) -> Answer:
        self.actions += request.verb != "GET"
        answer: Answer = self.dialect.meet(self._fate, request, account)
        return answer

    def _freeze_or_thaw(self) -> None:
        if self.faults.is_frozen:
            self.thawed.clear()
        else:
            self.thawed.set()
