"""The one way out of a run: cancel, verify, close the position if asked to, say what is left."""

import logging
from typing import Any

from requests.exceptions import HTTPError

from market_maker import runner, status, supervised
from market_maker.exchanges.flatten import flatten
from market_maker.model.ticks import plain
from market_maker.utils.errors import AuthenticationError, BotError

logger = logging.getLogger("root")


def shut_down(manager: Any) -> None:
    """End the run of *manager*: its `exit_code` is not 0 when something could not be verified."""
    desk, settings = manager.exchange.desk, manager.settings
    try:
        manager.is_in_on_stop = True
        manager.on_stop()
    except KeyboardInterrupt:
        logger.warning("on_stop was interrupted.")
    except Exception:  # it must not keep its orders in the book
        logger.exception("on_stop failed.")
    manager.is_in_on_stop = False
    desk.gateway.stop()
    if manager.exchange.dry_run:
        logger.info("Shutting down. Dry run: nothing was sent.")
    elif settings.ON_STOP == "keep" and not manager.exit_code:
        _keep(manager)
    else:
        _clear(manager)
    desk.state.drain()
    _note_end(manager)


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
    desk = manager.exchange.desk
    logger.info("Shutting down. All open orders will be cancelled.")
    try:
        desk.gateway.cancel_own()
    except AuthenticationError as error:
        _fail(manager, "Was not authenticated; could not cancel orders: %s", error)
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to cancel orders: %s", error)
        for row in [*desk.state.orders.open_orders(), *desk.state.orders.unproven()]:
            logger.error(
                "May still rest: %s %s @ %s (%s)",
                *(row.get(name) for name in ("side", "leavesQty", "price", "clOrdID")),
            )
    else:
        logger.info("All orders are cancelled: the exchange lists none of ours.")
        if manager.settings.ON_STOP == "flatten":
            _flatten(manager)
        try:
            desk.gateway.switch.disarm()
        except (BotError, HTTPError) as error:
            _fail(manager, "Unable to disarm the dead man's switch: %s", error)


def _flatten(manager: Any) -> None:
    try:
        left = flatten(manager.exchange.desk)
    except (BotError, HTTPError) as error:
        _fail(manager, "Unable to close the position: %s", error)
        return
    if left:
        _fail(manager, "Unable to close the position: %s contracts are left", plain(left))
    else:
        logger.info("The position is closed.")


def _fail(manager: Any, line: str, *args: object) -> None:
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
