"""What faults may change about matching."""

from dataclasses import dataclass

WHOLE = 2**63  # larger than any order


@dataclass(slots=True)
class Quirks:
    """Shared by all desks of an engine."""

    bounces_post_only: bool = False  # a new post-only order is cancelled as if it had crossed
    breaks_promises: bool = False  # what is promised now, as OKX does, never happens
    fill_qty: int = WHOLE  # contracts that a customer's order trades at a time at most
