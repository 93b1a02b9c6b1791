"""`marketmaker drill`: what would the bot do if? Its settings and strategy against every fault."""

import argparse
import json
import sys
import textwrap
import threading
from difflib import get_close_matches
from typing import Any, NamedTuple

from market_maker.clock import Clock
from market_maker.drill.plan import MIXTURE, Scene, scenes
from market_maker.drill.stage import Outcome, Stage
from market_maker.drill.strategy import load
from market_maker.settings import Settings
from market_maker.simulator.fault_kinds import KINDS, BadFault, parse
from market_maker.utils.errors import SettingsError

FAILED = 1
_WIDTH = 80
_HEAD = f"{'Fault':<20}{'What the bot did':<43}{'No quotes':>10}  Pass"
_PATIENCE_S = 10.0  # how long a scene under way may take to end after Ctrl-C


class Drill(NamedTuple):
    """What to rehearse. No *faults* are all of them and mixtures."""

    seeds: int = 1
    faults: tuple[str, ...] = ()
    as_json: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be asked for."""
    add = parser.add_argument
    add("symbol", nargs="?")
    add("--seeds", type=_positive, default=1, help="runs for each fault (1)")
    add("--fault", action="append", default=[], metavar="NAME[:key=value,...]",
        help="only this one; may be given several times. 'mixture' draws several at once; "
        "'marketmaker simulate --fault help' explains them")  # fmt: skip
    add("--strategy", metavar="NAME", help="in place of the setting STRATEGY")
    add("--json", action="store_true", help="a list of all runs in place of the table")


def _positive(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 10000, was '{text}'")
    return int(text)


def drill(settings: Settings, wanted: Drill) -> int:
    """Play every scene and print a line for each fault; 0 only if nothing was violated."""
    names = [_checked(text) for text in wanted.faults] or [*KINDS, MIXTURE]
    load(settings)  # what is wrong with it is said before anything begins
    settings.update(WATCHED_FILES=[], DRY_RUN=False, EXCHANGE="simulator", BASE_URL=None)
    settings.USE_LOG_FILE = False  # of the real bot
    report = _Report(names, wanted, settings.STRATEGY)
    return _Company(settings, list(scenes(names, wanted.seeds)), report).play()


def _checked(text: str) -> str:
    """The fault as a scene is named by; raises SettingsError with the nearest name."""
    name = text.partition(":")[0].lower()
    if name == MIXTURE:
        return MIXTURE
    if name not in KINDS:
        nearest = get_close_matches(name, [*KINDS, MIXTURE], 1)
        hint = f"did you mean {nearest[0]}?" if nearest else "'simulate --fault help' lists them."
        raise SettingsError([f"No fault is named '{name}': {hint}"])
    try:
        parse(text)
    except BadFault as bad:
        raise SettingsError([str(bad)]) from None
    return text if ":" in text else name


class _Company:
    """Plays scenes one after the other, on a thread of its own so that Ctrl-C always works:
    a strategy may hang, and a bot takes signals for its own."""

    def __init__(self, settings: Settings, todo: list[Scene], report: "_Report") -> None:
        self._settings = settings
        self._given = dict(settings)
        self._todo = todo
        self._report = report
        self._stage: Stage | None = None
        self._is_over = threading.Event()
        self._is_stopped = False
        self._failure: BaseException | None = None

    def play(self) -> int:
        clock = Clock()
        clock.repeat(self._play_all, "drill")
        try:
            while not clock.wait(self._is_over, 3600.0):
                pass
        except KeyboardInterrupt:
            self._is_stopped = True
            if self._stage is not None:
                self._stage.interrupt()
            clock.wait(self._is_over, _PATIENCE_S)
            self._report.close("Interrupted.")
            return FAILED
        if self._failure is not None:
            raise self._failure
        return self._report.close()

    def _play_all(self) -> None:
        try:
            for scene in self._todo:
                self._report.begin(scene)
                self._settings.clear()
                self._settings.update(self._given)  # a strategy may have changed them
                self._stage = Stage(scene, self._settings)
                outcome = self._stage.play()
                if self._is_stopped:
                    return
                self._report.add(outcome)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again where it can be told
            self._failure = error
        finally:
            self._is_over.set()


class _Report:
    """The table of 80 columns, or one JSON document at the end."""

    def __init__(self, names: list[str], wanted: Drill, strategy: str) -> None:
        self._names = names
        self._seeds = wanted.seeds
        self._as_json = wanted.as_json
        self._out = sys.stdout
        self._err = sys.stderr
        self._outcomes: list[Outcome] = []
        runs = f"{wanted.seeds} run{'s' * (wanted.seeds != 1)} of each fault"
        self._title = f"STRATEGY = {strategy!r}, built-in exchange, {runs}."

    def begin(self, scene: Scene) -> None:
        """Show what is under way, on a terminal."""
        if self._err.isatty():
            text = f"{len(self._outcomes) + 1}/{len(self._names) * self._seeds} {scene.name}"
            self._err.write(f"\r{text[: _WIDTH - 1]:<{_WIDTH - 1}}\r")
            self._err.flush()

    def add(self, outcome: Outcome) -> None:
        if not self._outcomes:
            self._say(*textwrap.wrap(self._title, _WIDTH, break_on_hyphens=False), "", _HEAD)
        self._outcomes.append(outcome)
        same = [o for o in self._outcomes if o.scene.name == outcome.scene.name]
        if len(same) == self._seeds:
            self._say(*_lines(same))

    def close(self, last_word: str = "") -> int:
        """Say what all of it comes to; the exit code."""
        failed = [o for o in self._outcomes if not o.is_passed]
        if self._as_json:
            print(json.dumps([_row(o) for o in self._outcomes], indent=1), file=self._out)
        self._say()
        runs = f"{len(self._outcomes)} runs, {len(failed)} with a violation."
        self._say(f"{last_word} {runs}".strip())
        if last_word and self._as_json:
            print(last_word, file=self._err)
        return FAILED if failed else 0

    def _say(self, *lines: str) -> None:
        if not self._as_json:
            for line in lines or ("",):
                print(line, file=self._out, flush=True)


def _lines(outcomes: list[Outcome]) -> list[str]:
    """A fault's line, and one for each violation with what brings it about again."""
    worst = max(outcomes, key=lambda o: (len(o.violations), o.bare_s))
    name, verdict = worst.scene.name, "fail" if any(o.violations for o in outcomes) else "pass"
    bare_s = max(o.bare_s for o in outcomes)
    did = textwrap.shorten(worst.did, 42, placeholder=" …")
    lines = [f"{name[:19]:<20}{did:<43}{bare_s:>8.1f} s  {verdict}"]
    for outcome in outcomes:
        for text in outcome.violations:
            faults = " ".join(outcome.scene.faults)
            found = f"seed {outcome.scene.seed} ({faults}), {text}"
            lines += textwrap.wrap(found, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "fault": outcome.scene.name,
        "seed": outcome.scene.seed,
        "faults": list(outcome.scene.faults),
        "did": outcome.did,
        "seconds_without_quotes": round(outcome.bare_s, 3),
        "violations": outcome.violations,
        "passed": outcome.is_passed,
    }
