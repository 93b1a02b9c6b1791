"""The hot way to an exchange: warm connections, and a batch under way on all of them at once.

What `requests` does around one call costs several times what the call does. Here a request is one
write and an answer one read of a socket that is open already; one thread sends a whole batch and
then gathers the answers, which threads would only slow down. There is no redirect, no cookie and
no proxy: what needs them goes the way of `requests`.
"""

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from urllib3.util.wait import wait_for_read

from market_maker.clock import Clock
from market_maker.exchanges.http_bytes import (
    NotHttp,
    Rendered,
    Reply,
    content_length,
    read_chunks,
    read_head,
)

_READ_BYTES = 65_536
_MOST_HEAD = 65_536
# For a dozen sockets it needs one call of the system, where epoll needs one for each of them.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.DefaultSelector
)


class Lane:
    """One connection, with at most one request under way."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._data = b""

    def is_usable(self) -> bool:
        """Whether nothing has come unasked, such as the end of the connection."""
        if self._data or not wait_for_read(self.sock, timeout=0):
            return not self._data
        if not isinstance(self.sock, ssl.SSLSocket):
            return False
        timeout_s = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:  # TLS hands tickets out after the handshake, which are no data
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            pass
        else:
            return False
        finally:
            self.sock.settimeout(timeout_s)
        return False

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> Reply | None:
        """Read once; the reply when it is complete. Raises OSError where none can follow."""
        data = self.sock.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("closed before the answer was complete")
        self._data += data
        while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            self._data += self.sock.recv(_READ_BYTES)
        return self._cut()

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()

    def _cut(self) -> Reply | None:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            if len(self._data) > _MOST_HEAD:
                raise NotHttp("an endless head")
            return None
        status, headers = read_head(head)
        if status < 200 and status != 101:
            self._data = rest  # "continue": the answer itself follows
            return self._cut() if rest else None
        if status in (101, 204, 304):
            body, used = b"", 0
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            found = read_chunks(rest)
            if found is None:
                return None
            body, used = found
        else:
            used = content_length(headers)
            if len(rest) < used:
                return None
            body = rest[:used]
        self._data = rest[used:]
        return Reply(status, body, headers)


class Lanes:
    """At most *most* requests under way at a time to one origin; more wait for a free lane.

    *bundle* is a file or folder of certificates, *timeout_s* how long connecting may last, and then
    the whole answer, however it comes. Usable from any thread; each call uses lanes that nobody
    else has.
    """

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        *,
        most: int,
        timeout_s: float,
        bundle: str,
        clock: Clock,
    ) -> None:
        self._scheme, self._address = scheme, (host.strip("[]"), port)
        self._most, self._timeout_s, self._clock = most, timeout_s, clock
        self._free: deque[Lane] = deque()
        self._bundle = bundle
        self._context: ssl.SSLContext | None = None
        self._is_closed = False
        self.on_written: Callable[[], None] = _nothing  # called when a request has left

    def warm(self, count: int | None = None) -> bool:
        """Have *count* connections open, replacing those that the exchange has closed; False when
        there will be no more calls."""
        for _ in range(len(self._free)):
            with suppress(IndexError):
                lane = self._free.popleft()
                (self._free.append if lane.is_usable() else _drop)(lane)
        with suppress(OSError, ValueError):  # who needs one later finds out why
            while len(self._free) < min(count or self._most, self._most) and not self._is_closed:
                self._give_back(self._open())
        return not self._is_closed

    def close(self) -> None:
        self._is_closed = True
        while self._free:
            self._free.pop().close()

    def exchange(
        self, calls: Sequence[Rendered], render: Callable[[Rendered], bytes]
    ) -> list[Reply]:
        """One reply for each call, in order. *render* makes the bytes just before they leave."""
        if len(calls) == 1:
            return [self._one(calls[0], render)]
        replies: dict[int, Reply] = {}
        waiting = deque(enumerate(calls))
        with _Selector() as selector:
            under_way: dict[Lane, tuple[int, float]] = {}  # lane -> call, when it is given up
            try:
                while waiting or under_way:
                    while waiting and len(under_way) < self._most:
                        index, call = waiting.popleft()
                        self._start(index, call, render, selector, under_way, replies)
                    self._gather(selector, under_way, replies)
            finally:  # interrupted: nobody can say what these would still read
                for lane in under_way:
                    lane.close()
        return [replies[index] for index in range(len(calls))]

    def _one(self, call: Rendered, render: Callable[[Rendered], bytes]) -> Reply:
        """The same for one call, without a selector."""
        try:
            data = render(call)
            lane = self._take()
        except (OSError, ValueError) as error:
            return Reply(sent=False, error=error)
        reply = None
        try:
            end_s = self._clock.monotonic() + self._timeout_s
            lane.send(data)
            self.on_written()
            reply = lane.receive()
            while reply is None:
                if not wait_for_read(lane.sock, max(0.0, end_s - self._clock.monotonic())):
                    raise TimeoutError("no whole answer in time")
                reply = lane.receive()
            return reply
        except OSError as error:
            return Reply(error=error)
        finally:
            self._done(lane, reply)

    def _start(
        self,
        index: int,
        call: Rendered,
        render: Callable[[Rendered], bytes],
        selector: selectors.BaseSelector,
        under_way: dict[Lane, tuple[int, float]],
        replies: dict[int, Reply],
    ) -> None:
        try:
            data = render(call)
            lane = self._take()
        except (OSError, ValueError) as error:
            replies[index] = Reply(sent=False, error=error)
            return
        under_way[lane] = index, self._clock.monotonic() + self._timeout_s
        try:
            lane.send(data)
        except OSError as error:
            replies[index] = Reply(error=error)
            del under_way[lane]
            lane.close()
            return
        self.on_written()
        selector.register(lane.sock, selectors.EVENT_READ, lane)

    def _gather(
        self,
        selector: selectors.BaseSelector,
        under_way: dict[Lane, tuple[int, float]],
        replies: dict[int, Reply],
    ) -> None:
        """Wait for the next answers; those that are complete, or too late, are no longer waited
        for."""
        if not under_way:
            return
        first_s = min(end_s for _, end_s in under_way.values())
        ready = selector.select(max(0.0, first_s - self._clock.monotonic()))
        for key, _ in ready:
            lane: Lane = key.data
            try:
                reply = lane.receive()
            except OSError as error:
                reply = Reply(error=error)
            if reply is not None:
                self._end(lane, reply, selector, under_way, replies)
        now_s = self._clock.monotonic()
        for lane in [lane for lane, (_, end_s) in under_way.items() if end_s <= now_s]:
            late = Reply(error=TimeoutError("no whole answer in time"))
            self._end(lane, late, selector, under_way, replies)

    def _end(
        self,
        lane: Lane,
        reply: Reply,
        selector: selectors.BaseSelector,
        under_way: dict[Lane, tuple[int, float]],
        replies: dict[int, Reply],
    ) -> None:
        selector.unregister(lane.sock)
        index, _ = under_way.pop(lane)
        replies[index] = reply
        self._done(lane, reply)

    def _done(self, lane: Lane, reply: Reply | None) -> None:
        """Keep the lane for the next call, unless something is wrong with it."""
        is_good = reply is not None and reply.error is None
        if is_good and reply.headers.get("connection", "").lower() != "close":  # type: ignore[union-attr]
            self._give_back(lane)
        else:
            lane.close()

    def _give_back(self, lane: Lane) -> None:
        if not self._is_closed and len(self._free) < self._most:
            self._free.append(lane)
        else:
            lane.close()

    def _take(self) -> Lane:
        """A lane that is open as far as anybody can tell."""
        while True:
            try:
                lane = self._free.popleft()
            except IndexError:
                return self._open()
            if lane.is_usable():
                return lane
            lane.close()

    def _open(self) -> Lane:
        sock = socket.create_connection(self._address, self._timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._scheme != "https":
            return Lane(sock)
        if self._context is None:
            self._context = tls_context(self._bundle)
        try:
            return Lane(self._context.wrap_socket(sock, server_hostname=self._address[0]))
        except BaseException:
            sock.close()
            raise


def _nothing() -> None:
    """Nobody wants to know."""


def _drop(lane: Lane) -> None:
    lane.close()


def tls_context(bundle: str) -> ssl.SSLContext:
    """Checks host names against the certificates in *bundle*, a file or a folder."""
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
