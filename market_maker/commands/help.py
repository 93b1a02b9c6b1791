"""What `marketmaker --help` prints."""

import argparse
from typing import Any

HELP = """\
usage: marketmaker [SYMBOL] [options]       (no SYMBOL: all of BOTS, if set)
       marketmaker COMMAND [options]

Quotes layered bids and asks for SYMBOL (or the SYMBOL of settings.py) and
cancels its orders when it ends. Without settings it trades play money on the
built-in exchange.

commands (each has its own --help):
  setup                     write settings.py, .env, my_strategy.py and a copy
                            of the program here; overwrites nothing
  check [SYMBOL]            settings, key, clock, symbol, funds; places nothing
  simulate                  the built-in exchange alone, for any client
  drill [SYMBOL]            your settings and strategy against every fault, on
                            the built-in exchange; places nothing elsewhere
  report [SYMBOL]           what strategies earn on the built-in exchange, on
                            made-up or recorded markets, and from what
  strategies                what STRATEGY may name, one line each
  cancel-all [SYMBOL]       cancel every open order of the symbol, whoever
                            placed it; --own: the bot's only
  resume [SYMBOL]           let a bot that MAX_LOSS or MAX_DRAWDOWN has stopped
                            trade again
  guard [SYMBOL]            a second process that cancels the bot's orders when
                            the bot falls silent
  unlock [SYMBOL]           let a bot that its guard has stopped trade again
  state [SYMBOL]            what the journals know: runs, fills, lots, levels,
                            decisions; --json
  clear-state [SYMBOL]      forget lots, decisions and levels, with a backup
  withdraw AMOUNT ADDRESS   send XBT to an address

options:
  --dry-run                 show the orders it would place; send nothing
  --latency                 show at the end how long each stage took
  --settings FILE           use FILE in place of ./settings.py
  --bot NAME                one of BOTS only, by its name or symbol
  --log-level LEVEL         debug, info, warning or error
  --yes                     answer every question with yes
  --version                 print the version
  -h, --help                print this

examples:
  marketmaker XBTUSD            trade play money on the built-in exchange
  marketmaker setup             write the files to change
  marketmaker XBTUSD --dry-run  see the orders before they cost anything

exit codes: 0 ended as asked, 1 ended by an error, 2 wrong usage, settings or
key, or another bot runs here, 3 stopped by MAX_LOSS, MAX_DRAWDOWN or
the guard

Risk: market making can lose all the money you give it. No warranty, no advice.
"""


class Help(argparse.Action):
    """Prints the page and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(HELP, end="")
        parser.exit(0)
