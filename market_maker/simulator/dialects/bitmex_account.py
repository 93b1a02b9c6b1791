"""BitMEX's account endpoints: executions, positions, margin, wallet, the user and his keys."""

from collections.abc import Iterable
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects import bitmex_ages as ages
from market_maker.simulator.dialects import bitmex_rows as rows
from market_maker.simulator.dialects.bitmex_call import Call
from market_maker.simulator.dialects.bitmex_orders import number, whole
from market_maker.simulator.dialects.bitmex_select import parse_bool, pick_columns
from market_maker.simulator.dialects.bitmex_tables import words
from market_maker.simulator.exchange import Refused

BALANCE_TYPES = frozenset(
    {"Trade", "Funding", "Settlement", "Liquidation", "Bankruptcy"}
)  # what tradeHistory shows: all that moves money
WALLET_ROWS = 10_000  # of GET /user/walletHistory

_ASSETS = (
    # currency, asset, name, scale, network
    ("XBt", "XBT", "Bitcoin", 8, "btc"),
    ("USDt", "USDT", "Tether", 6, "eth"),
)


def get_executions(call: Call) -> list[Row]:
    return _executions(call, None)


def get_trade_history(call: Call) -> list[Row]:
    return _executions(call, BALANCE_TYPES)


def _executions(call: Call, kinds: frozenset[str] | None) -> list[Row]:
    found = (
        rows.execution_row(event, call.feed.listings[event.order.symbol])
        for event in call.engine.executions(call.owner)
        if kinds is None or event.exec_type in kinds
    )
    return call.rows(call.of_symbol(found), ("symbol", "timestamp"))


# -- positions


def get_positions(call: Call) -> list[Row]:
    return call.table("position", call.of_symbol(call.feed.private.positions(call.owner)))


def set_leverage(call: Call) -> Row:
    leverage = number(call.params.get("leverage"), "leverage")
    return _position(call, call.engine.set_leverage(call.owner, call.symbol(), leverage))


def isolate(call: Call) -> Row:
    enabled = parse_bool(call.params.get("enabled", True))
    return _position(call, call.engine.isolate(call.owner, call.symbol(), enabled))


def set_risk_limit(call: Call) -> Row:
    limit = whole(call.params.get("riskLimit"), "riskLimit")
    return _position(call, call.engine.set_risk_limit(call.owner, call.symbol(), limit))


def transfer_margin(call: Call) -> Row:
    amount = whole(call.params.get("amount"), "amount")
    return _position(call, call.engine.transfer_margin(call.owner, call.symbol(), amount))


def _position(call: Call, row: Row) -> Row:
    return ages.position_row(row, call.feed.is_classic)


# -- money


def get_margin(call: Call) -> Row | list[Row]:
    return _of_currency(call, call.feed.private.margins(call.owner))


def get_wallet(call: Call) -> Row | list[Row]:
    return _of_currency(call, call.feed.private.wallets(call.owner))


def _of_currency(call: Call, found: list[Row]) -> Row | list[Row]:
    """The row of the asked currency, XBt without one; all rows for "all"."""
    currency = _currency(call)
    if currency == "all":
        return found
    for row in found:
        if row["currency"] == currency:
            return row
    raise Refused("Invalid currency", name="ValidationError")


def _currency(call: Call) -> str:
    return str(call.params.get("currency") or "XBt")


def get_wallet_history(call: Call) -> list[Row]:
    """Transactions, the latest first unless asked otherwise."""
    currency = _currency(call)
    found = [
        rows.transaction_row(transaction)
        for transaction in call.engine.transactions(call.owner)
        if currency in ("all", transaction.currency)
    ]
    params = {"reverse": True, "count": WALLET_ROWS, **call.params}
    return call._replace(params=params).table("transact", found, WALLET_ROWS)


def get_wallet_summary(call: Call) -> list[Row]:
    """What each kind of transaction came to, and the sum."""
    currency = _currency(call)
    sums: dict[tuple[str, str, str], int] = {}
    for transaction in call.engine.transactions(call.owner):
        if currency in ("all", transaction.currency) and transaction.status != "Canceled":
            symbol = transaction.address if transaction.kind == "RealisedPNL" else ""
            key = (transaction.currency, transaction.kind, symbol)
            sums[key] = sums.get(key, 0) + transaction.amount
    found = [
        _summary(call, currency=name, kind=kind, symbol=symbol, amount=amount)
        for (name, kind, symbol), amount in sums.items()
    ]
    for margin in call.feed.private.margins(call.owner):
        if currency in ("all", margin["currency"]):
            amount = sum(row["amount"] for row in found if row["currency"] == margin["currency"])
            total = _summary(
                call, currency=margin["currency"], kind="Total", symbol="", amount=amount
            )
            found.append(total | {name: margin[name] for name in _BALANCES})
    return found


_BALANCES = ("realisedPnl", "walletBalance", "unrealisedPnl", "marginBalance")


def _summary(call: Call, *, currency: str, kind: str, symbol: str, amount: int) -> Row:
    return {
        "account": call.owner,
        "currency": currency,
        "transactType": kind,
        "symbol": symbol,
        "amount": amount,
        "pendingDebit": 0,
        **dict.fromkeys(_BALANCES),
    }


def request_withdrawal(call: Call) -> Row:
    return rows.transaction_row(call.engine.request_withdrawal(call.owner, call.params))


def get_assets(_: Call) -> list[Row]:
    return [
        {
            "asset": asset,
            "currency": currency,
            "majorCurrency": asset,
            "name": name,
            "currencyType": "Crypto",
            "scale": scale,
            "enabled": True,
            "isMarginCurrency": True,
            "memoRequired": False,
            "networks": [
                {
                    "asset": network,
                    "tokenAddress": "",
                    "depositEnabled": False,
                    "withdrawalEnabled": True,
                    "withdrawalFee": 0,
                    "minFee": 0,
                    "maxFee": 0,
                }
            ],
        }
        for currency, asset, name, scale, network in _ASSETS
    ]


def get_networks(_: Call) -> list[Row]:
    return [
        {
            "network": network,
            "name": name,
            "currency": currency,
            "networkSymbol": network,
            "transactionExplorer": "",
            "tokenExplorer": "",
            "depositConfirmations": 1,
            "enabled": True,
        }
        for network, name, currency in (("btc", "Bitcoin", "XBt"), ("eth", "Ethereum", "USDt"))
    ]


# -- the user


_USER: dict[str, Any] = {
    **dict.fromkeys(
        words(
            "firstname lastname accountName email dateOfBirth phone created lastUpdated "
            "TFAEnabled affiliateID country geoipCountry geoipRegion firstTradeTimestamp "
            "firstDepositTimestamp"
        )
    ),
    "isUser": True,
    "preferences": {},
    "typ": "Individual",
}


def get_user(call: Call) -> Row:
    return {"id": call.owner, "username": f"account{call.owner}", **_USER}


def get_commission(call: Call) -> Row:
    """Symbol to the account's rates there."""
    found = {}
    for symbol in call.engine.symbols():
        maker, taker, settlement = call.engine.fees(call.owner, symbol)
        found[symbol] = {
            "makerFee": maker,
            "takerFee": taker,
            "settlementFee": settlement,
            "maxFee": max(maker, taker, settlement),
        }
    return found


def get_quote_fill_ratio(call: Call) -> list[Row]:
    """Per UTC day, newest last: quotes sent, quotes dealt, and their means over seven days."""
    counts = list(call.engine.quote_counts(call.owner))
    found = []
    for index, count in enumerate(counts):
        week = counts[max(0, index - 6) : index + 1]
        quotes, dealt = _mean(day.submitted for day in week), _mean(day.dealt for day in week)
        found.append(
            {
                "date": rows.iso(count.day_s),
                "account": call.owner,
                "quoteCount": count.submitted,
                "dealtCount": count.dealt,
                "quotesMavg7": quotes,
                "dealtMavg7": dealt,
                "quoteFillRatioMavg7": round(dealt / quotes, 6) if quotes else 0.0,
            }
        )
    return found


def _mean(counts: Iterable[int]) -> float:
    found = list(counts)
    return sum(found) / len(found)


def get_keys(call: Call) -> list[Row]:
    """The account's keys, without their secrets."""
    return [
        {
            "id": account.key,
            "secret": "",
            "name": f"account{account.number}",
            "nonce": 0,
            "cidr": "0.0.0.0/0",
            "cidrs": ["0.0.0.0/0"],
            "targetAccountId": account.number,
            "permissions": sorted(account.permissions),
            "enabled": account.is_enabled,
            "userId": account.number,
            "created": None,
        }
        for account in call.engine.keys_of(call.owner)
    ]


def log_out(call: Call) -> None:
    """A key has no session: nothing to end."""


def get_nothing(call: Call) -> list[Row]:
    """A table of the site that nobody writes in here: announcements, chat, notifications."""
    return pick_columns([], call.params.get("columns"), ())
