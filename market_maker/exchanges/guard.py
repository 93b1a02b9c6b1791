"""A dead man's switch of our own, for venues without one: heartbeats to another process.

The guard greets each connection with a number nobody can foretell; every line after that bears
an HMAC under the shared secret over it, so that nothing can be forged or played back. The
secret itself never travels::

    guard: hello NONCE
    bot:   beat COUNT SECONDS MAC       SECONDS until the guard acts; 0 disarms it
    guard: ok COUNT MAC                 or: locked COUNT MAC

`look` in place of `beat` changes nothing and gets the same answers.
"""

import hmac
import logging
import math
import socket
import socketserver
import threading
from collections.abc import Callable
from secrets import token_hex

from market_maker.clock import Clock
from market_maker.utils.errors import StopTrading

logger = logging.getLogger("root")

_PATIENCE_S = 2.0  # of the bot, which has quotes to tend
_IDLE_S = 7_200.0
_MAX_LINE = 256


class GuardLocked(StopTrading):
    """The guard has cancelled our orders before, and nobody has unlocked it since."""

    exit_code = 3


def mac(secret: str, *words: object) -> str:
    text = "\n".join(map(str, words))
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of "host:port"; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65_536:
        raise ValueError(f"an address is HOST:PORT, was {text!r}")
    return host.strip("[]"), int(port)


class GuardClient:
    """The bot's end. *name* says which bot it is: account, symbol and prefix."""

    def __init__(self, address: str, secret: str, name: str) -> None:
        self._address = parse_address(address)
        self._secret, self._name = secret, name
        self._socket: socket.socket | None = None
        self._nonce = ""
        self._count = 0
        self._is_told = False

    def look(self) -> bool:
        """Whether the guard is there. Raises GuardLocked."""
        return self._try("look", 0.0)

    def beat(self, timeout_s: float | None) -> bool:
        """Ask the guard to act after *timeout_s* of silence, or with None never. False: it will
        not, or cannot be reached. Raises GuardLocked."""
        return self._try("beat", timeout_s or 0.0)

    def _try(self, verb: str, timeout_s: float) -> bool:
        for _ in range(2):  # a connection that was lost meanwhile is made again, once
            try:
                return self._ask(verb, timeout_s)
            except (OSError, ValueError) as error:
                self.close()
                failure = error
        if not self._is_told:
            logger.warning("The guard does not answer: %s", failure)
        self._is_told = True
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, verb: str, timeout_s: float) -> bool:
        line = self._connect()
        self._count += 1
        words = (verb, self._nonce, self._count, f"{timeout_s:g}", self._name)
        signed = mac(self._secret, *words)
        line.sendall(f"{verb} {self._count} {timeout_s:g} {signed}\n".encode())
        answer, _, rest = _read_line(line).partition(" ")
        if rest != f"{self._count} {mac(self._secret, answer, self._nonce, self._count)}":
            raise ValueError("it is not our guard, or has another secret")
        if answer == "locked":
            raise GuardLocked("the guard has locked this bot")
        self._is_told = False
        return answer == "ok"

    def _connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, _PATIENCE_S)
            hello, _, self._nonce = _read_line(self._socket).partition(" ")
            if hello != "hello" or len(self._nonce) != 32:
                raise ValueError("it does not greet as a guard")
        return self._socket


class Watch:
    """When the guard must act. Usable from every connection's thread."""

    def __init__(self, clock: Clock, is_locked: Callable[[], bool]) -> None:
        self.is_locked = is_locked
        self._clock = clock
        self._due_s = math.inf
        self._lock = threading.Lock()

    def beat(self, timeout_s: float) -> bool:
        """A sign of life; False where the bot must not trade."""
        with self._lock:
            if self.is_locked():
                return False
            self._due_s = self._clock.monotonic() + timeout_s if timeout_s else math.inf
            return True

    def is_due(self) -> bool:
        """Whether the bot was silent for too long."""
        return self._clock.monotonic() >= self._due_s

    def lock(self, write: Callable[[], None]) -> bool:
        """Lock, if it is still due: from here on every beat is refused.

        Where *write* fails (a full disk), the guard remembers it for as long as it runs: the
        orders must go whatever the disk says.
        """
        with self._lock:
            if not self.is_due():
                return False
            try:
                write()
            except OSError as error:
                logger.error("The lock cannot be written and ends with this guard: %s", error)
                self.is_locked = lambda: True
            self._due_s = math.inf
            return True


class GuardServer(socketserver.ThreadingTCPServer):
    """Hears heartbeats at *address*; to be served by a thread."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], secret: str, name: str, watch: Watch) -> None:
        self.secret, self.name, self.watch = secret, name, watch
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Listener)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is no news: the silence that follows is."""


class _Listener(socketserver.BaseRequestHandler):
    server: GuardServer

    def handle(self) -> None:
        line, guard, nonce, last = self.request, self.server, token_hex(16), 0
        line.settimeout(_IDLE_S)
        line.sendall(f"hello {nonce}\n".encode())
        while True:
            verb, count, timeout, signed = _read_line(line).split(" ")
            words = (verb, nonce, count, timeout, guard.name)
            if not hmac.compare_digest(mac(guard.secret, *words).encode(), signed.encode()):
                whose = self.client_address[0]
                logger.warning("A heartbeat with a wrong signature from %s.", whose)
                return
            timeout_s = float(timeout)
            if verb not in ("beat", "look") or int(count) <= last or not 0 <= timeout_s <= 3600:
                return
            last = int(count)
            watch = guard.watch
            is_fine = watch.beat(timeout_s) if verb == "beat" else not watch.is_locked()
            answer = "ok" if is_fine else "locked"
            line.sendall(f"{answer} {last} {mac(guard.secret, answer, nonce, last)}\n".encode())


def _read_line(line: socket.socket) -> str:
    """One line; raises OSError when the other end goes, ValueError when it is none."""
    text = b""
    while not text.endswith(b"\n"):
        more = line.recv(_MAX_LINE)
        if not more:
            raise ConnectionError("the connection was closed")
        text += more
        if len(text) > _MAX_LINE:
            raise ValueError("a line that does not end")
    return text[:-1].decode("ascii")
