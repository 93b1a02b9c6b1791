"""bitmex-market-maker 1.6.1, the original bot, quotes and trades on `--profile classic`.

    python tests/clients/bitmex_market_maker.py [--minutes 10]

It is pointed at the exchange by BASE_URL, API_KEY and API_SECRET in its own settings.py.
"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import Exchange, Failed, agree, check, main, until

# Today's websocket-client calls the bot's handlers with one argument more than they take.
REQUIREMENTS = ("bitmex-market-maker==1.6.1", "websocket-client==0.57.0")
SYMBOL = "XBTUSD"
PAIRS = 3

# 3 pairs every 10 s stay below 300 requests in 5 minutes; close quotes get filled.
SETTINGS = f"""
BASE_URL = "{{base_url}}/"
API_KEY = "{{key}}"
API_SECRET = "{{secret}}"
SYMBOL = "{SYMBOL}"
ORDER_PAIRS = {PAIRS}
ORDER_START_SIZE = 100
ORDER_STEP_SIZE = 100
INTERVAL = 0.0005
MIN_SPREAD = 0.0003
RELIST_INTERVAL = 0.0001
LOOP_INTERVAL = 10
POST_ONLY = False
WATCHED_FILES = ["settings.py"]
"""
TROUBLE = re.compile("Traceback|ERROR|Unhandled|Ratelimited|Sanity check failed")


def client(exchange: Exchange) -> None:
    account = exchange.account
    text = SETTINGS.format(base_url=account.base_url, key=account.key, secret=account.secret)
    Path("settings.py").write_text(text, encoding="utf-8")
    # a script in the background ignores Ctrl-C, and what it starts would too
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = Path("bot.log")
    with log.open("w") as out:
        command = [sys.executable, "-u", str(Path(sys.executable).with_name("marketmaker"))]
        bot = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        quoting(exchange, bot, log)
    finally:
        bot.send_signal(signal.SIGINT)
        stop(bot)
    # its exit handler prints a traceback of its own SystemExit
    working, ended, _ = log.read_text(encoding="utf-8").partition("Shutting down")
    trouble = [line for line in working.splitlines() if TROUBLE.search(line)]
    check("its log shows no error", not trouble, "\n".join(trouble[:5]) or None)
    check("it ends on Ctrl-C and cancels", ended)


def stop(bot: "subprocess.Popen[bytes]") -> None:
    try:
        bot.wait(30)
    except subprocess.TimeoutExpired:
        bot.kill()
        raise Failed("it does not end on Ctrl-C") from None


def quoting(exchange: Exchange, bot: "subprocess.Popen[bytes]", log: Path) -> None:
    """Follow the bot while it runs, then compare its log with the exchange."""
    account = exchange.account
    check("it opens its quotes", until(lambda: len(account.open_orders()) == 2 * PAIRS, 60, 1))
    end = time.monotonic() + 60 * exchange.options.minutes
    rounds = full = 0
    while time.monotonic() < end:
        time.sleep(min(15, max(0.0, end - time.monotonic())))
        if bot.poll() is not None:
            break
        rounds += 1
        sides = [order["side"] for order in account.open_orders()]
        full += "Buy" in sides and "Sell" in sides and len(sides) >= 2 * PAIRS - 2
    text = log.read_text(encoding="utf-8")
    fact = f"it runs for {exchange.options.minutes:g} minutes"
    check(fact, bot.poll() is None, None if bot.poll() is None else text[-2000:])
    check("it quotes both sides at nearly every look", full >= 0.8 * rounds, f"{full} of {rounds}")
    compare(exchange, log)


def compare(exchange: Exchange, log: Path) -> None:
    """What the bot prints of fills, position and balance, against the exchange's rows."""
    account = exchange.account
    fills = account.get("/execution/tradeHistory", symbol=SYMBOL, count=500)
    bought = sum(fill["lastQty"] for fill in fills if fill["side"] == "Buy")
    sold = sum(fill["lastQty"] for fill in fills if fill["side"] == "Sell")
    check("it trades", fills, f"{len(fills)} fills, {bought} bought, {sold} sold")
    position = sum(row["currentQty"] for row in account.get("/position"))
    agree("bought less sold is the position", bought - sold, position)

    def printed(what: str) -> str:
        found = re.findall(f"{what}: (\\S+)", log.read_text(encoding="utf-8"))
        return found[-1] if found else ""

    def same() -> bool:
        held = sum(row["currentQty"] for row in account.get("/position"))
        balance = account.get("/user/margin")["marginBalance"] / 1e8
        shown = printed("Current XBT Balance")
        # the balance moves with the mark price between its print and our look
        close = abs(float(shown or 0) - balance) < 1e-5
        return close and printed("Current Contract Position") == str(held)

    check("position and balance it prints are the exchange's", until(same, 60, 1))


if __name__ == "__main__":
    main(client, REQUIREMENTS, profile="classic", minutes=10)
