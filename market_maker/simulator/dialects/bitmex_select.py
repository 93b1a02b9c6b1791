"""How a request selects rows of a table: filter, columns, count, start, reverse and times."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from market_maker import jsonx
from market_maker.model.rows import TERMINAL, Row
from market_maker.simulator.instruments import iso_time

MAX_OPTIONS = 500  # values of a column in a filter; each is compared with every row

# parts of a timestamp that a filter can name, as slices of its text: 2021-07-22T22:36:05.000Z
_PARTS = {
    "year": slice(0, 4),
    "month": slice(0, 7),
    "mm": slice(5, 7),
    "date": slice(0, 10),
    "dd": slice(8, 10),
    "time": slice(11, 23),
    "minute": slice(11, 16),
    "second": slice(11, 19),
    "hh": slice(11, 13),
    "uu": slice(14, 16),
    "ss": slice(17, 19),
}


class BadParameter(Exception):
    """A table parameter that cannot be read; its text goes to the client."""


def select(
    rows: Iterable[Row],
    query: Mapping[str, Any],
    keys: Iterable[str] = (),
    *,
    max_count: int = 500,
) -> list[Row]:
    """The rows, given oldest first, that *query* asks for; raises BadParameter."""
    wanted = parse_filter(query.get("filter"))
    start_time = query.get("startTime", wanted.pop("startTime", None))
    end_time = query.get("endTime", wanted.pop("endTime", None))
    found = [row for row in rows if _matches(row, wanted)]
    if start_time:  # timestamps of one form sort as text
        first = _as_shown(start_time, "startTime")
        found = [row for row in found if row["timestamp"] >= first]
    if end_time:
        last = _as_shown(end_time, "endTime")
        found = [row for row in found if row["timestamp"] <= last]
    if parse_bool(query.get("reverse")):
        found.reverse()
    start = parse_int(query.get("start"), "start", 0)
    count = min(parse_int(query.get("count"), "count", 100), max_count)
    return pick_columns(found[start : start + count], query.get("columns"), keys)


def _as_shown(value: Any, name: str) -> str:
    """A time as rows show it."""
    try:
        return iso_time(parse_time(value, name))
    except ValueError:  # beyond the calendar by its zone or by rounding
        raise BadParameter(f"Invalid {name}: must be an ISO 8601 time") from None


def parse_filter(value: Any) -> dict[str, Any]:
    """A filter given as an object or as its JSON text."""
    if value in (None, ""):
        return {}
    parsed = _json(value, "filter")
    if not isinstance(parsed, dict):
        raise BadParameter("Invalid filter: must be a JSON object")
    if any(isinstance(value, list) and len(value) > MAX_OPTIONS for value in parsed.values()):
        raise BadParameter(f"Invalid filter: more than {MAX_OPTIONS} values of one column")
    return dict(parsed)


def pick_columns(rows: list[Row], columns: Any, keys: Iterable[str]) -> list[Row]:
    """Only the asked columns of *rows*; key columns always stay."""
    if columns in (None, "", []):
        return rows
    if isinstance(columns, str):
        text = columns.strip()
        columns = _json(text, "columns") if text[:1] == "[" else text.split(",")
    if not isinstance(columns, list):
        raise BadParameter("Invalid columns: must be a JSON array")
    asked = {*keys, *(str(column).strip() for column in columns)}
    return [{name: row[name] for name in row if name in asked} for row in rows]


def _matches(row: Row, wanted: Mapping[str, Any]) -> bool:
    return all(_column_matches(row, name, value) for name, value in wanted.items())


def _column_matches(row: Row, name: str, value: Any) -> bool:
    if name == "open":
        return (row.get("ordStatus") not in TERMINAL) is parse_bool(value)
    if name == "ordStatus.isTerminated":
        return (row.get("ordStatus") in TERMINAL) is parse_bool(value)
    column, _, part = name.partition(".")
    have = row.get(column)
    if part:
        have = _part(have, part)
    options = value if isinstance(value, list) else [value]
    if name == "symbol":
        return str(have).upper() in {str(option).upper() for option in options}
    if column == "timestamp":
        return any(_is_at(have, option) for option in options)
    return any(have == option or str(have) == str(option) for option in options)


def _part(have: Any, part: str) -> Any:
    try:
        moment = datetime.fromisoformat(str(have))
    except ValueError:
        return None  # it is no time
    if part == "weekday":  # 0 is Monday
        return str(moment.weekday())
    return str(have)[_PARTS[part]] if part in _PARTS else None


def _is_at(have: Any, option: Any) -> bool:
    if have is None:
        return False
    if isinstance(option, int):
        return str(have).isdigit() and int(have) == option
    return str(have).startswith(str(option).rstrip("Z"))


def _json(value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return jsonx.loads(value)
    except (ValueError, RecursionError):
        raise BadParameter(f"Invalid {name}: not readable as JSON") from None


def parse_bool(value: Any) -> bool:
    return str(value).lower() in ("true", "1") if value is not None else False


def parse_int(value: Any, name: str, default: int) -> int:
    if value in (None, ""):
        return default
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadParameter(f"Invalid {name}: must be a whole number") from None
    if number < 0:
        raise BadParameter(f"Invalid {name}: must not be negative")
    return number


def parse_time(value: Any, name: str = "timestamp") -> float:
    """Unix seconds of an ISO time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadParameter(f"Invalid {name}: must be an ISO 8601 time") from None
