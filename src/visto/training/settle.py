"""What is settled before a run begins: how images are fitted, which model learns, by which recipe, and why."""

from collections.abc import Mapping
from dataclasses import fields, replace

from torch import Tensor

from visto.bundle import Bundle
from visto.data.dataset import Dataset, noun_of
from visto.data.facts import Facts, look_at
from visto.errors import UsageError
from visto.learn import Recipe
from visto.models import CLASSIC, CLIPS_ONLY, DETECTORS, FORECASTERS, MODELS, SEQUENTIAL, STAGED
from visto.models.features.deep import BACKBONE
from visto.models.weights import WEIGHTS, find
from visto.preprocess import PREPROCESS, Fit
from visto.preprocess.steps import is_colourless, parse
from visto.recipes import (
    Request,
    apply,
    averaged,
    classic,
    default_features,
    default_model,
    default_size,
    detect,
    detector_size,
    fine_tune,
    in_stages,
    pretrained_sizes,
    rows,
    speedrun,
    suggest,
    transfer,
)
from visto.tasks import TASKS, names_one_class
from visto.training.plan import Plan
from visto.training.series import plan_of_series, recipe_of_series
from visto.training.settle_sequences import for_sequences, plan_of_sequences
from visto.training.shape import best_fit
from visto.types import Size, Voice

_FOR_SERIES = {"window", "horizon"}
_OPTIONS = {"start_from": "from", "augmentation": "augment", "read_as": "as"}  # called otherwise than in a request
_BY_THE_DATA = {"classes", "channels", "size", "over", "fitted"}  # arguments of every model that nobody gives by hand


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
    if TASKS[dataset.task](classes=("a", "b")).needs == "forecast":
        return apply(recipe_of_series(plan, dataset, images, mean, std), request)
    recipe = suggest(
        task=dataset.task,
        model=plan.model,
        images=images,
        classes=len(dataset.classes),
        fit=plan.fit.arguments,
        mean=mean,
        std=std,
    )
    if TASKS[dataset.task](classes=("a", "b")).sequences:
        recipe = for_sequences(recipe, plan, count=images)
    elif plan.model in SEQUENTIAL:
        recipe = rows(recipe, images=images)
    elif plan.model in DETECTORS:
        recipe = detect(recipe, images=images, pretrained=plan.pretrained)
        recipe = in_stages(recipe) if plan.model in STAGED else recipe
    elif plan.pretrained:
        recipe = transfer(recipe, images=images, grey=plan.grey)
    if plan.model in CLASSIC:
        recipe = classic(recipe, plan.features)
    if plan.model == "speedrun":
        recipe = speedrun(recipe, images=images)
    if parent is not None:
        recipe = fine_tune(recipe, parent.manifest.model, parent.manifest.preprocess)
        if plan.model in DETECTORS:  # what stayed as it was while the parent learnt stays so
            recipe = replace(recipe, frozen=parent.manifest.recipe.get("frozen", 0))
    recipe = apply(recipe, request)
    if plan.model in DETECTORS and recipe.learner == "gradient" and request.ema is None:
        recipe = averaged(recipe, images=images)
    return recipe


def plan_of(dataset: Dataset, request: Request, parent: Bundle | None, facts: Facts | None = None) -> Plan:
    """Fit and model, and the reason for both; ``facts`` where the images were looked at before.

    Raises UsageError for what cannot be had together.
    """
    task = TASKS[dataset.task](classes=("a", "b"))  # what it is like; whether the data's are enough is said later
    if parent is not None:
        if request.model or request.size or request.arguments or request.prepare or request.scratch or request.read_as:
            raise UsageError("a bundle that is fine-tuned brings its own model and fit", hint="leave --from out")
        preprocess, name = parent.manifest.preprocess.build(PREPROCESS), parent.manifest.model.name
        theirs = TASKS[parent.manifest.task](classes=("a", "b"))
        same = preprocess.fit.noun == noun_of(dataset.items) and theirs.needs == task.needs
        if not same or (name in DETECTORS) != (task.needs == "boxes"):
            raise UsageError(
                f"{parent.path} does {parent.manifest.task}, the data is for {dataset.task}",
                expected="a parent for the same task",
            )
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
    request = _read_as(request, task.needs)
    if request.model and request.model not in MODELS:
        raise UsageError(f"no model {request.model!r}", expected=f"one of {', '.join(MODELS)}")
    if task.needs == "forecast":
        return plan_of_series(dataset, request)
    if task.sequences:
        return plan_of_sequences(dataset, request)
    facts = facts or look_at([item for item in dataset.items if item.split == "train"] or dataset.items)
    _check_named(request, dataset.task, task.needs)
    if task.needs == "boxes":
        return _plan_of_detector(request, facts)
    name, why = default_model(
        facts, images=len(dataset), one_class=names_one_class(dataset.task), scratch=bool(request.scratch)
    )
    if request.model:
        name, why = request.model, "as asked, row by row" if request.model in SEQUENTIAL else "as asked"
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


def _check_named(request: Request, task: str, needs: str) -> None:
    """Raise UsageError for a model that is not for images, or not for this task with them."""
    if request.model == "ensemble":
        raise UsageError("an ensemble is no model to begin with", hint="--ensemble 5 makes one of five models")
    if request.model == "second_look":
        raise UsageError("a second look is no model by itself", hint="--second-look 0.25 gives one to any model")
    others = (*CLIPS_ONLY, *FORECASTERS)
    if request.model in others or (request.model and (request.model in DETECTORS) != (needs == "boxes")):
        known = DETECTORS if needs == "boxes" else [m for m in MODELS if m not in (*DETECTORS, *others)]
        raise UsageError(f"the model {request.model} for {task}", expected=f"one of {', '.join(known)}")


def check_suited(dataset: Dataset, request: Request) -> None:
    """Raise UsageError for an option that has no meaning for the task of the data, and asks for something."""
    task = TASKS[dataset.task](classes=("a", "b"))
    unsuited = task.unsuited if task.needs == "forecast" else task.unsuited | _FOR_SERIES
    plain = {f.name: f.default for f in fields(Recipe)}
    for name, value in sorted(request.given().items()):
        if name in unsuited and (name not in plain or value != plain[name]):
            if name == "tune":
                raise UsageError(f"visto tune with {dataset.task}", hint="visto train takes the default settings")
            option = _OPTIONS.get(name, name.replace("_", "-"))
            raise UsageError(f"--{option} with {dataset.task}", hint="leave it out")


def _read_as(request: Request, needs: str) -> Request:
    """The request with a model that reads images as asked. Raises UsageError where there is none."""
    if request.read_as is None:
        return request
    if request.read_as != "rows" or needs == "boxes":
        met = f"--as {request.read_as}" + (" with boxes" if needs == "boxes" else "")
        raise UsageError(met, expected="images with classes as rows", hint="leave --as out")
    known = [name for name in SEQUENTIAL if name not in CLIPS_ONLY]
    if request.model is not None and request.model not in known:
        raise UsageError(f"--as rows with the model {request.model}", expected=f"one of {', '.join(known)}")
    return replace(request, model=request.model or "lstm")


def _plan_of_detector(request: Request, facts: Facts) -> Plan:
    """The whole image, letterboxed; published weights where they are here, and are for such a net."""
    name = request.model or DETECTORS[0]
    known = WEIGHTS.get(name)
    same = known is not None and all((request.arguments or {}).get(k, v) == v for k, v in known.arguments.items())
    pretrained = same and not request.scratch and (find(name) is not None or bool(request.download))
    why = f"goes on from what it learnt on {known.learnt_on}" if known and pretrained else "from scratch"
    if known and same and not pretrained and not request.scratch:
        why += f": {known.file} is not in a folder that VISTO_WEIGHTS names"
    size, why_size = detector_size(facts, request.size)
    steps = [str(step) for step in parse(request.prepare or ())]
    channels = 3 if pretrained else 1 if is_colourless(steps) else facts.channels
    sight = f"{size.width}×{size.height} pixels ({why_size}, letterboxed)"
    return Plan(
        fits=(Fit(size=size, channels=channels, crop="letterbox", prepare=steps),),
        model=name,
        pretrained=pretrained,
        grey=facts.channels == 1 or is_colourless(steps),
        why=f"model {name} ({why}), {sight}",
        sight=sight,
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
    fits = [fit for fit in plan.fits if isinstance(fit, Fit)]
    if not fits:
        return plan
    fit, words = best_fit(fits, recipe, weights, task, items, threads=threads, voice=voice)
    if words:
        voice.say(f"{fit.size.width}×{fit.size.height} pixels ({words})")
    return replace(plan, fits=(fit,))
