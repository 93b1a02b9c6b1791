"""The unmodified bot in one thread on a manual clock: the same run twice, to the byte."""

import hashlib
import logging

import pytest

from tests.world import World


def digest_of_run(seconds: float, seed: int) -> tuple[str, int]:
    """A hash of every event of the exchange and every request and answer, and how many fills."""
    world, digest = World(seed=seed), hashlib.sha256()
    world.engine.listeners.append(lambda event: digest.update(repr(event).encode()))

    class Recorded:
        def __init__(self, transport) -> None:
            self.transport = transport

        def send(self, requests):
            answers = self.transport.send(requests)
            digest.update(repr((requests, answers)).encode())
            return answers

        def close(self) -> None:
            self.transport.close()

    bot = world.bot(wrap=Recorded, LOG_LEVEL=logging.WARNING)
    world.run(bot, seconds)
    bot.shut_down()
    assert world.open_orders() == []
    fills = [e for e in world.engine.executions(world.account.number) if e.fill is not None]
    return digest.hexdigest(), len(fills)


def test_two_runs_are_equal_to_the_byte_and_another_seed_is_another_run() -> None:
    first, fills = digest_of_run(120, seed=5)
    again, _ = digest_of_run(120, seed=5)
    other, _ = digest_of_run(120, seed=6)
    assert first == again != other
    assert fills > 0


@pytest.mark.slow
def test_an_hour_of_market_is_equal_to_the_byte() -> None:
    first, fills = digest_of_run(3600, seed=5)
    again, _ = digest_of_run(3600, seed=5)
    print(f"{fills} fills in the hour, digest {first[:16]}")
    assert first == again
    assert fills > 0
