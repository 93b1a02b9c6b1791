"""Which faults a drill brings about: each kind in turn, then mixtures, all by their seeds."""

from collections.abc import Collection, Iterator
from random import Random
from typing import NamedTuple

from market_maker.simulator.fault_kinds import DEED, KINDS, REQUEST, STREAM, Fault, parse

MIXTURE = "mixture"
ENDING = frozenset({"401", "403"})  # the exchange refuses the key: there is nothing to go on with
_LENGTHS_S = (4.0, 8.0, 12.0, 20.0)
_CHANCES = (0.1, 0.3, 0.6, 1.0)
_DELAYS_S = (0.3, 1.0, 3.0, 8.0)


class Scene(NamedTuple):
    """One run: the faults that come, counted from the moment when all is well."""

    name: str
    seed: int
    faults: tuple[str, ...]


def scenes(names: list[str], seeds: int) -> Iterator[Scene]:
    """The scenes of a drill. A name may be a fault with parameters; "mixture" draws several."""
    for name in names:
        for seed in range(1, seeds + 1):
            yield scene(name, seed)


def scene(name: str, seed: int, without: Collection[str] = ()) -> Scene:
    """The scene of this name and seed: always the same. A mixture has no fault *without*."""
    rng = Random(f"{name} {seed}")
    if name == MIXTURE:
        kinds = rng.sample(sorted(KINDS.keys() - ENDING - set(without)), rng.randint(2, 4))
        return Scene(name, seed, tuple(_draw(k, rng, rng.choice((0.0, 2.0, 5.0))) for k in kinds))
    if ":" in name:
        return Scene(name, seed, (name,))
    return Scene(name, seed, (_draw(name, rng, 0.0),))


def end_s(fault: Fault) -> float:
    """When the last of what a fault does has come through (seconds of its own clock)."""
    values = fault.values
    if fault.kind.group == DEED:
        return fault.start_s + max(0.0, fault.number("count") - 1) * fault.number("every")
    late_s = fault.number("seconds") if fault.kind.group in (REQUEST, STREAM) and (
        "seconds" in values
    ) else 0.0  # fmt: skip
    return fault.end_s + late_s + (fault.number("retry") if "retry" in values else 0.0)


def read(text: str) -> Fault:
    """The fault a text asks for; raises BadFault."""
    return parse(text)


def _draw(name: str, rng: Random, start_s: float) -> str:
    kind = KINDS[name]
    parts = [f"start={start_s:g}"] if start_s else []
    if kind.group == DEED:
        if rng.random() < 0.5:
            parts += [f"count={rng.randint(2, 3)}", f"every={rng.choice((1.0, 3.0)):g}"]
        if "qty" in kind.own:
            parts.append(
                f"qty={rng.choice((-300, -100, 100, 300)) if name == 'hand-trade' else 100}"
            )
    else:
        parts.append(f"for={rng.choice(_LENGTHS_S):g}")
    if kind.group in (REQUEST, STREAM):
        parts.append(f"p={rng.choice(_CHANCES):g}")
        if "seconds" in kind.own:
            parts.append(f"seconds={rng.choice(_DELAYS_S):g}")
        if "acts" in kind.own and name in ("500", "502"):
            parts.append(f"acts={rng.randint(0, 1)}")
    return f"{name}:{','.join(parts)}" if parts else name
