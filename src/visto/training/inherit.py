"""What a model begins with: published weights, or those of the parent that it is fine-tuned from, with its memory."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from visto.bundle import Bundle
from visto.errors import ModelError
from visto.learn import Recipe
from visto.learn.randomness import reseed
from visto.models import build_model
from visto.models.weights import load
from visto.types import Voice


def inherited_weights(recipe: Recipe, parent: Bundle, classes: Sequence[str]) -> dict[str, Tensor]:
    """The parent's weights; where a tensor has a row for each class, the rows of the classes that both know, by name.

    What the parent does not have starts afresh, as the recipe's seed says.
    """
    reseed(recipe.seed, "model", 0)
    fresh: Mapping[str, Tensor] = build_model(recipe.model).state_dict()
    by_class = _by_class(recipe)
    theirs = {name: place for place, name in enumerate(parent.manifest.classes)}
    out: dict[str, Tensor] = {}
    for name, value in fresh.items():
        given = parent.weights.get(name)
        if given is None or given.shape[1:] != value.shape[1:]:
            out[name] = value
        elif name not in by_class:
            out[name] = given if given.shape == value.shape else value
        else:
            rows = [given[theirs[label]] if label in theirs else value[k] for k, label in enumerate(classes)]
            out[name] = torch.stack(rows)
    return out


def pretrained_weights(recipe: Recipe, voice: Voice, *, download: bool) -> dict[str, Tensor]:
    """The published weights of the recipe's model, its classifier fresh as the seed says.

    Raises UsageError where they are not on this machine, ModelError where the file is not the published one.
    """
    published = load(recipe.model.name, voice, download=download)
    reseed(recipe.seed, "model", 0)
    own: Mapping[str, Tensor] = build_model(recipe.model).state_dict()
    by_class = _by_class(recipe)
    if strange := sorted(
        k for k in published if k not in own or (own[k].shape != published[k].shape and k not in by_class)
    ):
        raise ModelError(f"the published weights do not fit the model {recipe.model.name}: {strange[0]}")
    return {name: v if name in by_class else published.get(name, v) for name, v in own.items()}


def _by_class(recipe: Recipe) -> set[str]:
    """The tensors of the recipe's model that have a row for each class."""
    classes = recipe.model.arguments["classes"]
    sizes = [
        {name: v.shape for name, v in build_model(recipe.model.with_arguments(classes=k)).state_dict().items()}
        for k in (classes, classes + 1)
    ]
    return {name for name, shape in sizes[0].items() if sizes[1][name] != shape}


def published_classifier(name: str, voice: Voice) -> nn.Linear:
    """The classifier that the model ``name`` was published with."""
    published = load(name, voice)
    weight, bias = published["classifier.weight"], published["classifier.bias"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def seen_with_parent(train: Tensor, validation: Tensor, parent: Bundle | None) -> dict[str, Tensor]:
    """Content digests (N×16) of all images that made the model, the parent's too: none may be judged later."""
    if parent is None:
        return {"train": train, "validation": validation}
    return {
        "train": torch.cat([train, parent.seen["train"]]),
        "validation": torch.cat([validation, parent.seen["validation"]]),
    }
