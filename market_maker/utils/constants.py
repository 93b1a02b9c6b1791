"""Numbers and names that everything shares."""

XBt_TO_XBT = 100_000_000  # satoshi in one bitcoin
VERSION = "2.0.0"
