"""`python -m market_maker` does what the command `marketmaker` does."""

from market_maker import run

run()
