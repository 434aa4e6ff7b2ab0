"""A small learnable data set in memory: which quadrant is bright."""

from pathlib import Path

import numpy as np
import pytest
import torch

from visto.data.cache import Pixels
from visto.data.dataset import Item
from visto.learn import GradientLearner, PixelFeed, Recipe
from visto.spec import Spec
from visto.tasks.classification import Classification
from visto.types import Label


def quadrants(n: int, seed: int) -> Pixels:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, n)
    images = generator.integers(0, 90, (n, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        y, x = divmod(int(label), 2)
        image[0, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 60
    items = tuple(Item(id=str(k), source=Path(str(k)), target=Label(index=int(c))) for k, c in enumerate(labels))
    return Pixels(
        storage=torch.from_numpy(images),
        rows=torch.arange(n),
        items=items,
        digests=torch.zeros(n, 16, dtype=torch.uint8),
        sizes=torch.full((n, 2), 8),
        entries=(),
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        model=Spec(name="cnn", arguments={"classes": 4, "channels": 1, "size": [8, 8], "depth": 2, "width": 4}),
        preprocess=Spec(name="standard", arguments={"size": [8, 8], "channels": 1, "mean": [0.3], "std": [0.2]}),
        epochs=4,
        batch_size=32,
        augmentation=("crop", "erase"),
        mixup=0.2,
        precision="fp32",
    )


def learner_of(recipe: Recipe) -> GradientLearner:
    task = Classification(classes="abcd", label_smoothing=recipe.label_smoothing)
    return GradientLearner(recipe, task, PixelFeed(recipe, task, quadrants(200, 0), quadrants(80, 1), None))
