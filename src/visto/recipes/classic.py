"""From a recipe for a net to one for a classic model, fitted at once to features."""

from dataclasses import replace

from visto.data.facts import Facts
from visto.learn import Recipe

_SMALL = 16  # pixels a side: below, gradients have no room for a histogram


def classic(recipe: Recipe, features: tuple[str, ...]) -> Recipe:
    """The same data and seed; pixels in 0–1, which is what features are made of; nothing that belongs to steps."""
    channels = recipe.model.arguments["channels"]
    model = recipe.model.with_arguments(features=list(features)) if features else recipe.model
    return replace(
        recipe,
        model=model,
        preprocess=recipe.preprocess.with_arguments(mean=[0.0] * channels, std=[1.0] * channels),
        learner="classic",
        augmentation=(),
        ema=0.0,
    )


def default_features(facts: Facts, model: str, size: int | None) -> tuple[str, ...]:
    """Gradients (hog), and the colours where there are any; pixels as they are where the images are tiny."""
    side = size or min(facts.typical.height, facts.typical.width)
    if side < _SMALL:
        return ("raw",)
    return ("hog",) if facts.channels == 1 else ("hog", "colour")
