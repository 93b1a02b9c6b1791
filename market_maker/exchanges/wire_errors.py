"""What went wrong on the wire, in our own words, and whether a byte may have been heard."""

import re
import socket
import ssl
from html import unescape

import requests
from urllib3.exceptions import NewConnectionError

LOST, REFUSED = "connection lost", "connection refused"
NO_HOST, NO_NAMES = "the host's name is not known", "the host's name cannot be looked up now"
NO_WAY = "the host cannot be reached"
NOBODY_THERE = frozenset({REFUSED, NO_HOST})  # no exchange is at the address
_READ, _TOLD = 4_000, 80  # characters of a page


def classify(error: Exception) -> tuple[bool, str]:
    """Whether a byte may have reached the exchange, and a phrase for what happened."""
    chain = _causes(error)
    # Certificate and proxy trouble comes before the first byte of the request itself.
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False, "timed out while connecting"
    if isinstance(error, requests.exceptions.ProxyError):
        return False, "the proxy does not connect us"
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return False, unnamed(error)
    if any(isinstance(cause, NewConnectionError) for cause in chain):
        is_refused = any(isinstance(cause, ConnectionRefusedError) for cause in chain)
        return False, REFUSED if is_refused else NO_WAY
    if any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in chain):
        return False, "the certificate is not accepted"
    if isinstance(error, requests.exceptions.SSLError):
        return True, "TLS failed"
    if any(isinstance(cause, TimeoutError | requests.exceptions.Timeout) for cause in chain):
        return True, "timed out"
    if isinstance(
        error,
        requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError | OSError,
    ) and not isinstance(error, ValueError):
        return True, LOST
    return False, f"not sendable ({type(error).__name__})"


def page_phrase(host: str, status: int, page: str) -> str:
    """Who answered with a page, and its first words."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<[^>]*>", " ", page[:_READ])
    words = " ".join(unescape(text).split())[:_TOLD].rstrip(" .")
    return f"{host} answers {status} with a page{': ' if words else ''}{words}"


def hot_phrase(error: Exception, sent: bool) -> str:
    """The same phrases for what happens to a lane."""
    if isinstance(error, socket.gaierror):
        return unnamed(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate is not accepted"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, TimeoutError):
        return "timed out" if sent else "timed out while connecting"
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, OSError):
        return LOST if sent else NO_WAY
    return f"not sendable ({type(error).__name__})"


def unnamed(error: Exception) -> str:
    """Whether a host has no such name, or nobody can be asked for it now."""
    is_passing = any(getattr(c, "errno", None) == socket.EAI_AGAIN for c in _causes(error))
    return NO_NAMES if is_passing else NO_HOST


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it wraps, by cause, context, reason or first argument."""
    chain: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is None or one in chain:
            continue
        chain.append(one)
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo.extend(item for item in inner if isinstance(item, BaseException))
    return chain
