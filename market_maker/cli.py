"""The command line: arguments, dispatch and exit codes. Everything else is imported when needed,
so that `--help` answers at once."""

import argparse
import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from market_maker.arguments import Parser, first_word
from market_maker.utils.constants import VERSION
from market_maker.utils.errors import BotError, SettingsError

if TYPE_CHECKING:
    from market_maker._settings_bots import Entry
    from market_maker.settings import Settings

    Bots = list[tuple[Entry, Settings]]

OK, FAILED = 0, 1
NO_KEYS = {"DRY_RUN": True}  # for commands that need nothing of what trading needs
LOG_LEVELS = ("debug", "info", "warning", "error")
DEPENDENCIES = frozenset({"requests", "websocket", "dotenv", "wsproto", "certifi", "urllib3"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 clean, 1 an error, 2 usage or settings."""
    try:
        if "MARKETMAKER_BOT" in os.environ:  # one of several
            from market_maker import supervised

            supervised.name_lines()
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read us, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except BotError as error:
        return _complain(error, getattr(error, "exit_code", FAILED))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in DEPENDENCIES:
            raise
        return _complain(
            f"The package '{error.name}' is missing: run 'pip install -e .' in the folder of "
            "the program, or 'pip install marketmaker'",
            FAILED,
        )
    except KeyboardInterrupt:
        return _complain("Interrupted.", FAILED)
    except SystemExit as end:
        return _exit_code(end)


def _complain(what: object, code: int) -> int:
    print(what, file=sys.stderr)
    return code


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or OK
    return _complain(end.code, FAILED)


def _dispatch(argv: list[str]) -> int:
    at = first_word(argv)
    word = argv[at].lower() if at is not None else ""
    if at is None or word not in COMMANDS:
        _refuse_odd_symbol(argv[at] if at is not None else None)
        return _run(argv)
    return COMMANDS[word](argv[:at] + argv[at + 1 :])


def _run(argv: list[str]) -> int:
    from market_maker.commands.help import Help

    parser = _parser("", add_help=False)
    parser.add_argument("-h", "--help", action=Help, nargs=0)
    parser.add_argument("--version", action="version", version=f"marketmaker {VERSION}")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("symbol", nargs="?")
    args = parser.parse_args(argv)
    given = {"DRY_RUN": args.dry_run, "LATENCY": args.latency}
    bots = _load_bots(args, {name: True for name, is_set in given.items() if is_set})
    if bots:
        from market_maker.commands.bots import run_all

        return run_all(bots, argv)
    from market_maker import supervised
    from market_maker.clock import Clock

    supervised.end_with_supervisor(Clock())
    with contextlib.suppress(KeyboardInterrupt):  # the way to end it; it has cleaned up by now
        from market_maker import market_maker
        from market_maker.settings import first_words, settings

        if greeting := first_words(settings):
            print(greeting, file=sys.stderr)
        market_maker.run()
    return OK


def _setup(argv: list[str]) -> int:
    parser = _parser("setup", "Write what is missing of settings.py, .env, my_strategy.py here.")
    parser.add_argument("--no-copy", action="store_true", help="no copy of the program here")
    args = parser.parse_args(argv)
    from market_maker.commands.setup import write_project

    try:
        return write_project(copy_package=not args.no_copy)
    except OSError as error:
        return _complain(f"Cannot write {error.filename}: {error.strerror}", FAILED)


def _check(argv: list[str]) -> int:
    parser = _symbol_parser("check", "Try settings, key, clock, symbol and funds; places nothing.")
    bots = _load_bots(parser.parse_args(argv))
    from market_maker.commands.check import check

    return _each(bots, check)


def _drill(argv: list[str]) -> int:
    from market_maker.commands import drill

    parser = _parser("drill", "Your settings and strategy on an exchange that breaks; play money.")
    drill.add_options(parser)
    args = parser.parse_args(argv)
    _load(args, NO_KEYS | ({"STRATEGY": args.strategy} if args.strategy else {}))
    from market_maker.settings import settings

    return drill.drill(settings, drill.Drill(args.seeds, tuple(args.fault), args.json))


def _report(argv: list[str]) -> int:
    from market_maker.commands import report

    parser = _parser("report", "What strategies earn on the built-in exchange, and from what.")
    report.add_options(parser)
    args = parser.parse_args(argv)
    _load(args, NO_KEYS)
    from market_maker.settings import settings

    return report.report(settings, args)


def _cancel_all(argv: list[str]) -> int:
    parser = _symbol_parser("cancel-all", "Cancel every open order of the symbol.")
    parser.add_argument("--own", action="store_true", help="only those of the bot itself")
    args = parser.parse_args(argv)
    bots = _load_bots(args)
    from market_maker.commands.account import cancel_all, cancel_own

    return _each(bots, cancel_own if args.own else cancel_all)


def _guard(argv: list[str]) -> int:
    parser = _symbol_parser("guard", "Cancel the bot's orders when its heartbeat stops.")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen; GUARD if left out")
    args = parser.parse_args(argv)
    _load(args)
    from market_maker.commands.guard import guard

    return _at_exchange(lambda settings: guard(settings, args.listen))


def _state(argv: list[str]) -> int:
    parser = _symbol_parser("state", "Show what the journals know; asks no exchange.")
    parser.add_argument("--json", action="store_true", help="all of it, as JSON")
    args = parser.parse_args(argv)
    _load_bots(args, NO_KEYS)
    from market_maker.commands.state import state

    return _at_exchange(lambda settings: state(settings, args.symbol, as_json=args.json))


def _clear_state(argv: list[str]) -> int:
    parser = _symbol_parser("clear-state", "Forget lots, decisions and levels, with a backup.")
    parser.add_argument("--force", action="store_true", help="though a position is open")
    args = parser.parse_args(argv)
    _load(args)
    from market_maker.commands.clear_state import clear_state

    return _at_exchange(lambda settings: clear_state(settings, force=args.force))


def _plain(command: str, description: str, module: str) -> Callable[[list[str]], int]:
    """A command with a symbol and nothing else: the function of its name in *module*."""

    def run(argv: list[str]) -> int:
        _load(_symbol_parser(command, description).parse_args(argv))
        commands = importlib.import_module(f"market_maker.commands.{module}")
        return _at_exchange(getattr(commands, command))

    return run


def _withdraw(argv: list[str]) -> int:
    parser = _parser("withdraw", "Send XBT to an address.")
    parser.add_argument("amount", help="XBT, such as 0.5")
    parser.add_argument("address", help="where to; check it twice, it cannot be taken back")
    parser.add_argument("--fee", help="network fee in XBT; the exchange chooses if left out")
    args = parser.parse_args(argv)
    from market_maker.commands.account import Withdrawal, withdraw

    try:
        wanted = Withdrawal.parse(args.amount, args.address, args.fee)
    except ValueError as error:
        parser.error(str(error))
    _load(args)
    return _at_exchange(lambda settings: withdraw(settings, wanted, yes=args.yes))


def _strategies(argv: list[str]) -> int:
    parser = _parser("strategies", "List what the setting STRATEGY may name.")
    _load_bots(parser.parse_args(argv), NO_KEYS)
    from market_maker import strategy_loader
    from market_maker.settings import settings

    for name, text in strategy_loader.available().items():
        print(f"{'*' if name == settings.STRATEGY else ' '} {name:<12}{text}")
    print('A file of your own: STRATEGY = "my_strategy.py:MyClass". * is chosen now.')
    return OK


def _simulate(argv: list[str]) -> int:
    from market_maker.simulator import server

    return server.main(argv) or OK


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "setup": _setup,
    "check": _check,
    "simulate": _simulate,
    "drill": _drill,
    "report": _report,
    "strategies": _strategies,
    "cancel-all": _cancel_all,
    "resume": _plain("resume", "Let a bot that a loss limit has stopped trade again.", "account"),
    "guard": _guard,
    "unlock": _plain("unlock", "Let a bot that its guard has stopped trade again.", "guard"),
    "state": _state,
    "clear-state": _clear_state,
    "withdraw": _withdraw,
}


# -- shared ---------------------------------------------------------------------------------


def _symbol_parser(command: str, description: str) -> Parser:
    parser = _parser(command, description)
    parser.add_argument("symbol", nargs="?")
    return parser


def _parser(command: str, description: str = "", *, add_help: bool = True) -> Parser:
    parser = Parser(
        prog=f"marketmaker {command}".strip(),
        description=description,
        add_help=add_help,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=79),
    )
    parser.add_argument("--settings", metavar="FILE", help="use FILE in place of ./settings.py")
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        type=str.lower,
        choices=LOG_LEVELS,
        help=", ".join(LOG_LEVELS),
    )
    parser.add_argument("--bot", metavar="NAME", help="one of BOTS, by its name or symbol")
    parser.add_argument("--yes", action="store_true", help="answer every question with yes")
    return parser


def _load(args: argparse.Namespace, overrides: dict[str, Any] | None = None) -> None:
    """Put the final settings into the global object, checked, and start the log.

    Where they are of several bots, one of them must be chosen.
    """
    bots = _load_bots(args, overrides)
    if bots:
        names = ", ".join(entry.name for entry, _ in bots)
        raise SettingsError([f"BOTS has several bots: choose one with --bot, of {names}"])


def _load_bots(args: argparse.Namespace, overrides: dict[str, Any] | None = None) -> "Bots":
    """The same; all bots of BOTS where no symbol and no bot is chosen."""
    symbol = getattr(args, "symbol", None)
    _refuse_odd_symbol(symbol)
    import logging

    from market_maker import settings
    from market_maker.utils import log

    given = dict(overrides or {})
    if args.log_level:
        given["LOG_LEVEL"] = logging.getLevelNamesMapping()[args.log_level.upper()]
    final = settings.reload(symbol=symbol, path=args.settings, overrides=given, bot=args.bot)
    bots = []
    if final.BOTS and not symbol and not args.bot:
        bots = settings.load_all(args.settings, given)
        settings.check_all(bots)
    else:
        settings.check(final)
    log.setup_custom_logger("root", final.LOG_LEVEL)
    return bots


def _refuse_odd_symbol(word: str | None) -> None:
    fault = symbol_fault(word) if word else None
    if fault:
        raise SettingsError([fault])


def symbol_fault(word: str) -> str | None:
    """Why *word* is no symbol, with the command or symbol that was probably meant; or None."""
    # A symbol such as SETUSD is nearer to "setup" than one expects: capitals need more likeness.
    likeness = 0.8 if word.isupper() else 0.6
    command = difflib.get_close_matches(word.lower(), COMMANDS, 1, likeness)
    if command:
        return f"'{word}' is not a command: did you mean '{command[0]}'?"
    if word != word.upper():
        return f"'{word}' is not a symbol: did you mean '{word.upper()}'?"
    return None


def _each(bots: "Bots", step: Callable[[Any], int]) -> int:
    """Do *step* for each of the *bots*, or for the only one; the worst exit code."""
    if not bots:
        return _at_exchange(step)
    codes = []
    for entry, settings in bots:
        print(f"{entry.label}, {entry.symbol}", flush=True)
        try:
            codes.append(_at_exchange(step, settings))
        except BotError as error:  # the others are asked all the same
            codes.append(_complain(error, getattr(error, "exit_code", FAILED)))
    return max(codes)


def _at_exchange(step: Callable[[Any], int], settings: Any = None) -> int:
    """Do *step* with *settings*, or the global ones; what the exchange refuses is one line."""
    from market_maker.exchanges.base import ExchangeError, no_start
    from market_maker.settings import settings as global_settings

    try:
        return step(global_settings if settings is None else settings)
    except ExchangeError as error:
        reason = no_start(error)
        return _complain(reason, reason.exit_code)
