"""What is settled before a run begins: how images are fitted, which model learns, by which recipe, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from visto.bundle import Bundle
from visto.data.dataset import Dataset
from visto.data.facts import Facts, look_at
from visto.errors import UsageError
from visto.learn import Recipe
from visto.models import CLASSIC, MODELS
from visto.models.features.deep import BACKBONE
from visto.models.weights import WEIGHTS
from visto.preprocess import PREPROCESS, Fit
from visto.preprocess.steps import is_colourless, parse
from visto.recipes import (
    Request,
    apply,
    classic,
    default_features,
    default_model,
    default_size,
    fine_tune,
    pretrained_sizes,
    speedrun,
    suggest,
    transfer,
)
from visto.tasks import TASKS, names_one_class
from visto.training.shape import best_fit
from visto.types import Size, Voice

_BY_THE_DATA = {"classes", "channels", "size", "fitted"}  # arguments of every model that nobody gives by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is settled before an image is read: how images are fitted, which model learns, with published weights?

    ``fits`` has several where the best is still to be found out. ``why`` says all of it, ``sight`` how images are
    fitted alone. ``features`` are those of a classic model.
    """

    fits: tuple[Fit, ...]
    model: str
    pretrained: bool
    grey: bool
    why: str
    sight: str = ""
    features: tuple[str, ...] = ()

    @property
    def fit(self) -> Fit:
        return self.fits[0]


def settled(
    plan: Plan,
    dataset: Dataset,
    request: Request,
    parent: Bundle | None,
    images: int,
    mean: list[float],
    std: list[float],
) -> Recipe:
    """The recipe for so many training images, whose channels have this mean and deviation."""
    recipe = suggest(
        task=dataset.task,
        model=plan.model,
        images=images,
        classes=len(dataset.classes),
        fit=plan.fit.arguments,
        mean=mean,
        std=std,
    )
    if plan.pretrained:
        recipe = transfer(recipe, images=images, grey=plan.grey)
    if plan.model in CLASSIC:
        recipe = classic(recipe, plan.features)
    if plan.model == "speedrun":
        recipe = speedrun(recipe, images=images)
    if parent is not None:
        recipe = fine_tune(recipe, parent.manifest.model, parent.manifest.preprocess)
    return apply(recipe, request)


def plan_of(dataset: Dataset, request: Request, parent: Bundle | None, facts: Facts | None = None) -> Plan:
    """Fit and model, and the reason for both; ``facts`` where the images were looked at before.

    Raises UsageError for what cannot be had together.
    """
    if parent is not None:
        if request.model or request.size or request.arguments or request.prepare or request.scratch:
            raise UsageError("a bundle that is fine-tuned brings its own model and fit", hint="leave --from out")
        preprocess, name = parent.manifest.preprocess.build(PREPROCESS), parent.manifest.model.name
        if name in CLASSIC:
            raise UsageError(
                f"{parent.path} is of the model {name}, which is fitted at once and cannot go on learning",
                hint="train it anew on all of the images",
            )
        before = parent.manifest.recipe
        return Plan(
            fits=(preprocess.fit,),
            model=name,
            pretrained=name in WEIGHTS and before.get("learner") == "transfer",
            grey="flip" not in before.get("augmentation", ()),
            why=f"goes on from {parent.path}",
        )
    if taken := sorted(_BY_THE_DATA & (request.arguments or {}).keys()):
        raise UsageError(f"--set {taken[0]}: the data decides it", hint="--size sets the size of the input")
    facts = facts or look_at([item for item in dataset.items if item.split == "train"] or dataset.items)
    if request.model and request.model not in MODELS:
        raise UsageError(f"no model {request.model!r}", expected=f"one of {', '.join(MODELS)}")
    if request.model == "ensemble":
        raise UsageError("an ensemble is no model to begin with", hint="--ensemble 5 makes one of five models")
    if request.model == "second_look":
        raise UsageError("a second look is no model by itself", hint="--second-look 0.25 gives one to any model")
    name, why = default_model(
        facts, images=len(dataset), one_class=names_one_class(dataset.task), scratch=bool(request.scratch)
    )
    if request.model:
        name, why = request.model, "as asked"
    pretrained = name in WEIGHTS and not request.scratch
    if name in CLASSIC and (request.ensemble or not names_one_class(dataset.task)):
        what = "an ensemble" if request.ensemble else "several labels an image"
        raise UsageError(f"{what} with the model {name}", hint="take another model, or leave --model out")
    features = _features(request, facts, name)
    undistorted = pretrained or "deep" in features
    if request.size:
        sizes, why_size = [Size(height=request.size, width=request.size)], "as asked"
    elif undistorted:
        sizes, why_size = pretrained_sizes(facts, name if pretrained else BACKBONE)
        sizes = sizes if pretrained else sizes[:1]
    else:
        size, why_size = default_size(facts)
        sizes = [size]
    steps = [str(step) for step in parse(request.prepare or ())]
    channels = 3 if undistorted else 1 if is_colourless(steps) else facts.channels
    crop = "middle" if undistorted else "whole"
    words = " or ".join(f"{size.width}×{size.height}" for size in sizes) + " pixels"
    reasons = ", ".join(filter(None, (why_size, "their middle, undistorted" if undistorted else "")))
    seen = f" on {' and '.join(features)}" if features else ""
    return Plan(
        fits=tuple(Fit(size=size, channels=channels, crop=crop, prepare=steps) for size in sizes),
        model=name,
        pretrained=pretrained,
        grey=facts.channels == 1 or is_colourless(steps),
        why=f"model {name}{seen} ({why}), {words} ({reasons})",
        sight=f"{words} ({reasons})",
        features=features,
    )


def _features(request: Request, facts: Facts, name: str) -> tuple[str, ...]:
    """What a classic model sees of an image; nothing where another learns, or the images do not matter."""
    if request.features is not None and name not in CLASSIC[1:]:
        raise UsageError(f"--features with the model {name}", expected=f"one of the models {', '.join(CLASSIC[1:])}")
    if name not in CLASSIC[1:]:
        return ()
    return tuple(request.features) if request.features is not None else default_features(facts, name, request.size)


def tried(
    plan: Plan, recipe: Recipe, weights: Mapping[str, Tensor], dataset: Dataset, threads: int, voice: Voice
) -> Plan:
    """The plan with the fit that suits best, where there are several."""
    task = TASKS[recipe.task](classes=dataset.classes)
    items = [item for item in dataset.items if item.split == "train"]
    fit, words = best_fit(plan.fits, recipe, weights, task, items, threads=threads, voice=voice)
    if words:
        voice.say(f"{fit.size.width}×{fit.size.height} pixels ({words})")
    return replace(plan, fits=(fit,))
