"""The recipes for clips and series."""

from dataclasses import replace

from visto.learn import Recipe
from visto.models.weights import WEIGHTS


def few_clips(recipe: Recipe, *, clips: int, grey: bool) -> Recipe:
    """A frozen encoder run once over a few views of each clip; a small recurrent net learns to read what it saw.

    Heavy augmentation in time at each step: speed, cuts, missed frames.
    """
    known = WEIGHTS["cnn_lstm"]
    views = max(2, min(4, round(300 / max(1, clips))))
    spatial = ("zoom", "colour") if grey else ("flip", "zoom", "colour")
    arguments = {"encoder": "efficientnet_lite0", "motion": True, "cell": "gru", "hidden": 64, "pool": "mean"}
    return replace(
        recipe,
        model=recipe.model.with_arguments(**{**arguments, "dropout": 0.3}),
        preprocess=recipe.preprocess.with_arguments(mean=list(known.mean), std=list(known.std)),
        learner="transfer",
        pretrained=True,
        views=views,
        epochs=max(20, min(60, round(6_000 / max(1, clips)))),
        batch_size=16,
        lr=2e-3,
        schedule="one_cycle",
        weight_decay=0.1,
        ema=0.98,
        augmentation=(*spatial, "speed", "cut", "skip"),
    )


def many_clips(recipe: Recipe, *, clips: int) -> Recipe:
    """Encoder and recurrent net learn together, from nothing."""
    return replace(
        recipe,
        epochs=max(4, min(150, round(12_000 / max(1, clips)))),
        batch_size=max(8, min(32, recipe.batch_size)),
        lr=3e-3,
        augmentation=(*recipe.augmentation, "speed"),
    )


def series(recipe: Recipe, *, count: int) -> Recipe:
    """A recurrent net over steps of a few numbers."""
    return replace(
        recipe,
        epochs=max(10, min(100, round(100_000 / max(1, count)))),
        batch_size=max(8, min(128, recipe.batch_size)),
        lr=3e-3,
        augmentation=("speed", "skip"),
    )
