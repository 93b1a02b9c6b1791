"""Requests and answers of HTTP/1.1 as bytes (RFC 9112), as much of it as clients of an API send.

Chunked bodies are refused: no known client of BitMEX sends one.
"""

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from market_maker import jsonx
from market_maker.model.wire import Answer

MAX_HEAD = 65_536  # bytes
MAX_BODY = 1_000_000
END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/(\d\.\d)")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_LENGTH = re.compile(r"[0-9]{1,12}")


class BadRequest(Exception):
    """What came cannot be answered as a request; the connection ends with *status*."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Head(NamedTuple):
    """A request without its body."""

    verb: str
    target: str  # path and query as sent
    headers: dict[str, str]  # lower-case names; a repeated one is joined by ", "
    length: int  # of the body, in bytes
    keeps_alive: bool
    awaits_continue: bool


def parse_head(data: bytes) -> Head:
    """The head in *data*, which excludes the empty line at its end; raises BadRequest."""
    lines = data.decode("latin-1").split("\r\n")
    found = _LINE.fullmatch(lines[0])
    if found is None:
        raise BadRequest(400, "Invalid request line")
    verb, target, version = found.groups()
    if version not in ("1.1", "1.0"):
        raise BadRequest(505, "HTTP Version Not Supported")
    if verb not in VERBS:
        raise BadRequest(501, "Not Implemented")
    if target[:1] != "/":
        target = _origin_form(target)
    headers = _parse_headers(lines)
    connection = headers.get("connection", "").lower()
    keeps_alive = "close" not in connection if version == "1.1" else "keep-alive" in connection
    expected = headers.get("expect", "").lower()
    if expected not in ("", "100-continue"):
        raise BadRequest(417, "Expectation Failed")
    return Head(verb, target, headers, _body_length(headers), keeps_alive, bool(expected))


def _origin_form(target: str) -> str:
    """Path and query of a full address, as a proxy asks for it."""
    scheme, _, rest = target.partition("://")
    if scheme.lower() not in ("http", "https") or "/" not in rest:
        raise BadRequest(400, "Invalid request target")
    return "/" + rest.partition("/")[2]


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequest(400, "Invalid header")
        name, value = field[1].lower(), field[2].rstrip(" \t")
        if name in headers:
            if name in ("content-length", "host"):
                raise BadRequest(400, f"More than one {name}")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _body_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequest(411, "Length Required")
    text = headers.get("content-length", "0")
    if _LENGTH.fullmatch(text) is None:
        raise BadRequest(400, "Invalid Content-Length")
    if int(text) > MAX_BODY:
        raise BadRequest(413, "Content Too Large")
    return int(text)


def render_answer(answer: Answer, now_s: float, keeps_alive: bool) -> bytes:
    """*answer* as it goes out. A body that is text goes out as it is, as HTML."""
    if isinstance(answer.body, str):
        kind, payload = "text/html", answer.body.encode()
    else:
        kind, payload = "application/json", jsonx.dumps(answer.body).encode()
    headers = "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items()])
    head = (
        f"HTTP/1.1 {_status(answer.status)}\r\nServer: marketmaker\r\nDate: {_date(int(now_s))}\r\n"
        f"{headers}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {len(payload)}\r\n"
        f"Connection: {'keep-alive' if keeps_alive else 'close'}\r\n\r\n"
    )
    return head.encode() + payload


@lru_cache(maxsize=64)
def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"


@lru_cache(maxsize=4)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
