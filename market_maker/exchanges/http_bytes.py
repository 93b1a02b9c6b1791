"""HTTP/1.1 as bytes: a request made, an answer read. Anything odd in an answer is an error."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_MOST_BODY = 64 * 1024 * 1024


class Rendered(NamedTuple):
    """A request as the bytes that are signed and sent."""

    verb: str
    target: str
    body: str


class Reply(NamedTuple):
    """An answer as it came, or the *error* that came instead; `sent` as in `Answer`."""

    status: int = 0
    content: bytes = b""
    headers: Mapping[str, str] = {}
    sent: bool = True
    error: Exception | None = None


class NotHttp(OSError):
    """What came is no answer of HTTP/1.1: the outcome of the request is unknown."""


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, their names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not (rest[:3].isascii() and rest[:3].isdigit()):
        raise NotHttp("no status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise NotHttp("a header without a name")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        raise NotHttp("an encoding that nobody asked for")
    return int(rest[:3]), headers


def content_length(headers: Mapping[str, str]) -> int:
    """How many bytes the body has; without a word of it nobody can tell where it ends."""
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()) or int(text) > _MOST_BODY:
        raise NotHttp("no sane content-length")
    return int(text)


def read_chunks(data: bytes) -> tuple[bytes, int] | None:
    """The body of a chunked answer and how many bytes it took; None while it is incomplete."""
    parts: list[bytes] = []
    pos = 0
    while True:
        end = data.find(b"\r\n", pos)
        if end < 0:
            return None
        try:
            size = int(data[pos:end].split(b";")[0], 16)
        except ValueError:
            raise NotHttp("no sane chunk") from None
        start = end + 2
        if not 0 <= size <= _MOST_BODY:
            raise NotHttp("no sane chunk")
        if size == 0:  # perhaps trailers, then an empty line
            stop = (
                start if data[start : start + 2] == b"\r\n" else data.find(b"\r\n\r\n", start) + 2
            )
            return (b"".join(parts), stop + 2) if start <= stop and len(data) >= stop + 2 else None
        if len(data) < start + size + 2:
            return None
        parts.append(data[start : start + size])
        pos = start + size + 2


def header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """Headers as lines; raises ValueError for one that would be more than one."""
    lines = []
    for name, value in headers:
        if "\r" in value or "\n" in value:
            raise ValueError("a header of several lines")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)


def request_bytes(call: Rendered, lines: str) -> bytes:
    """A request as bytes, with these header lines and those that its body needs."""
    body = call.body.encode()
    kind = "content-type: application/json\r\n" if body else ""
    if body or call.verb in ("POST", "PUT"):
        kind += f"content-length: {len(body)}\r\n"
    return f"{call.verb} {call.target} HTTP/1.1\r\n{lines}{kind}\r\n".encode("latin-1") + body
