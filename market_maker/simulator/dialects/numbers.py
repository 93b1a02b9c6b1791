"""Whole numbers among the parameters of a request, whatever its language."""

from collections.abc import Mapping
from typing import Any

_MOST = 1_000  # rows of a page


class NotWhole(ValueError):
    """A parameter is no whole number; each dialect has words of its own for that."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} must be a whole number")
        self.name = name


def whole(params: Mapping[str, Any], name: str, default: int = 0) -> int:
    """The number called *name*, or *default* where it is missing or empty; raises NotWhole."""
    given = params.get(name)
    if given is None or given == "":
        return default
    try:
        return int(str(given))
    except ValueError:
        raise NotWhole(name) from None


def page(params: Mapping[str, Any], default: int) -> int:
    """How many rows the `limit` of a query allows; raises NotWhole."""
    return min(max(1, whole(params, "limit", default)), _MOST)
