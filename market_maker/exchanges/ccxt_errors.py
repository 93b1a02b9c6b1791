"""What ccxt's errors amount to: what may be concluded of an order, and the venue's own words."""

import re
from typing import Any
from urllib.parse import urlsplit

import requests

from market_maker import jsonx
from market_maker.exchanges.base import Result, Status
from market_maker.exchanges.wire_errors import classify, page_phrase
from market_maker.model.rows import LATE_AMEND, NO_FUNDS, WOULD_TAKE
from market_maker.model.wire import Answer

_LONGEST = 200
_WOULD_TAKE = re.compile("would immediately match|Post only order")
_NAMES = ("msg", "message", "retMsg", "err-msg")


def verdict(error: Exception, forbidden: str, refusals: str = "") -> Result:
    """How an action ended that *error* ended. *forbidden* is the venue's code of a right that the
    key lacks; where *refusals* matches, the venue says no in words that ccxt cannot place."""
    import ccxt

    if forbidden and re.search(rf'[cC]ode":\s*"?{re.escape(forbidden)}\b', str(error)):
        return _no_right(error)
    match error:
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return Result(Status.NOT_SENT, {}, words(error), None, 2.0)
        case ccxt.OrderNotFound():
            return Result(Status.REJECTED, {}, LATE_AMEND)
        case ccxt.AuthenticationError() | ccxt.PermissionDenied():
            if _page(error) is None:
                return _no_right(error)
            return Result(Status.UNKNOWN, {}, words(error))
        case ccxt.NetworkError() | ccxt.BadResponse() | ccxt.NullResponse():
            return Result(Status.UNKNOWN, {}, words(error))
    if _WOULD_TAKE.search(str(error)):
        return Result(Status.REJECTED, {}, WOULD_TAKE)
    if isinstance(error, ccxt.InsufficientFunds):
        return Result(Status.REJECTED, {}, NO_FUNDS)
    is_placed = type(error) is not ccxt.ExchangeError  # one that ccxt cannot place may be anything
    if is_placed or (refusals and re.search(refusals, str(error))):
        return Result(Status.REJECTED, {}, words(error))
    return Result(Status.UNKNOWN, {}, words(error))


def _no_right(error: Exception) -> Result:
    """Nothing was done, and nothing will be: whoever reads the answer ends the run."""
    return Result(Status.REJECTED, {}, words(error), Answer(401, None, {}))


def refuses_key(error: Exception) -> bool:
    """Whether the venue itself, not a firewall before it, refuses the key."""
    import ccxt

    is_no = isinstance(error, ccxt.AuthenticationError | ccxt.PermissionDenied) or (
        type(error) is ccxt.ExchangeError and http_status(error) == 401  # such as OKX's 50119
    )
    return is_no and _page(error) is None


def _page(error: Exception) -> Any:
    """The answer that ccxt calls an error, where it is a page."""
    answer = getattr(error.__context__, "response", None)
    return answer if answer is not None and answer.text.lstrip()[:1] == "<" else None


def http_status(error: Exception) -> int:
    """The HTTP status of the answer that ccxt calls an error; 0 where none came."""
    import ccxt

    response = getattr(error.__context__, "response", None)
    if response is None:
        return 0 if isinstance(error, ccxt.NetworkError) else 200
    return int(response.status_code)


def words(error: Exception) -> str:
    """The error in one line. ccxt puts whole answers into its texts: the venue's words of one,
    the first of a page; and of a request without an answer it does not tell why there is none."""
    cause = error.__context__
    if isinstance(cause, requests.RequestException) and cause.response is None:
        return classify(cause)[1]
    if (page := _page(error)) is not None:
        return page_phrase(urlsplit(page.url).netloc, page.status_code, page.text)
    text = " ".join(str(error).split())
    found = _message(text[text.find("{") :]) if "{" in text else ""
    text = text.partition(" <")[0]
    return (found or text)[:_LONGEST] or type(error).__name__


def _message(answer: str) -> str:
    """What an answer in JSON says, with its code; nothing where it is no such thing."""
    try:
        body = jsonx.loads(answer)
    except ValueError:
        return ""
    body = body["error"] if isinstance(body.get("error"), dict) else body
    items = body.get("data")
    if isinstance(items, list) and items and isinstance(items[0], dict) and items[0].get("sMsg"):
        body = {"msg": items[0]["sMsg"], "code": items[0].get("sCode")}
    said = next((str(body[name]) for name in _NAMES if body.get(name)), "")
    return f"{said} ({body['code']})" if said and body.get("code") else said
