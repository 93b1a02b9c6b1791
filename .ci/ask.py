"""Asks the exchange by itself, not through the bot's code: `ask.py open-orders` or `ask.py fills`.

Prints how many there are of the account. Address and key come from the environment.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from urllib.parse import quote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

QUESTIONS = {
    "open-orders": ("order", {"open": True}),
    "fills": ("execution", {"execType": "Trade"}),
}


def ask(table: str, wanted: dict[str, object]) -> list[dict[str, object]]:
    address = urlsplit(os.environ["BASE_URL"])
    path = f"{address.path}{table}?count=500&filter={quote(json.dumps(wanted))}"
    expires = str(int(time.time()) + 60)
    secret = os.environ["BITMEX_API_SECRET"].encode()
    signature = hmac.new(secret, f"GET{path}{expires}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "api-key": os.environ["BITMEX_API_KEY"],
        "api-expires": expires,
        "api-signature": signature,
    }
    request = Request(f"{address.scheme}://{address.netloc}{path}", headers=headers)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        rows: list[dict[str, object]] = json.load(answer)
        return rows


print(len(ask(*QUESTIONS[sys.argv[1]])))
