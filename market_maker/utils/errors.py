"""Errors, classed by what the bot does next.

BotError
├── SkipRound              do nothing now, look again in the next round
│   ├── MarketClosedError  the instrument is not open for trading
│   ├── MarketEmptyError   a side of the book is missing
│   ├── CrossedBook        the best bid is not below the best ask: between two moments
│   ├── StrategyFault      a strategy raised, or asks for what cannot be meant
│   └── StaleData          what we know may be old: pull the quotes first, ask afterwards
├── StopTrading            cancel everything and leave
│   ├── AuthenticationError  no key, or the exchange refuses it
│   ├── AlreadyRunning     another bot trades the same account, symbol and prefix
│   ├── LossLimitReached   MAX_LOSS or MAX_DRAWDOWN, now or in an earlier run
│   └── SettingsError      the settings cannot be used; carries one line per fault
└── NotSupported           this exchange cannot do that

Errors of the exchange's answers (`requests.exceptions.HTTPError`) live in
`market_maker.exchanges.base`, because importing requests is slow.
"""


class BotError(Exception):
    """Base of all errors we raise."""


class SkipRound(BotError):
    """Do nothing now; look again in the next round."""


class MarketClosedError(SkipRound):
    """The instrument is not open for trading."""


class MarketEmptyError(SkipRound):
    """The order book has no bid or no ask."""


class CrossedBook(SkipRound):
    """The best bid is not below the best ask; nothing is decided on such a frame."""


class StrategyFault(SkipRound):
    """A strategy raised, or asks for orders that cannot be meant."""


class StaleData(SkipRound):
    """The market data may be old: quotes are pulled until it is known to be fresh."""


class StopTrading(BotError):
    """Cancel everything and leave, with this exit code."""

    exit_code = 1


class AuthenticationError(StopTrading):
    """No key was given, or the exchange refuses it."""

    exit_code = 2


class AlreadyRunning(StopTrading):
    """Another bot trades the same account, symbol and prefix."""

    exit_code = 2


class LossLimitReached(StopTrading):
    """MAX_LOSS or MAX_DRAWDOWN is reached, or was in a run that nobody has resumed since."""

    exit_code = 3


class SettingsError(StopTrading):
    """The settings cannot be used; `faults` holds one line for each fault."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class NotSupported(BotError):
    """This exchange cannot do what was asked."""
