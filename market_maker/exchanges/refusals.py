"""Says in the log why orders did not go through: each reason once, until it has passed."""

import logging
import math
import re
from collections.abc import Sequence

from market_maker.clock import Clock
from market_maker.exchanges.base import Result, Status
from market_maker.model.rows import LATE_AMEND
from market_maker.quoting.limits import Refused

logger = logging.getLogger("root")

SPENT = Result(Status.NOT_SENT, {}, "the rate budget is spent for now")
_SPENT_AGAIN_S = 60.0  # without which it is no news that it is spent again
_NUMBER = re.compile(r"[-+]?\d[\d.]*")


def kind_of(reason: str) -> str:
    """The reason without its figures: the same trouble with other numbers is no news."""
    return _NUMBER.sub("#", reason)


def refusal(refused: Refused) -> Result:
    """Answer a refusal of our own with a row that a strategy can read."""
    row = {**refused.order, "ordStatus": "Rejected", "leavesQty": 0, "text": refused.reason}
    return Result(Status.REJECTED, {**row, "ordRejReason": refused.reason}, refused.reason)


class RefusalLog:
    """What was said last about each action of one account and symbol."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, set[str]] = {}  # action -> kinds of reasons said last
        self._spent_s = -math.inf  # when the rate budget was spent last

    def note(self, action: str, results: Sequence[Result]) -> None:
        """These are the results of one batch."""
        reasons: dict[str, list[str]] = {}  # by their kind
        for result in results:
            if result.status is not Status.OK and result.text not in ("", LATE_AMEND):
                text = result.text.rstrip(".")
                reasons.setdefault(kind_of(text), []).append(text)
        spent = reasons.pop(SPENT.text, [])
        if spent:
            self._say_spent(len(spent), len(results))
        for kind in reasons.keys() - self._said.get(action, set()):
            count, first = len(reasons[kind]), reasons[kind][0]
            logger.warning("%d of %d orders refused: %s.", count, len(results), first)
        self._said[action] = set(reasons)

    def _say_spent(self, count: int, wanted: int) -> None:
        """Fewer levels are quoted than are wanted: once, until that has long passed."""
        now_s = self._clock.monotonic()
        if now_s > self._spent_s + _SPENT_AGAIN_S:
            logger.warning(
                "The rate budget is spent for now: %d of %d orders wait, those far from the "
                "market longest.",
                *(count, wanted),
            )
        self._spent_s = now_s
