"""Keys: where they may stand, and that nothing the bot writes shows them."""

import os
import signal
from base64 import b64encode
from pathlib import Path

import pytest

from market_maker.settings import check, load, warnings
from market_maker.utils import log
from market_maker.utils.errors import SettingsError
from market_maker.venue import may_withdraw
from tests.decisions.test_sources import Endpoint
from tests.process import Exchange, environment, running, until

CHATTY = """\
import logging
import threading
import warnings
from base64 import b64encode
from market_maker.market_maker import OrderManager, logger


class Chatty(OrderManager):
    rounds = 0

    def place_orders(self):
        super().place_orders()
        self.rounds += 1
        logger.warning("all settings: %s", dict(self.settings))
        logging.getLogger("mine").error("secret %s", self.settings.BITMEX_API_SECRET)
        user = f"{self.settings.BITMEX_API_KEY}:{self.settings.BITMEX_API_SECRET}"
        logger.warning("Authorization: Basic %s", b64encode(user.encode()).decode())
        threading.Thread(target=self.fail).start()
        warnings.warn(repr(self.settings))
        print("printed", self.settings)
        if self.rounds == 3:
            raise RuntimeError(repr(self.settings))

    def fail(self):
        raise LookupError(repr(self.settings))


Chatty().run_loop()
"""


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_key_and_secret_may_stand_in_files(place: str, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("the-key-of-mine\n")
    (tmp_path / "secret.txt").write_text("  the-secret-of-mine  \n")
    names = {"BITMEX_API_KEY_FILE": "key.txt", "BITMEX_API_SECRET_FILE": "secret.txt"}
    if place == ".env":
        (tmp_path / ".env").write_text("".join(f"{n}={v}\n" for n, v in names.items()))
    settings = load(environ=names if place == "environment" else {}, cwd=tmp_path)
    assert settings.BITMEX_API_KEY == settings.API_KEY == "the-key-of-mine"
    assert settings.BITMEX_API_SECRET == "the-secret-of-mine"
    assert "key.txt" in settings.where("BITMEX_API_KEY")


def test_what_stands_there_itself_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-the-file")
    environ = {"BITMEX_API_KEY": "itself", "BITMEX_API_KEY_FILE": "key.txt"}
    assert load(environ=environ, cwd=tmp_path).BITMEX_API_KEY == "itself"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("", "holds 0"), ("two words", "holds 2")],
)
def test_a_file_that_holds_no_key_is_one_line_that_does_not_quote_it(
    content: str | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "k").write_text(content)
    with pytest.raises(SettingsError) as caught:
        load(environ={"BITMEX_API_SECRET_FILE": "k"}, cwd=tmp_path)
    (line,) = caught.value.faults
    assert words in line and "BITMEX_API_SECRET_FILE" in line
    assert "two words" not in line


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o640, 1), (0o604, 1), (0o400, 0)])
def test_a_file_of_secrets_that_others_can_read_is_a_warning(
    mode: int, count: int, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("BITMEX_API_KEY=abcdefgh\n")
    (tmp_path / ".env").chmod(mode)
    assert len(warnings(load(environ={}, cwd=tmp_path))) == count
    (tmp_path / "k").write_text("abcdefgh")
    (tmp_path / "k").chmod(mode)
    settings = load(environ={"BITMEX_API_KEY_FILE": str(tmp_path / "k")}, cwd=tmp_path)
    assert len(warnings(settings)) == 2 * count


@pytest.mark.parametrize(
    ("rows", "may"),
    [
        ([{"id": "mine", "permissions": ["order", "withdraw"]}], True),
        ([{"id": "mine", "permissions": ["order"]}], False),
        ([{"id": "other", "permissions": ["withdraw"]}, {"id": "mine"}], False),
        ([None, 3], False),
        ("<html>", False),
    ],
)
def test_a_key_that_may_withdraw_is_known_by_what_the_exchange_lists(
    rows: object, may: bool
) -> None:
    assert may_withdraw(rows, "mine") is may


def test_nothing_that_a_full_run_writes_shows_key_or_secret(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    try:
        home = tmp_path / "bot"
        home.mkdir()
        (home / "settings.py").write_text("import logging\nLOG_LEVEL = logging.DEBUG\n")
        (home / "my_strategy.py").write_text(CHATTY)
        with running(["my_strategy.py", "XBTUSD"], home, exchange.env(home)) as bot:
            assert bot.end() == 1
        assert "RuntimeError" in bot.text and "sending req" in bot.text
        with running(["-m", "market_maker", "XBTUSD"], home, exchange.env(home)) as plain:
            until(exchange.open_orders)
            plain.signal(signal.SIGTERM)
            assert plain.end() == 0
    finally:
        exchange.close()
    written = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite3" for path in written)
    texts = [bot.text.encode(), plain.text.encode(), *(path.read_bytes() for path in written)]
    assert "LookupError" in bot.text and "UserWarning" in bot.text and "printed" in bot.text
    assert b"***" in texts[0]
    for text in texts:
        assert exchange.secret.encode() not in text
        assert exchange.key.encode() not in text
        assert b64encode(exchange.key.encode()) not in text  # 24 letters: whole groups of three
        assert b"api-signature" not in text


CRASHING = """\
from market_maker.market_maker import OrderManager
from market_maker.settings import settings
raise LookupError(repr(settings))
"""


@pytest.mark.parametrize("args", [["my_strategy.py", "XBTUSD"], ["-m", "market_maker", "XBTUSD"]])
def test_a_strategy_that_cannot_even_be_read_shows_no_secret(
    args: list[str], tmp_path: Path
) -> None:
    (tmp_path / "my_strategy.py").write_text(CRASHING)
    bots = [{"symbol": "XBTUSD", "BITMEX_API_SECRET": "the-secret-of-another"}]
    (tmp_path / "settings.py").write_text(
        f"STRATEGY = 'my_strategy.py'\nOTHER = 1\nBOTS = {bots}\n"
    )
    env = environment(BITMEX_API_KEY="the-key-of-mine", BITMEX_API_SECRET="the-secret-of-mine")
    with running(args, tmp_path, env) as bot:
        assert bot.end() != 0
    assert "LookupError" in bot.text and "***" in bot.text
    for secret in ("the-key-of-mine", "the-secret-of-mine", "the-secret-of-another"):
        assert secret not in bot.text


def test_secrets_that_a_program_gives_are_hidden_too(tmp_path: Path) -> None:
    settings = load(environ={}, cwd=tmp_path)
    settings.HITBTC_API_SECRET = "given-by-a-program"
    settings.BOTS = [{"symbol": "XBTUSD", "HITBTC_API_KEY": "given-in-a-list"}]
    check(settings)
    assert log.redact(f"{settings}").count("***") == 2


DECIDED = """\
import logging
from urllib.parse import urlsplit
STRATEGY = "decision"
LOG_LEVEL = logging.DEBUG
USE_LOG_FILE = True
DECISION_EVERY = 0.2
DECISION_MAX_AGE = 5
"""


@pytest.mark.parametrize("place", ["environment", ".env", "a file"])
def test_the_key_of_the_decisions_goes_to_their_address_and_nowhere_else(
    place: str, tmp_path: Path
) -> None:
    exchange, key = Exchange(tmp_path), "quant-key-of-mine-4711"
    # It is sent back, as a careless server may do.
    answers = [(200, "OPEN_LONG"), (200, f"<p>{key}</p>"), (500, key), (200, key)]
    try:
        with Endpoint(answers) as endpoint:
            home = tmp_path / "bot"
            home.mkdir()
            (home / "settings.py").write_text(f"{DECIDED}DECISION_URL = {endpoint.url!r}\n")
            env = exchange.env(home)
            if place == ".env":
                (home / ".env").write_text(f"QUANT_API_KEY={key}\n")
            elif place == "environment":
                env["QUANT_API_KEY"] = key
            else:
                (tmp_path / "quant").write_text(key)
                env["QUANT_API_KEY_FILE"] = str(tmp_path / "quant")
            with running(["-m", "market_maker", "XBTUSD"], home, env) as bot:
                until(lambda: len(endpoint.heard) > 5)
                bot.wait_for("No decision: no decision in")
                bot.signal(signal.SIGTERM)
                assert bot.end() == 0
    finally:
        exchange.close()
    assert {headers["X-API-KEY"] for headers, _ in endpoint.heard} == {key}
    written = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    kinds = {path.suffix for path in written}
    assert {".log", ".sqlite3"} <= kinds
    leaking = [path.name for path, text in written.items() if key.encode() in text]
    assert leaking == [".env"] * (place == ".env")
    assert key not in bot.text and "***" in bot.text
