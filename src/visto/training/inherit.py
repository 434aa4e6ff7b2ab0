"""What a fine-tuned model takes over from its parent: weights, and the memory of what was seen."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visto.bundle import Bundle
from visto.learn import Recipe
from visto.learn.randomness import reseed
from visto.models import build_model


def inherited_weights(recipe: Recipe, parent: Bundle, classes: Sequence[str]) -> dict[str, Tensor]:
    """The parent's weights; where a tensor has a row for each class, the rows of the classes that both know, by name.

    What the parent does not have starts afresh, as the recipe's seed says.
    """
    reseed(recipe.seed, "model", 0)
    fresh: Mapping[str, Tensor] = build_model(recipe.model).state_dict()
    larger = build_model(recipe.model.with_arguments(classes=len(classes) + 1)).state_dict()
    theirs = {name: place for place, name in enumerate(parent.manifest.classes)}
    out: dict[str, Tensor] = {}
    for name, value in fresh.items():
        given = parent.weights.get(name)
        if given is None or given.shape[1:] != value.shape[1:]:
            out[name] = value
        elif larger[name].shape == value.shape:
            out[name] = given if given.shape == value.shape else value
        else:
            rows = [given[theirs[label]] if label in theirs else value[k] for k, label in enumerate(classes)]
            out[name] = torch.stack(rows)
    return out


def seen_with_parent(train: Tensor, validation: Tensor, parent: Bundle | None) -> dict[str, Tensor]:
    """Content digests (N×16) of all images that made the model, the parent's too: none may be judged later."""
    if parent is None:
        return {"train": train, "validation": validation}
    return {
        "train": torch.cat([train, parent.seen["train"]]),
        "validation": torch.cat([validation, parent.seen["validation"]]),
    }
