"""Settings of the market maker. `marketmaker setup` writes this file as ./settings.py.

Keep the lines you want to change and delete the rest: what is missing has the value given here.
Where our value differs from that of BitMEX's sample-market-maker, its value stands beside it.
Names of your own are passed through and read as `settings.MY_NAME`.
`settings-XBTUSD.py` (here or in the parent folder) holds what differs for one symbol.
A ratio is a fraction of the price: 0.0002 is 0.02 %.
"""

import logging

# --- Where to trade ---------------------------------------------------------------------------

# "simulator" is the built-in exchange: play money, no account, no network.
# "bitmex" is any server that speaks BitMEX's protocol, at BASE_URL.
# "okx" is OKX, real money; "okx-demo" its demo environment, for a key made there.
# "binance" is Binance spot, real money; "binance-testnet" its test network.
# "hitbtc" is HitBTC spot, real money; "hitbtc-demo" its demo environment.
# "plain" is any server that speaks the plain REST protocol of docs/plain.md, at BASE_URL.
# "ccxt:okx", "ccxt:binance", "ccxt:htx", "ccxt:hitbtc", "ccxt:kraken" and "ccxt:bybit" are spot
# markets over ccxt, asked in turns: real money. pip install -e '.[ccxt]'
EXCHANGE = "simulator"

# Address of the exchange, such as "http://127.0.0.1:8000/api/v1/". None: the venue's own.
# BitMEX closed on 2026-09-23.  (sample-market-maker: "https://testnet.bitmex.com/api/v1/")
BASE_URL = None

# Keys of accounts belong in .env, so that this file can be shown to others: BITMEX_API_KEY and
# BITMEX_API_SECRET (which work here too, as below); OKX_API_KEY, OKX_API_SECRET and
# OKX_API_PASSPHRASE; BINANCE_API_KEY and BINANCE_API_SECRET; HITBTC_API_KEY and
# HITBTC_API_SECRET; PLAIN_API_KEY and PLAIN_API_SECRET; CCXT_API_KEY, CCXT_API_SECRET and, for
# "ccxt:okx", CCXT_API_PASSPHRASE.
API_KEY = ""
API_SECRET = ""

# Before the bot trades real money for the first time it says what may be lost and has you type a
# word. True trades without asking, as where there is no terminal.
LIVE = False

# How orders go to OKX: "ws" by its WebSocket (by REST where that fails), "rest" by REST alone.
OKX_ORDER_ENTRY = "ws"
OKX_MARGIN_MODE = "cross"  # or "isolated"; the margin of swaps at OKX

# Binance: True gives each bot a socket for orders of its own, False one to all bots of the account
# that run in one process.
WS_PER_BOT = True

# HitBTC: True sends an order again under its own id when a lost connection comes back within
# seconds; False forgets it once it is proven absent, and the next round quotes afresh.
HITBTC_REPLAY = False

# On spot the position is what the account holds of the base currency beyond this amount.
SPOT_BASE_INVENTORY = 0

# What to trade when the command line names no symbol. OKX's own names work there too.
SYMBOL = "XBTUSD"

# Symbols whose positions count in "Total Contract Delta".
CONTRACTS = ["XBTUSD"]

# --- What to do there -------------------------------------------------------------------------

# Which strategy trades: a name that "marketmaker strategies" lists, or a file and a class of
# yours, such as "my_strategy.py:MyStrategy".
STRATEGY = "layered"

# --- Several bots -----------------------------------------------------------------------------

# "marketmaker" without a symbol runs all of these, one process each, on the exchange and the
# account of this file. A bot has a "symbol", a "strategy" if it likes, and any setting that differs
# for it; a "name" tells bots of one symbol apart, which need an ORDERID_PREFIX each as well:
# BOTS = [
#     {"symbol": "XBTUSD", "strategy": "layered"},
#     {"symbol": "ETHUSD", "strategy": "grid", "GRID_SPACE": 0.1},
# ]
BOTS = None

# --- How many orders, how large ---------------------------------------------------------------

ORDER_PAIRS = 6  # quotes on each side of the book

# Contracts of the order nearest to the market, and how many more each further one has.
# Both are rounded to the lot of the instrument; a step of 0 makes all orders alike.
ORDER_START_SIZE = 100
ORDER_STEP_SIZE = 100

# True draws the size of each order once, from MIN_ORDER_SIZE to MAX_ORDER_SIZE (contracts).
RANDOM_ORDER_SIZE = False
MIN_ORDER_SIZE = 100
MAX_ORDER_SIZE = None  # no order may be larger (contracts), whoever asks for it. None: no limit

# A partly filled order is filled up again only when less than this part of it is left (0 to 1):
# amending upwards loses the place in the queue.
TOPUP_BELOW = 0.5

# --- At which prices --------------------------------------------------------------------------

# Ratio between one quote and the next on the same side.  (sample-market-maker: 0.005)
INTERVAL = 0.0003

# Least ratio between our best bid and our best ask.  (sample-market-maker: 0.01)
# Tight enough for play money to see fills at once; below twice the fee it loses in earnest.
MIN_SPREAD = 0.0002

# True quotes from just inside the market spread, False from INTERVAL away from it.
MAINTAIN_SPREADS = True

# An order is moved only when its price is off by more than this ratio: every move costs a
# request and the place in the queue.  (sample-market-maker: 0.01)
RELIST_INTERVAL = 0.0001

# True sends orders that never take from the book (and so never pay the taker fee).
POST_ONLY = True  # (sample-market-maker: False)

# --- How much to risk -------------------------------------------------------------------------

# True stops buying at MAX_POSITION and selling at MIN_POSITION (contracts, short is negative).
CHECK_POSITION_LIMITS = True  # (sample-market-maker: False)
MIN_POSITION = -10000
MAX_POSITION = 10000

# No more orders than these at a time, and none further from the mark price than this ratio,
# whatever a strategy asks for. None: no limit.
MAX_OPEN_ORDERS = 200
PRICE_BAND = 0.2

# The bot stops for good, exit code 3, when it has lost so much (in coins of the settlement
# currency, XBT for XBTUSD) in one run or one UTC day, or since its best moment: realised and
# unrealised at the mark price, with fees and funding. It starts again only after
# "marketmaker resume". None: no limit.
MAX_LOSS = None
MAX_DRAWDOWN = None

# At the end of a run "cancel" cancels all orders, "flatten" then closes the position with orders
# that take from the book, "keep" leaves the orders where they are if it ends as asked.
ON_STOP = "cancel"

# When a strategy of yours raises an error, "stop" ends the run; "pull" takes its quotes out of the
# market and calls it again in the next round.
ON_STRATEGY_ERROR = "stop"

# After so long without data (seconds) the bot asks for one quote; if it has moved, the stream is
# stale: quotes are pulled and the connection is made anew.
STALE_AFTER = 10

# The exchange cancels every order of the account when it has not heard from the bot for so long
# (seconds, at least 5 and three times LOOP_INTERVAL and MIN_REQUOTE_INTERVAL): for a power cut, a
# lost network, a hung strategy. It cancels what other bots and hands have placed there, too.
# 0: never.
DEADMAN_TIMEOUT = 60

# Where "marketmaker guard" listens, such as "192.0.2.7:8100": a process, best on another host, that
# cancels the bot's orders when it has not heard from it for DEADMAN_TIMEOUT. For exchanges without
# a dead man's switch. GUARD_SECRET, the same long text on both sides, belongs in .env.
GUARD = None

# True shows the orders it would place and sends nothing; needs no key.
DRY_RUN = False
DRY_BTC = 50  # XBT: the balance a dry run assumes where the account cannot be read

# Fees as ratios, negative for a rebate. None: what the exchange says of the instrument.
MAKER_FEE = None
TAKER_FEE = None

# --- How often --------------------------------------------------------------------------------

# True quotes anew as soon as the market or an order changes; False every LOOP_INTERVAL only.
EVENT_DRIVEN = True
LOOP_INTERVAL = 5  # seconds: the longest wait between two rounds
MIN_REQUOTE_INTERVAL = 1.0  # seconds: the shortest wait, which saves requests

# --- Talking to the exchange ------------------------------------------------------------------

# "auto" sends orders in one call where the exchange has such a call, True always, False never.
ORDER_BULK = "auto"

TIMEOUT = 7  # seconds to wait for an answer

# An exchange without a stream is asked in turns (seconds): for the market each POLL_INTERVAL; for
# the next resting order, or the fills, each CHECK_SPACING; for everything when no order has changed
# for IDLE_CHECK.
POLL_INTERVAL = 1
CHECK_SPACING = 1
IDLE_CHECK = 10

# Seconds that strategies of sample-market-maker wait after cancelling and after an error. The
# bot itself keeps to the rate limits that the exchange tells it.
API_REST_INTERVAL = 1
API_ERROR_INTERVAL = 10

# Orders whose clOrdID begins so are ours; all others are left alone. At most 13 characters.
ORDERID_PREFIX = "mm_bitmex_"

# --- The program ------------------------------------------------------------------------------

LOG_LEVEL = logging.INFO  # logging.DEBUG shows every request

# True shows at the end how long each stage took from the market's frame to the orders' answers.
LATENCY = False

# True also writes the log into marketmaker-SYMBOL-PREFIX.log in this folder, a path into that file;
# a new one begins at midnight, and the last 30 are kept.  (Quant-trading.network: True)
USE_LOG_FILE = False

# The bot starts anew when one of these files changes. None: the files it has really loaded.
# (sample-market-maker: ["market_maker/market_maker.py", "market_maker/bitmex.py", "settings.py"])
WATCHED_FILES = None

# Folder of what must survive a restart. None: the usual one, such as ~/.local/state/marketmaker
STATE_DIR = None

# --- Options of every strategy ----------------------------------------------------------------

# What a contract is worth, which moves all quotes by its distance from the strategy's own centre:
# "mid", "weighted" (nearer to the larger side) or "micro" (nearer to the smaller side) of the touch
# without our orders, or "external": the mid of FAIR_PRICE_SOURCE, such as "XBTM26" here or
# "okx:BTC-USD-SWAP", with the average of what it has been away from ours over FAIR_PRICE_BASIS
# seconds (0: as it is). Where it is older than FAIR_PRICE_MAX_AGE seconds the quotes are pulled.
# None: the strategy's own.
FAIR_PRICE = None
FAIR_PRICE_SOURCE = None
FAIR_PRICE_BASIS = 300
FAIR_PRICE_MAX_AGE = 5

# Lean against the position: in full where it is SKEW_RANGE contracts away from SKEW_TARGET (or half
# of what the account is worth, if that is less). There SKEW_PRICE moves both sides by this ratio,
# and SKEW_SIZE = True has one side twice as large and the other side gone.
SKEW_PRICE = 0
SKEW_SIZE = False
SKEW_TARGET = 0
SKEW_RANGE = 10000

# Lean away from the side that will pay: in the last SKEW_FUNDING_WINDOW seconds before funding both
# sides move, more and more, up to this part of the funding rate. 1: what it will cost. 0: never.
SKEW_FUNDING = 0
SKEW_FUNDING_WINDOW = 600

# Both sides move out by so many times what the mid moves in a second (standard deviation of the
# last minutes). 0: never.
VOLATILITY_SPREAD = 0

# An order stays where it is while moving it gains less than its place in the queue is worth: for
# the very front so many ticks, for the very back nothing. 0: no place is worth anything.
QUEUE_WORTH = 0

# Seconds an order rests before it is moved. It is cancelled at once where it must go.
MIN_REST = 0

# No more orders of one side may trade in TRADE_BRAKE_SECONDS than these; one of the other side at a
# better price gives one back. 0: no brake.
TRADE_BRAKE = 0
TRADE_BRAKE_SECONDS = 60

# --- Strategy "grid" --------------------------------------------------------------------------

# Where the first levels lie: "lastTicker" around the last trade of the market, "lastOwn" around
# our own last trade, a price around that price, "cont" where the levels of the last run were.
GRID_SEED = "lastTicker"

# At the start True cancels the orders that are there, False builds the grid around them.
# None: as the seed says, which is False for "cont" and True for the others.
CLEAR_ORDERS = None

# "ppt": levels are GRID_SPACE per cent apart, and sizes grow downwards by
# sqrt(1 + GRID_SPACE / 100) ** GRID_QUANTITY_POWER a level. "fullfixed": GRID_SPACE is a
# distance in price, and all sizes are alike.
GRID_KIND = "ppt"
GRID_SPACE = 0.05
GRID_QUANTITY_POWER = 0

GRID_BUY_LEVELS = 5  # levels on each side
GRID_SELL_LEVELS = 5
GRID_BUY_QUANTITY = 100  # size of the first level (contracts)
GRID_SELL_QUANTITY = 100

# True cancels the orders farther out than these levels; their levels come back when the nearer
# ones are filled. False leaves them in the book.
STRICT_LEVELS = True

# No level is below or above these prices. None: no limit.
GRID_MIN_PRICE = None
GRID_MAX_PRICE = None

# Decimals of prices and of sizes in the grid; -3 is thousands. None: those of the instrument.
GRID_BASE_SCALE = None
GRID_COUNTER_SCALE = None
GRID_NO_QTY_CUTOFF = False  # True places the least size where a size would shrink to nothing

# --- Strategy "avellaneda" --------------------------------------------------------------------

# Distances in ticks, time in seconds, inventory in ORDER_START_SIZE. "rolling" looks
# AVELLANEDA_HORIZON seconds ahead, always; "stationary" has no horizon.
AVELLANEDA_MODEL = "rolling"
AVELLANEDA_HORIZON = 30
AVELLANEDA_GAMMA = 0.02  # aversion to inventory: more leans more and quotes wider
AVELLANEDA_TARGET = 0  # contracts to hold

# Least and most that is believed of the volatility (ticks per square root of a second), of the
# arrivals (a second, at the mid) and of their decay (per tick). Until there are so many samples
# the careful end applies: the most volatility, the fewest arrivals, the slowest decay.
AVELLANEDA_SIGMA = [0.5, 8]
AVELLANEDA_A = [0.05, 10]
AVELLANEDA_K = [0.05, 3]
AVELLANEDA_LEAST_SAMPLES = 30
AVELLANEDA_SAMPLE_EVERY = 1  # seconds between two samples of the mid, at least 1
AVELLANEDA_WINDOW = 600  # samples, and arrivals, that are remembered

# --- Strategy "decision" ----------------------------------------------------------------------

# Who decides; one of the three. An address that takes a POST and answers (QUANT_API_KEY goes as
# X-API-KEY and belongs in .env), a file with one word, or a function of this file. The words are
# NONE, OPEN_LONG, OPEN_SHORT, CANCEL_LONG and CANCEL_SHORT.
DECISION_URL = None
DECISION_FILE = None
DECISION_CALL = None

# What the address is told: the body of "BitcoinFuturesMarketMaker", "BitcoinFuturesManager" or
# "BitcoinFuturesSwinger" of Quant-trading.network.
QUANT_ALGO = "BitcoinFuturesMarketMaker"

DECISION_EVERY = 60  # seconds between two questions
DECISION_TIMEOUT = 10  # seconds to wait for an answer
DECISION_MAX_AGE = 180  # seconds: an older decision is not carried out, a longer silence ends it

# One decision opens DECISION_STAKE per cent of the trading balance, which is this ratio of the
# margin balance, from 0.1 to 1.
DECISION_STAKE = 10
TRADING_BALANCE_SIZE = 1.0

# Where our fills do not explain the exchange's position: True takes the exchange's, False ends.
ADJUST_POSITION_DATA = True

# --- Strategy "inventory" ---------------------------------------------------------------------

# ORDER_PAIRS quotes of ORDER_START_SIZE each, the first at the touch of the others, the next ones
# so many ticks apart.  (mm-lomond: 10 quotes of 1, 1 tick apart)
INVENTORY_STEP_TICKS = 1

# The largest inventory (contracts); no quote could make it larger.  (mm-lomond: 10)
INVENTORY_MAX = 1000

# Ticks by which the side that would add to the inventory steps back from the touch: by equal
# parts of INVENTORY_MAX, from none to all of it. None: no quotes.
INVENTORY_SKEW = [0, 3, None]

# When less than this part of the last so many trades bought, the best bid steps aside; when less
# than this part sold, the best ask.
INVENTORY_TRADES = 10
INVENTORY_TRADE_RATIO = 0.25

# A quote at the touch with more than this part of its level before it leaves after so many
# seconds; its side stays away from that price while it is the touch.
INVENTORY_QUEUE = 0.25
INVENTORY_GRACE = 1
INVENTORY_QUEUE_MODEL = "pessimistic"  # or "proportional": which of a queue cancels first
INVENTORY_SHOWN_WITHIN = 0.5  # seconds in which the book shows an order that is acknowledged

# When this part of the balance is lost everything is cancelled and, with INVENTORY_FLATTEN, the
# position closed; nothing is quoted until the next start. None: no limit.
INVENTORY_MAX_LOSS = 0.15
INVENTORY_FLATTEN = False

# More than this part of INVENTORY_MAX is closed with orders that take, won or lost, when the
# price is further from what was paid than this ratio; then not again for so many seconds.
# INVENTORY_SCRATCH = None: never.
INVENTORY_SCRATCH = 0.5
INVENTORY_SCRATCH_MOVE = 0.01
INVENTORY_SCRATCH_PAUSE = 10

# --- The built-in exchange --------------------------------------------------------------------

# What the made-up market is like: "practice" shows fills at once; "calm", "busy", "trending" and
# "crash" look like real days (docs/markets.md).
SIM_MARKET = "practice"
SIM_DATA = None  # recorded market data to replay (a folder, a file or a list); None: made up
SIM_SPEED = 1.0  # times faster than life; the replay of recorded data only
SIM_SEED = None  # a whole number makes the same market each time
SIM_BALANCE = 1  # XBT of play money to begin with
SIM_FAULT = None  # trouble to rehearse, such as "drop-answer:p=0.1" or a list of such texts
SIM_PROFILE = "classic"  # "classic": BitMEX as the bot knew it; "last": as it was in mid 2026
