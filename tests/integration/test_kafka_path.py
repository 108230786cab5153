"""The models of the whole path, over a real Apache Kafka."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.laws import test_life_model as life
from tests.laws import test_path_model as path


@pytest.mark.parametrize(
    ("transport", "seed"), [("librdkafka", 0), ("librdkafka", 1), ("kafka-python", 2)]
)
def test_every_share_equals_the_recomputation(
    on_kafka: Callable[[str], None], tmp_path: Path, transport: str, seed: int
) -> None:
    on_kafka(transport)
    path.test_every_share_equals_the_recomputation(tmp_path, seed)


@pytest.mark.parametrize(
    ("transport", "seed", "processes"),
    [("librdkafka", 0, 6), ("librdkafka", 1, 3), ("kafka-python", 2, 1)],
)
def test_at_every_moment_a_share_is_what_the_policy_says(
    on_kafka: Callable[[str], None], tmp_path: Path, transport: str, seed: int, processes: int
) -> None:
    """The pure transport takes many times as long: it has a shorter year."""
    on_kafka(transport)
    life.test_at_every_moment_a_share_is_what_the_policy_says(tmp_path, seed, processes)
