"""Every entry of every table passes the public checks."""

import pytest
from torch import nn

from visto import testing
from visto.data import read
from visto.data.augment import AUGMENTATIONS
from visto.learn.schedule import SCHEDULES
from visto.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    testing.check_model(MODELS[name])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation(name: str) -> None:
    testing.check_augmentation(AUGMENTATIONS[name])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    factors = [SCHEDULES[name](k / 100) for k in range(101)]
    assert all(0 <= f <= 1 for f in factors)
    assert max(factors) > 0.99


def test_embedded_data() -> None:
    testing.check_dataset(read("digits"))


def test_the_checks_can_fail() -> None:
    class Broken(nn.Module):
        def __init__(self, classes: int, inputs: int) -> None:
            super().__init__()
            self.dense = nn.Linear(inputs, classes)
            self.unused = nn.Linear(2, 2)

        def forward(self, images: object) -> dict[str, object]:
            return {"logits": self.dense(images.flatten(1))}  # type: ignore[attr-defined]

    def builder(*, classes: int, channels: int, size: list[int]) -> nn.Module:
        return Broken(classes, channels * size[0] * size[1])

    with pytest.raises(AssertionError, match="no gradient reaches unused"):
        testing.check_model(builder)
