"""What every connector owes the bot, under every fault that its venue may have.

Each cell is a scene of the drill (calm, the fault, recovery, the end), watched from the exchange's
side: no order doubled, the worst case within the limits, own quotes apart, quotes before the
fault and soon after it, nothing left at the end, the same position and fills in both books.
"""

import pytest

from market_maker.drill.plan import ENDING, MIXTURE, scene
from market_maker.drill.stage import Outcome, Stage
from market_maker.simulator.fault_kinds import KINDS
from tests.exchanges.venues import VENUES, Booth

NAMES = [*KINDS, MIXTURE]
# A key that is refused for longer than the clean-up tries leaves orders where no switch fires.
BRIEF = {name: f"{name}:for=8,p=0.6" for name in ENDING}
# A time is the cursor of what these tell of fills: no more of one moment than a page holds.
COARSE = {"small-fills": "small-fills:for=12,qty=25"}
CELLS = [(venue, name) for venue in VENUES for name in NAMES]


def play(venue_name: str, name: str, seed: int) -> Outcome:
    venue = VENUES[venue_name]
    booth = Booth(venue, seed)
    brief = BRIEF | COARSE if venue_name.startswith("ccxt") else BRIEF
    asked = scene(brief.get(name, name), seed, venue.unfit)
    if name == MIXTURE:
        asked = asked._replace(faults=tuple(map(_in_larger_fills, asked.faults)))
    return Stage(asked, booth.world.settings(), booth).play()


def _in_larger_fills(fault: str) -> str:
    """Thousands of fills of one contract, read again page by page, take as long as 30 cells; alone
    the fault comes in full."""
    return fault.replace("small-fills:", "small-fills:qty=25,")


@pytest.mark.parametrize(("venue", "name"), CELLS)
def test_a_fault_makes_no_connector_break_its_contract(venue: str, name: str) -> None:
    if name in VENUES[venue].unfit:
        pytest.skip(VENUES[venue].unfit[name])
    outcome = play(venue, name, 1)
    assert outcome.is_passed, f"{outcome.scene}: {outcome.violations}"


@pytest.mark.slow
@pytest.mark.parametrize("venue", VENUES)
def test_nor_with_any_of_ten_seeds(venue: str) -> None:
    fit = [name for name in NAMES if name not in VENUES[venue].unfit]
    outcomes = [play(venue, name, seed) for name in fit for seed in range(2, 12)]
    failed = [o for o in outcomes if not o.is_passed]
    assert not failed, "\n".join(f"{o.scene}: {o.violations}" for o in failed)


def test_every_fault_that_cannot_be_is_one_of_ours() -> None:
    assert all(venue.unfit.keys() <= KINDS.keys() for venue in VENUES.values())
