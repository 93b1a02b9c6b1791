"""A classic threaded market maker."""


def run() -> None:
    """What the command `marketmaker` does; ends with SystemExit."""
    from market_maker.cli import main

    raise SystemExit(main())
