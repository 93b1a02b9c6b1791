"""One scene of the drill: a bot and an exchange in one process, on a clock of their own."""

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from market_maker.drill.books import Books
from market_maker.drill.place import START_S, Home, Place
from market_maker.drill.plan import ENDING, Scene, end_s
from market_maker.drill.seat import LastWords, seat, silence
from market_maker.drill.strategy import Wants
from market_maker.drill.wire import Tap
from market_maker.market_maker import OrderManager
from market_maker.settings import Settings
from market_maker.simulator.judge import Judge, Rules

CALM_S = 8.0  # of quoting before a fault
_CALMER_S = 2.0  # ... and longer where an order is not there at that moment
RECOVERY_S = 5.0  # within which it must quote again
AFTER_S = 20.0  # after the last fault, until the bot is asked to end
SIDES = ("Buy", "Sell")
_LOOK_EVERY_S = 0.1
_SILENCE_S = 15.0  # beyond the dead man's switch: by then nothing of a dead bot rests


class Outcome(NamedTuple):
    """What came of one scene. Times are seconds."""

    scene: Scene
    did: str
    bare_s: float  # without any quote while it should have had some
    violations: list[str]

    @property
    def is_passed(self) -> bool:
        return not self.violations


class Stage:
    """A scene, ready to be played once."""

    def __init__(self, scene: Scene, settings: Settings, place: Place | None = None) -> None:
        self.scene = scene
        place = place or Home(scene.seed, settings)
        self.place: Place = place
        self.clock, self.engine, self.faults = place.clock, place.engine, place.faults
        self._settings = settings
        self._faults_end_s = math.inf
        self._recovered_s = self._whole_s = math.inf
        self._last_words = LastWords()
        self._deeds: Counter[str] = Counter()

    def play(self) -> Outcome:
        """Calm, the faults, recovery, the end; what came of it."""
        with silence(self.clock, self._last_words):
            self.bot = self.enter()
            self.engine.call_at(START_S + CALM_S, self._strike)
            code = self._run()
            ended_s = self.clock.now()
            self.clock.is_busy = lambda: True
            if code == 0:
                self.judge.check_gone()
                for text in self.books.differences(ended_s, self.place.unit):
                    self.judge.complain(text)
            self.clock.sleep((self._settings.DEADMAN_TIMEOUT or 0) + _SILENCE_S)
        self._judge_end(code, ended_s)
        quoting_s = self.judge.counts[0].time_s if self.judge.counts else START_S
        bare_s = self.judge.seconds_without_quotes(quoting_s, min(ended_s, self._asked_to_end_s))
        found = [f"{v.time_s - START_S:.1f} s: {v.text}" for v in self.judge.violations]
        return Outcome(self.scene, self._did(code, bare_s), bare_s, found)

    def interrupt(self) -> None:
        """Called from another thread: end it now, as Ctrl-C would."""
        self.clock.curtain_s = -math.inf

    # -- before -------------------------------------------------------------------------

    def enter(self, journal_path: str | Path = ":memory:") -> OrderManager:
        """Set up exchange, bot and judge; the bot is not yet started."""
        settings, clock, place = self._settings, self.clock, self.place
        bot = seat(place, settings, self.scene.seed, journal_path)
        desk, connector = bot.exchange.desk, bot.exchange.desk.connector
        self.tap = Tap(connector, clock, self._is_whole)
        self.wants = Wants(bot, clock)
        bounds = (None, None)
        if settings.CHECK_POSITION_LIMITS:
            bounds = (settings.MIN_POSITION / place.unit, settings.MAX_POSITION / place.unit)
        rules = Rules(
            *bounds,
            is_switched=bool(settings.DEADMAN_TIMEOUT) and connector.caps.dead_man_s is not None,
            has_ids=connector.caps.client_ids,
        )
        self.judge = Judge(
            self.engine, place.account.number, place.symbol, rules, self.wants.most,
            self.wants.stacked, position=place.held, is_armed=place.is_armed,
        )  # fmt: skip
        self.books = Books(bot, self.judge, lambda: place.held() * place.unit)
        clock.is_busy = lambda: desk.gateway.outbox.busy_thread is not None
        return bot

    # -- during -------------------------------------------------------------------------

    def _run(self) -> int:
        """The bot's own loop, from its start to its clean-up; its exit code."""
        self._asked_to_end_s = math.inf
        try:
            self.bot.run_loop()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0

    def _strike(self) -> None:
        """All is well: let the faults begin."""
        self._before = {side: len(self.judge.live(side)) for side in SIDES}
        self._sizes = {order.leaves_qty for order in self.judge.live()}
        bare = [side for side in SIDES if self.wants.now(side) and not self._before[side]]
        if bare and self.clock.now() < START_S + CALM_S + _CALMER_S:
            # It may be on its way from one price to another.
            self.engine.call_at(self.engine.now() + _LOOK_EVERY_S, self._strike)
            return
        for side in bare:
            self.judge.complain(f"no {side} order rests before the fault")
        if not any(self._before.values()) and not self._is_done():
            self.judge.complain("no order rests before the fault")
        ends = [end_s(self.faults.add(text)) for text in self.scene.faults]
        self._faults_end_s = max([self.clock.now(), *ends])
        if self._faults_end_s == math.inf:
            self._faults_end_s = self.clock.now() + 30.0
            self.engine.call_at(self._faults_end_s, self.faults.clear)
        self.judge.excused_until_s = self._faults_end_s + 2 * RECOVERY_S
        self.engine.call_at(self._faults_end_s, self._look)
        self._asked_to_end_s = self.clock.curtain_s = self._faults_end_s + AFTER_S
        self.engine.call_at(self._asked_to_end_s, self._note_deeds)

    def _look(self) -> None:
        """From the end of the faults on: are the quotes back?"""
        now_s = self.engine.now()
        if not self.bot.is_running or now_s >= self._faults_end_s + AFTER_S:
            return
        if self.tap.is_busy and now_s <= self._faults_end_s + _LOOK_EVERY_S:
            # What was lost before the end is still waited for: that is part of the fault.
            self._faults_end_s = now_s + _LOOK_EVERY_S
        if not self._is_whole():
            self.engine.call_at(now_s + _LOOK_EVERY_S, self._look)

    def _is_whole(self) -> bool:
        """Whether all that is wanted rests. Asked after each of the bot's actions as well: what is
        filled at once was quoted all the same."""
        now_s = self.engine.now()
        if now_s < self._faults_end_s or self._whole_s < math.inf:
            return self._whole_s < math.inf
        if self.bot.exchange.desk.gateway.budget.wait_s(1):
            self.tap.starved_until_s = now_s  # the venue's own limit sets the pace
        missing = sum(max(0, self._wanted(side) - len(self.judge.live(side))) for side in SIDES)
        if any(self._before.values()) and not any(map(self._wanted, SIDES)):
            missing = int(not self._is_done())
        if missing and self._is_misfit():
            missing = 0
        missing = max(0, missing - self.tap.moving())
        if missing <= self.tap.held():
            self._recovered_s = min(self._recovered_s, now_s)
        if not missing:
            self._whole_s = now_s
        return not missing

    def _note_deeds(self) -> None:
        self._deeds = Counter(self.judge.deeds)  # without the clean-up at the end

    def _wanted(self, side: str) -> int:
        wanted = self.wants.now(side)
        return self._before[side] if wanted is None else wanted

    def _is_done(self) -> bool:
        """Whether it has no quotes because it traded what it wanted: a strategy may ask for one
        stake at a time. One that cancels its quotes and stays away is not done."""
        return self.judge.is_filled and all(self.wants.now(side) == 0 for side in SIDES)

    def _is_misfit(self) -> bool:
        """Whether the exchange takes none of the sizes any more that rested before the fault, and
        the bot has taken all of them out. One that asks for others has to place these."""
        lot = self.engine.instrument(self.place.symbol).lot_size
        fitting = [size for size in self._sizes if size % lot == 0]
        is_out = not self.judge.live() and not any(map(self.wants.now, SIDES))
        return is_out and bool(self._sizes) and not fitting

    # -- after --------------------------------------------------------------------------

    def _judge_end(self, code: int, ended_s: float) -> None:
        judge = self.judge
        judge.check_gone()
        ends_it = any(text.partition(":")[0] in ENDING for text in self.scene.faults)
        is_early = ended_s < self._asked_to_end_s
        if (is_early or code) and not ends_it:
            by_itself = " by itself" * is_early
            judge.complain(f"it ended{by_itself} with exit code {code}: {self._last_words.text}")
        if is_early:
            return
        pace_s = max(self._settings.MIN_REQUOTE_INTERVAL, 0.0)
        if not self._settings.EVENT_DRIVEN:
            pace_s = max(pace_s, self._settings.LOOP_INTERVAL)
        end_s = max(self._faults_end_s, self.tap.starved_until_s)
        due_s = end_s + max(self._recovery_s(), 2 * pace_s) + _LOOK_EVERY_S
        last_s = self._asked_to_end_s  # what is due later cannot be seen any more
        if self._recovered_s > due_s and due_s <= last_s:
            judge.complain(f"not quoting again {self._recovery_s():g} s after the fault")
        due_s = max(due_s, self.tap.doubted_s + self.tap.freed_after_s + pace_s)
        if self._whole_s > due_s and due_s <= last_s:
            judge.complain("levels in doubt are not quoted again")

    def _recovery_s(self) -> float:
        """Within what it must quote again. What a venue does unasked and does not tell is seen at
        the next full check."""
        is_polled = self.bot.exchange.desk.connector.caps.events == "poll"
        return RECOVERY_S + (self._settings.IDLE_CHECK if is_polled else 0.0)

    def _did(self, code: int, bare_s: float) -> str:
        if code:
            return f"stopped: {self._last_words.text or f'exit code {code}'}"
        deeds = self._deeds
        counts = f"{deeds['New']} new, {deeds['Replaced']} moved, {deeds['Canceled']} out"
        back_s = max(0.0, self._whole_s - self._faults_end_s)
        if self._is_misfit():
            return f"pulled: no size fits the lot; {counts}"
        if self._is_done():
            return f"traded all it wanted; {counts}"
        if bare_s >= 0.05 and back_s < math.inf:
            return f"back in {back_s:.1f} s; {counts}"
        return f"quoted on; {counts}"
