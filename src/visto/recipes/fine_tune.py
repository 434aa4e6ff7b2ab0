"""From a recipe for a fresh model to one that goes on from a trained one."""

from dataclasses import replace

from torch import nn

from visto.learn import Recipe
from visto.preprocess import Standard
from visto.spec import Spec


def fine_tune(recipe: Recipe, model: Spec[nn.Module], preprocess: Spec[Standard]) -> Recipe:
    """The parent's model and preparation, a third of the learning rate, half of the epochs.

    The rate is low enough to keep what the parent knows; a class list of another length gets a new last layer.
    """
    classes = recipe.model.arguments["classes"]
    return replace(
        recipe,
        model=model.with_arguments(classes=classes),
        preprocess=preprocess,
        pretrained=False,
        lr=recipe.lr / 3,
        epochs=max(1, recipe.epochs / 2),
    )
