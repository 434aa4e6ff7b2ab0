"""A second look for the images that a finished model is least sure of, where it helps on validation images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from visto.bundle import Bundle
from visto.data.cache import Pixels, take
from visto.learn import Recipe, outputs
from visto.models.second_look import margins
from visto.preprocess import PREPROCESS
from visto.spec import Spec
from visto.types import Task, Voice

_OURS = "second_look"
_INNER = "model."


def looked_again(
    recipe: Recipe, weights: Mapping[str, Tensor], validation: Pixels, task: Task[Any, Any], voice: Voice
) -> tuple[Spec[nn.Module], dict[str, Tensor], dict[str, Tensor]]:
    """The model, its weights, and what it gives for the validation images: with a second look where that is better.

    The images that are looked at again are those whose best score leads by less than it does in ``second_look`` of the
    validation images. Only where one class is the answer.
    """
    preprocess = recipe.preprocess.build(PREPROCESS)
    found = outputs(task, recipe.model, preprocess, weights, validation)
    if not recipe.second_look or task.blend != "softmax":
        return recipe.model, dict(weights), found
    leads = margins(found["logits"].float())
    margin = float(leads.quantile(recipe.second_look))
    shared = {name: recipe.model.arguments[name] for name in ("classes", "channels", "size")}
    inner = {"name": recipe.model.name, "arguments": dict(recipe.model.arguments)}
    mirror = "flip" in recipe.augmentation
    model: Spec[nn.Module] = Spec(name=_OURS, arguments={**shared, "model": inner, "margin": margin, "mirror": mirror})
    wrapped = {_INNER + name: value for name, value in weights.items()}
    unsure = torch.nonzero(leads < margin)[:, 0]
    again = found
    if len(unsure):  # of equally sure images none is
        logits = outputs(task, model, preprocess, wrapped, take(validation, unsure))["logits"]
        again = {**found, "logits": found["logits"].index_put((unsure,), logits)}
    before, after = (_loss(task, each, validation) for each in (found, again))
    words = f"a second look at {recipe.second_look:.0%} of the validation images: log-loss {after:.4f} for {before:.4f}"
    if not after < before:
        voice.say(f"{words}, left out")
        return recipe.model, dict(weights), found
    voice.say(words)
    return model, wrapped, again


def _loss(task: Task[Any, Any], found: Mapping[str, Tensor], validation: Pixels) -> float:
    """The log-loss of what a model gives for the validation images, once it is calibrated on them."""
    targets = [item.target for item in validation.items]
    scores = task.calibrated(found, targets).head(found)["scores"]
    truth = task.collate(targets).argmax(1)
    return -float(scores.gather(1, truth[:, None]).clamp_min(1e-9).log().mean())


def first_look(parent: Bundle) -> Bundle:
    """The bundle with the model that gave the first look, in an ensemble those of its members: what is fine-tuned."""
    spec, weights = _first(parent.manifest.model, parent.weights)
    if spec == parent.manifest.model:
        return parent
    return replace(parent, manifest=replace(parent.manifest, model=spec), weights=weights)


def _first(spec: Spec[nn.Module], weights: Mapping[str, Tensor]) -> tuple[Spec[nn.Module], Mapping[str, Tensor]]:
    """A model and its weights without any second look."""
    if spec.name == _OURS:
        return _first(Spec.from_json(spec.arguments["model"]), _inside(weights, _INNER))
    if spec.name != "ensemble":
        return spec, weights
    places = [f"members.{k}." for k in range(len(spec.arguments["members"]))]
    members: list[Spec[nn.Module]] = [Spec.from_json(member) for member in spec.arguments["members"]]
    found = [_first(member, _inside(weights, place)) for member, place in zip(members, places, strict=True)]
    joined = {place + name: v for place, (_, own) in zip(places, found, strict=True) for name, v in own.items()}
    return spec.with_arguments(members=[member.to_json() for member, _ in found]), joined


def _inside(weights: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """Those whose names begin with ``place``, by what follows."""
    return {name.removeprefix(place): value for name, value in weights.items() if name.startswith(place)}
