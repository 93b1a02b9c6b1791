"""Where decisions come from: a Python callable, a file, or an address that is asked by HTTP."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import requests

from market_maker.clock import Clock
from market_maker.quoting.stakes import WORDS, Standing, request_body

_LONGEST = 65_536  # bytes of an answer that are read
_SHOWN = 40  # characters of an answer that a message quotes


class NoDecision(Exception):
    """The source gave no usable answer; the text says why."""


class Heard(NamedTuple):
    """A word of a source. With the same `key` it is the same decision; empty: a new one."""

    word: str
    key: str = ""
    age_s: float = 0.0  # how old it was when it was read


class Source(Protocol):
    """Answers once; raises NoDecision."""

    def __call__(self, standing: Standing, /) -> Heard: ...


def read(value: Any) -> Heard:
    """The decision in a word, in JSON, or in a mapping with `decision`, as the API answers it.

    The API's `decisionTimestamp` tells whether two answers are one decision.
    """
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("{", '"'):
            try:
                return read(json.loads(text))
            except (ValueError, RecursionError):
                pass
        if text.upper() in WORDS:
            return Heard(text.upper())
        raise NoDecision(f"no decision in {_short(text)}")
    if isinstance(value, Mapping) and isinstance(value.get("decision"), str):
        word = value["decision"].strip().upper()
        if word in WORDS:
            return Heard(word, str(value.get("decisionTimestamp") or ""))
    if value is None:
        return Heard("NONE")
    raise NoDecision(f"no decision in {_short(value)}")


def told_at(key: str, otherwise: float) -> float:
    """Unix seconds of a `decisionTimestamp` that is a time with its zone, else *otherwise*."""
    try:
        moment = datetime.fromisoformat(key)
    except ValueError:
        return otherwise
    return moment.timestamp() if moment.tzinfo else otherwise


class CallSource:
    """A callable of the user's: it gets the body that an endpoint would get, and market figures."""

    def __init__(self, call: Callable[[dict[str, Any]], Any], algo: str) -> None:
        self._call = call
        self._algo = algo

    def __call__(self, standing: Standing) -> Heard:
        told = request_body(self._algo, standing)
        told |= {
            "time": standing.now,
            "symbol": standing.symbol,
            "bid": standing.bid,
            "ask": standing.ask,
            "contracts": float(standing.qty),
        }
        try:
            answer = self._call(told)
        except Exception as error:  # whatever it raises
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise NoDecision(f"DECISION_CALL raised {_short(what)}") from error
        return read(answer)


class FileSource:
    """A file with one word, or JSON. It is a new decision whenever the file is written."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def __call__(self, _: Standing) -> Heard:
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                written = os.fstat(file.fileno())  # of this very file: another may take its place
                text = file.read(_LONGEST)
        except OSError as error:
            raise NoDecision(f"{self._path}: {error.strerror or error}") from error
        heard = read(text)
        age_s = max(0.0, self._clock.now() - written.st_mtime)
        return Heard(heard.word, heard.key or str(written.st_mtime_ns), age_s)


class HttpSource:
    """An address that takes the body of an algorithm by POST and answers a decision."""

    def __init__(self, url: str, key: str, algo: str, timeout_s: float, clock: Clock) -> None:
        self._url = url
        self._algo = algo
        self._timeout_s = timeout_s
        self._clock = clock
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        if key:
            self._session.headers["X-API-KEY"] = key

    def __call__(self, standing: Standing) -> Heard:
        try:
            text = self._post(request_body(self._algo, standing))
        except requests.exceptions.Timeout as error:
            raise NoDecision(f"no answer within {self._timeout_s:g} s") from error
        except requests.exceptions.ConnectionError as error:
            raise NoDecision("no connection to the address of DECISION_URL") from error
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise NoDecision(f"the request failed: {type(error).__name__}") from error
        return read(text)

    def _post(self, body: dict[str, Any]) -> str:
        deadline_s = self._clock.monotonic() + self._timeout_s
        # A redirection could carry the key to another host.
        with self._session.post(
            self._url, json=body, timeout=self._timeout_s, stream=True, allow_redirects=False
        ) as answer:
            if answer.status_code != 200:
                raise NoDecision(f"the address of DECISION_URL answers {answer.status_code}")
            found = b""
            for part in answer.iter_content(1):  # each byte as it comes, by the deadline
                found += part
                if len(found) > _LONGEST:
                    raise NoDecision("the answer is too long")
                if self._clock.monotonic() > deadline_s:
                    raise requests.exceptions.Timeout
        return found.decode("utf-8", "replace")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
