"""Times as exchanges write them."""

from datetime import UTC, datetime


def seconds_of(text: object) -> float | None:
    """Unix seconds of a time such as "2026-11-21T12:00:00.000Z"; None for what is no time."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
