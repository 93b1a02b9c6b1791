"""Command lines that say in one line what is wrong."""

import argparse
import difflib
from typing import NoReturn

USAGE = 2  # exit code of wrong usage


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            unknown = message.split(" ")[2]
            nearest = difflib.get_close_matches(unknown, list(self._option_string_actions), 1)
            message = f"what is '{unknown}'?"
            message += f" Did you mean {nearest[0]}?" if nearest else ""
        self.exit(USAGE, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def first_word(argv: list[str]) -> int | None:
    """Where the first word stands that is neither an option nor the value of one."""
    skip = False
    for index, word in enumerate(argv):
        if skip:
            skip = False
        elif word in ("--settings", "--log-level", "--bot"):
            skip = True
        elif not word.startswith("-"):
            return index
    return None
