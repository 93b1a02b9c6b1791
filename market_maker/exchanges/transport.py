"""REST over one keep-alive session: requests in, answers out, and never an exception.

This is the one place where a request's headers exist, and nothing here logs them or puts
them into a text: errors are told in our own words, never in those of an exception.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import ip_address
from os import environ
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3.exceptions import HTTPError

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.exchanges.http_bytes import Rendered, Reply, header_lines, request_bytes
from market_maker.exchanges.lanes import Lanes
from market_maker.exchanges.server_clock import ServerClock
from market_maker.exchanges.wire_errors import LOST, classify, hot_phrase, page_phrase
from market_maker.model.latency import Latency
from market_maker.model.wire import Answer, Request
from market_maker.utils.constants import VERSION

Signer = Callable[[str, str, str], Mapping[str, str]]  # (verb, path?query, body) -> headers

_REPEATABLE = frozenset({"GET", "DELETE"})  # asking twice does no more than asking once
_WARM_EVERY_S = 5.0
_PART_BYTES = 65_536
_PATH_SAFE = "/%?&=:@!$'()*+,;~"


def is_loopback(host: str | None) -> bool:
    """Whether *host* is this machine, which no proxy can reach for us."""
    name = (host or "").strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def ca_bundle() -> str | None:
    """The file or folder of certificates the environment names, or None for certifi's."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next((environ[name] for name in names if environ.get(name)), None)


class HttpTransport:
    """Sends signed JSON requests below *base_url*, such as "https://host/api/v1/".

    `send` of one request works in the calling thread, of several concurrently over at most
    *pool* connections that stay open. Redirects are handed back as they are, since following
    one would show our headers to somebody else. Nothing is sent twice, but for a GET or
    DELETE whose connection broke: the exchange may have closed an idle one just then.
    *timeout_s* is how long connecting may last, and then the whole answer. What changes something
    goes over warm connections of its own (`Lanes`), so that it waits for no read, and reads go over
    others, unless *hot* is False or a proxy stands between: then `requests` carries both, whose
    head of an answer has *timeout_s* for each piece.
    """

    def __init__(
        self,
        base_url: str,
        signer: Signer | None = None,
        *,
        timeout_s: float = 7.0,
        pool: int = 12,
        session: requests.Session | None = None,
        clock: Clock | None = None,
        user_agent: str = f"marketmaker/{VERSION}",
        hot: bool = True,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a base URL begins with http:// or https://, was {base_url!r}")
        self.signer = signer
        self.timeout_s = timeout_s
        self.session = session or requests.Session()
        _set_up(self.session, base_url, pool, user_agent)
        self._server_clock = ServerClock(clock or Clock())
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host, self._prefix = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
        self._pool = pool
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._lanes: Lanes | None = None
        self._reads: Lanes | None = None
        if hot and session is None and not self.session.proxies:
            self._lanes, self._reads = (
                Lanes(
                    parts.scheme,
                    parts.hostname,
                    parts.port or (443 if parts.scheme == "https" else 80),
                    most=pool,
                    timeout_s=timeout_s,
                    bundle=ca_bundle() or DEFAULT_CA_BUNDLE_PATH,
                    clock=clock or Clock(),
                )
                for _ in range(2)
            )

    @property
    def server_offset_s(self) -> float:
        """The exchange's clock minus ours, in seconds, good to about half a second."""
        return self._server_clock.offset_s

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, in order. Never raises for what the wire does."""
        calls = [self._render(request) for request in requests]  # may raise: before all bytes
        lanes = self._reads if any(call.verb == "GET" for call in calls) else self._lanes
        if lanes is not None and calls:
            return self._send_hot(lanes, calls)
        if len(calls) < 2:
            return [self._send(call) for call in calls]
        return list(self._workers().map(self._send, calls))

    def measure(self, latency: Latency) -> None:
        if self._lanes is not None:
            self._lanes.on_written = latency.written

    def keep_warm(self, count: int | None = None) -> None:
        """Have the connections open that a batch of *count* (default: all) will need, from now on
        until `close`."""
        lanes = self._lanes
        if lanes is not None:
            lanes.warm(count)
            self._server_clock.clock.repeat(
                lambda: _WARM_EVERY_S if lanes.warm(count) else None, "keep-warm"
            )

    def close(self) -> None:
        for lanes in (self._lanes, self._reads):
            if lanes is not None:
                lanes.close()
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=False, cancel_futures=True)
                self._executor = None
        self.session.close()

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._pool, thread_name_prefix="rest")
            return self._executor

    def _render(self, request: Request) -> Rendered:
        body = "" if request.body is None else jsonx.dumps_plain(request.body)
        return Rendered(request.verb.upper(), self._prefix + _target(request), body)

    def _send_hot(self, lanes: Lanes, calls: list[Rendered]) -> list[Answer]:
        answers = self._exchange_hot(lanes, calls)
        again = [
            i
            for i, (call, answer) in enumerate(zip(calls, answers, strict=True))
            if answer.error == LOST and call.verb in _REPEATABLE
        ]
        if again:
            second = self._asked_again(lanes, [calls[i] for i in again])
            for i, answer in zip(again, second, strict=True):
                answers[i] = answer
        return answers

    def _asked_again(self, lanes: Lanes, calls: list[Rendered]) -> list[Answer]:
        """Reads by `requests`, which understands answers whose end only the close tells."""
        if lanes is self._reads:
            return [self._exchange(call) for call in calls]
        return self._exchange_hot(lanes, calls)

    def _exchange_hot(self, lanes: Lanes, calls: list[Rendered]) -> list[Answer]:
        sent_at = self._server_clock.local()
        try:
            lines = self._common_lines()
        except ValueError as error:
            replies = [Reply(sent=False, error=error)] * len(calls)
        else:
            replies = lanes.exchange(calls, lambda call: self._signed(call, lines))
        return [self._hot_answer(reply, sent_at) for reply in replies]

    def _hot_answer(self, reply: Reply, sent_at: float) -> Answer:
        if reply.error is not None:
            return Answer(0, None, {}, reply.sent, hot_phrase(reply.error, reply.sent))
        body = _decode(reply.content)
        self._server_clock.learn(reply.headers.get("date"), body, sent_at)
        return self._told(Answer(reply.status, body, reply.headers))

    def _told(self, answer: Answer) -> Answer:
        if not answer.is_page:
            return answer
        return answer._replace(error=page_phrase(self._host, answer.status, answer.body))

    def _common_lines(self) -> str:
        """The headers that all calls of a batch share."""
        own = {name.lower(): str(value) for name, value in self.session.headers.items()}
        return header_lines([("host", self._host), *{**own, "accept-encoding": "identity"}.items()])

    def _signed(self, call: Rendered, lines: str) -> bytes:
        """A call as bytes, signed just before they leave, so that waiting does not expire it."""
        if self.signer is not None:
            lines += header_lines(self.signer(call.verb, call.target, call.body).items())
        return request_bytes(call, lines)

    def _send(self, call: Rendered) -> Answer:
        answer = self._exchange(call)
        if answer.error == LOST and call.verb in _REPEATABLE:
            answer = self._exchange(call)
        return answer

    def _exchange(self, call: Rendered) -> Answer:
        sent_at = self._server_clock.local()
        end_s = self._server_clock.clock.monotonic() + self.timeout_s
        prepared = self._prepare(call)
        verify: Any = self.session.verify
        try:
            # The adapter itself, not session.request(): no redirects, no cookies, no
            # environment lookups per call, and the target goes out as it was signed.
            response = self.session.get_adapter(self._origin).send(
                prepared,
                stream=True,
                timeout=self.timeout_s,
                verify=verify,
                proxies=self.session.proxies,
            )
            content = self._content(response, end_s)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            sent, phrase = classify(error)
            return Answer(0, None, {}, sent, phrase)
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _decode(content)
        self._server_clock.learn(headers.get("date"), body, sent_at)
        return self._told(Answer(response.status_code, body, headers))

    def _content(self, response: requests.Response, end_s: float) -> bytes:
        """The whole body; raises TimeoutError where it is not there at *end_s* (monotonic)."""
        parts: list[bytes] = []
        try:
            with response:
                while part := response.raw.read1(_PART_BYTES, decode_content=True):
                    parts.append(part)
                    if self._server_clock.clock.monotonic() > end_s:
                        raise TimeoutError("no whole answer in time")
        except HTTPError as error:  # as `requests` itself would say it
            raise requests.exceptions.ConnectionError(error) from error
        return b"".join(parts)

    def _prepare(self, call: Rendered) -> requests.PreparedRequest:
        headers: Any = self.session.headers
        prepared = requests.PreparedRequest()
        prepared.method = call.verb
        prepared.url = self._origin + call.target
        prepared.headers = CaseInsensitiveDict(headers)
        if call.body or call.verb in ("POST", "PUT"):
            prepared.body = call.body.encode()
            prepared.headers["content-length"] = str(len(prepared.body))
        if call.body:
            prepared.headers["content-type"] = "application/json"
        if self.signer is not None:  # as late as this, so that waiting does not make it expire
            prepared.headers.update(self.signer(call.verb, call.target, call.body))
        return prepared


def _set_up(session: requests.Session, base_url: str, pool: int, user_agent: str) -> None:
    # Some room, so that a call from another thread during a batch keeps its connection too.
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=pool + 4, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers.update({"user-agent": user_agent, "accept": "application/json"})
    session.trust_env = False
    if not is_loopback(urlsplit(base_url).hostname):
        session.proxies = get_environ_proxies(base_url)
    session.verify = ca_bundle() or True


def _target(request: Request) -> str:
    """Path and query exactly as they will be sent, which is how they are signed."""
    path = _quoted(request.path)
    if not request.query:
        return path
    query = {
        name: value if isinstance(value, str) else jsonx.dumps(value)
        for name, value in request.query.items()
        if value is not None
    }
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(query)}"


@lru_cache(maxsize=256)
def _quoted(path: str) -> str:
    path = quote(path, safe=_PATH_SAFE)
    return f"/{path}" if path and not path.startswith("/") else path


def _decode(content: bytes) -> Any:
    try:
        return jsonx.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")
