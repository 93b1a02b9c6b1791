"""The one way out of a run: cancel, verify, close the position if asked to, say what is left."""

import logging
import threading
from typing import Any

from requests.exceptions import HTTPError

from market_maker import runner, status, supervised
from market_maker.exchanges.flatten import flatten
from market_maker.interrupts import Interrupts
from market_maker.model.ticks import plain
from market_maker.utils.errors import AuthenticationError, BotError

logger = logging.getLogger("root")


class End:
    """The end of one manager's run: it comes once, from whichever thread."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._lock = threading.Lock()
        outbox = manager.exchange.desk.gateway.outbox
        self.interrupts = Interrupts(
            lambda: outbox.busy_thread, self._hurry, self._by_force, manager.clock
        )

    def come(self) -> None:
        """Ask `on_stop`, then clean up."""
        manager = self._manager
        self.interrupts.begin_ending()
        if manager.exchange.desk.is_open:
            manager.is_running = False
            manager.quote_options.close()
            ask_on_stop(manager)
            self._clean_up()

    def _clean_up(self) -> None:
        manager = self._manager
        with self._lock:
            if manager.exchange.desk.is_open:
                shut_down(manager)
                tell_the_last_news(manager)
                say_last_words(manager, manager.fills_this_run)
                manager.exchange.desk.close()

    def _hurry(self) -> bool:
        """The user asks again to end: wait for nothing any more, least of all for `on_stop`."""
        self._manager.exchange.desk.gateway.hurry.set()
        return bool(self._manager.is_in_on_stop)

    def _by_force(self) -> None:
        """The strategy holds the main thread whatever the user asks: clean up beside it."""
        self.interrupts.begin_ending()
        logger.error("The strategy swallows every signal: ending the run without it.")
        self._manager.clock.beside(self._clean_up_and_leave, "ending")

    def _clean_up_and_leave(self) -> None:
        try:
            self._clean_up()
        finally:
            runner.leave_now(self._manager.exit_code or 1)


def shut_down(manager: Any) -> None:
    """End the run of *manager*: its `exit_code` is not 0 when something could not be verified."""
    desk, settings = manager.exchange.desk, manager.settings
    desk.gateway.stop()
    if manager.exchange.dry_run:
        logger.info("Shutting down. Dry run: nothing was sent.")
    elif settings.ON_STOP == "keep" and not manager.exit_code:
        _keep(manager)
    else:
        _clear(manager)
    desk.state.drain()
    if desk.has_account and not manager.exchange.dry_run:
        desk.hear_last_news()
    _note_end(manager)


def ask_on_stop(manager: Any) -> None:
    """Let the strategy act before its orders go; whatever it does must not keep them there."""
    try:
        try:
            manager.is_in_on_stop = True
            manager.on_stop()
        finally:
            manager.is_in_on_stop = False
    except KeyboardInterrupt:
        logger.warning("on_stop was interrupted.")
    except BaseException:
        logger.exception("on_stop failed.")


def tell_the_last_news(manager: Any) -> None:
    """Call the hooks for what arrived at the end; whatever they do, the end goes on."""
    failed: set[str] = set()
    for kind, row in manager.exchange.desk.state.take_notices():
        try:
            manager._call_hook(kind, row)
        except Exception as error:  # whatever a strategy raises
            if kind not in failed:
                logger.error("on_%s failed.", kind, exc_info=error)
            failed.add(kind)
    if failed:
        manager.exit_code = manager.exit_code or 1


def say_last_words(manager: Any, fills: int) -> None:
    """Say what the run came to, to the user and to the supervisor if there is one."""
    status.log_last_words(manager, fills, manager.start_XBt)
    status.print_latency(manager.exchange.desk)
    supervised.report(fills, manager.exchange.get_delta())


def _keep(manager: Any) -> None:
    gateway, count = manager.exchange.desk.gateway, len(manager.exchange.desk.state.orders)
    logger.info("Shutting down. ON_STOP = 'keep': %d orders stay in the book.", count)
    try:
        gateway.switch.disarm()
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to disarm the dead man's switch: %s", error)


def _clear(manager: Any) -> None:
    logger.info("Shutting down. All open orders will be cancelled.")
    if not _cancel(manager):
        return
    if manager.settings.ON_STOP == "flatten" and not _flatten(manager):
        return  # the dead man's switch is what is left
    try:
        manager.exchange.desk.gateway.switch.disarm()
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to disarm the dead man's switch: %s", error)


def _cancel(manager: Any) -> bool:
    """Cancel what is ours; whether the exchange has confirmed that nothing of it is open."""
    desk = manager.exchange.desk
    try:
        desk.gateway.cancel_own()
    except AuthenticationError as error:
        _fail(manager, "Was not authenticated; could not cancel orders: %s", error)
        return False
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to cancel orders: %s", error)
        for row in [*desk.state.orders.open_orders(), *desk.state.orders.unproven()]:
            logger.error(
                "May still rest: %s %s @ %s (%s)",
                *(row.get(name) for name in ("side", "leavesQty", "price", "clOrdID")),
            )
        return False
    logger.info("All orders are cancelled: the exchange lists none of ours.")
    return True


def _flatten(manager: Any) -> bool:
    """Close the position; whether no order of ours can be left of it."""
    try:
        left = flatten(manager.exchange.desk)
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to close the position: %s", error)
        return _cancel(manager)  # an order that was to close it may rest, or come to rest
    if left:
        _fail(manager, "Unable to close the position: %s contracts are left", plain(left))
    else:
        logger.info("The position is closed.")
    return True


def _fail(manager: Any, line: str, *args: object) -> None:
    """That something could not be verified is worse news than whatever has ended the run."""
    logger.error(line, *args)
    manager.exit_code = 1


def restart(manager: Any) -> None:
    """Become a new process of the same command line, with the orders cancelled first."""
    logger.info("Restarting the market maker...")
    gateway = manager.exchange.desk.gateway
    gateway.stop()
    try:
        manager.exchange.cancel_all_orders()
    except HTTPError as error:
        logger.error("Not restarting, the orders cannot be cancelled: %s", error)
        gateway.go_on()
        return
    manager._call_hooks()  # the next process takes these fills for history
    supervised.report(manager.fills_this_run, manager.exchange.get_delta())
    _note_end(manager)
    manager.exchange.desk.before_exec()
    runner.re_exec()


def _note_end(manager: Any) -> None:
    """Write down that the run has ended, if the journal can still be written."""
    try:
        manager.exchange.desk.run_log.end(manager.exit_code)
    except BotError as error:
        logger.error("The end of the run is not in the journal: %s", error)
