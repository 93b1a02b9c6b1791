"""Many items in as few requests as a venue allows."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(items: Sequence[T], size: int) -> list[list[T]]:
    """*items* in pieces of at most *size*, in order."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
