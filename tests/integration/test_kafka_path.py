"""The models of the whole path, over a real Apache Kafka."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.laws import test_life_model as life
from tests.laws import test_path_model as path

MODELS = {
    "path": path.test_every_share_equals_the_recomputation,
    "life": life.test_at_every_moment_a_share_is_what_the_policy_says,
}


@pytest.mark.parametrize(
    ("transport", "seed"), [("librdkafka", 0), ("librdkafka", 1), ("kafka-python", 2)]
)
@pytest.mark.parametrize("model", MODELS)
def test_the_model_holds_on_kafka(
    on_kafka: Callable[[str], None], tmp_path: Path, model: str, transport: str, seed: int
) -> None:
    on_kafka(transport)
    MODELS[model](tmp_path, seed)
