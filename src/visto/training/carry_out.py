"""Carry a settled recipe out: learn (or go on learning), calibrate, judge on validation, write the bundle."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from torch import Tensor, nn

from visto.bundle import Bundle, Manifest, read_own_bundle, write_bundle
from visto.data.dataset import Dataset
from visto.evaluation import Evaluation
from visto.evaluation.run import judged_as
from visto.learn import (
    FeatureFeed,
    Feed,
    FrameFeed,
    GradientLearner,
    PixelFeed,
    Recipe,
    SequenceFeed,
    State,
    WindowFeed,
    fit_closed_form,
    outputs,
)
from visto.learn.feed import collated, views_of
from visto.memory import peak_memory
from visto.models import FORECASTERS, SEQUENTIAL, build_model
from visto.preprocess import PREPROCESS
from visto.spec import Spec
from visto.tasks import TASKS
from visto.training.at_once import fit_at_once
from visto.training.folder import RunFolder
from visto.training.inherit import inherited_weights, pretrained_weights, published_classifier, seen_with_parent
from visto.training.learning import learn
from visto.training.prepare import Prepared
from visto.training.provenance import described, versions
from visto.training.second_look import looked_again
from visto.training.series import linear_part, surely_gained, task_of_series
from visto.training.staged import learn_in_stages
from visto.types import Task, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run is about: the data as listed and as decoded, and the parent of a model that is fine-tuned."""

    dataset: Dataset
    prepared: Prepared
    parent: Bundle | None = None


def carry_out(
    folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice
) -> tuple[Bundle, Evaluation]:
    """The bundle of one model, and how it was judged. The folder is held, and knows what the run was started with."""
    made = _MAKERS.get(recipe.learner, _descended)(folder, recipe, work, clock, voice)
    task, judged = calibrated(made.task, recipe, made.found, work)
    by_default = recipe.model.name == FORECASTERS[-1] and "model" not in folder.read_settings()["request"]
    if by_default and not surely_gained(made.task, judged):
        voice.say("what the model adds is not surely better on validation: the linear forecast is kept")
        model, weights = linear_part(made.model, made.weights)
        found = outputs(made.task, model, recipe.preprocess.build(PREPROCESS), weights, work.prepared.validation)
        made = replace(made, model=model, weights=weights, found=found)
        task, judged = calibrated(made.task, recipe, found, work)
    bundle = write(
        folder, work, task, judged, model=made.model, recipe={**recipe.to_json(), **made.told}, weights=made.weights
    )
    folder.finish()
    return bundle, judged


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A model that has learnt: what it ``found`` for the validation images, and what is ``told`` of its making."""

    task: Task[Any, Any]
    model: Spec[nn.Module]
    weights: Mapping[str, Tensor]
    found: Mapping[str, Tensor]
    told: Mapping[str, Any]


def _descended(folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice) -> _Made:
    """Learnt step by step."""
    learner = _learner(folder, recipe, work, voice)
    state = learn(learner, folder, clock, voice)
    weights = stored(learner.feed.whole(state.weights()))
    model, weights, found = looked_again(recipe, weights, work.prepared.validation, learner.task, voice)
    told = {"decisions": state.decisions, "ended": state.ended, **_spent(state, voice)}
    return _Made(task=learner.task, model=model, weights=weights, found=found, told=told)


def _fitted(folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice) -> _Made:
    """Fitted at once, to features."""
    fitted = fit_at_once(folder, recipe, work.prepared.train, clock, voice)
    preprocess = recipe.preprocess.build(PREPROCESS)
    task = TASKS[recipe.task](classes=work.dataset.classes)
    found = outputs(task, fitted.model, preprocess, fitted.weights, work.prepared.validation)
    folder.write_history([])
    told = {"decisions": {}, "ended": "", "seconds": round(fitted.seconds, 1), "peak_memory": fitted.peak_memory}
    return _Made(task=task, model=fitted.model, weights=fitted.weights, found=found, told=told)


def _staged(folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice) -> _Made:
    """Learnt stage after stage."""
    began = time.perf_counter()
    task = TASKS[recipe.task](classes=work.dataset.classes)
    preprocess = recipe.preprocess.build(PREPROCESS)
    train, validation = work.prepared.train, work.prepared.validation
    made = learn_in_stages(
        folder,
        recipe,
        (train, collated(task, train, preprocess.fit)),
        (validation, collated(task, validation, preprocess.fit)),
        _initial(recipe, work, voice),
        work.dataset.classes,
        clock,
        voice,
    )
    weights = stored(made.weights)
    found = outputs(task, recipe.model, preprocess, weights, validation)
    told: dict[str, Any] = {"stages": made.stages, "decisions": made.decisions, "ended": "all stages done"}
    told |= {"seconds": round(time.perf_counter() - began, 1), "peak_memory": peak_memory()}
    return _Made(task=task, model=recipe.model, weights=weights, found=found, told=told)


def _solved(folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice) -> _Made:
    """Solved at once, of a series."""
    began = time.perf_counter()
    task = task_of_series(recipe, work.dataset.classes)
    weights = stored(fit_closed_form(recipe, task, work.prepared.train, work.prepared.validation))
    found = outputs(task, recipe.model, recipe.preprocess.build(PREPROCESS), weights, work.prepared.validation)
    folder.write_history([])
    told = {"decisions": {}, "ended": "", "seconds": round(time.perf_counter() - began, 1)}
    return _Made(
        task=task, model=recipe.model, weights=weights, found=found, told={**told, "peak_memory": peak_memory()}
    )


_MAKERS = {"classic": _fitted, "staged": _staged, "closed_form": _solved}


def _spent(state: State, voice: Voice) -> dict[str, float]:
    """What learning took, told and to be stored: seconds, the share of them spent waiting for images, memory."""
    waiting, memory = state.waited / max(state.seconds, 1e-9), peak_memory()
    voice.say(
        f"learning took {state.seconds:.1f} s, {waiting:.1%} of it waiting for images; "
        f"at most {memory / 1e9:.2f} GB of memory were in use"
    )
    return {"seconds": round(state.seconds, 1), "waiting": round(waiting, 4), "peak_memory": memory}


def stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as a bundle holds them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}


def calibrated(
    task: Task[Any, Any], recipe: Recipe, found: Mapping[str, Tensor], work: Work
) -> tuple[Task[Any, Any], Evaluation]:
    """The task calibrated on the outputs ``found`` for the validation images, and judged there."""
    validation = work.prepared.validation
    views = views_of(task, validation, recipe.preprocess.build(PREPROCESS).fit)
    task = task.calibrated(found, [item.target for item in validation.items], views)
    answers = task.answers(task.head(found), views)
    classes = work.dataset.classes
    return task, judged_as(task, answers, validation, name=recipe.task, split="validation", classes=classes)


def judged_again(bundle: Bundle, work: Work) -> Evaluation:
    """How the answers of a bundle that was written before are judged on the validation images."""
    manifest, validation = bundle.manifest, work.prepared.validation
    preprocess = manifest.preprocess.build(PREPROCESS)
    task = TASKS[manifest.task](classes=manifest.classes, **manifest.head)
    found = outputs(task, manifest.model, preprocess, bundle.weights, validation)
    answers = task.answers(task.head(found), views_of(task, validation, preprocess.fit))
    return judged_as(task, answers, validation, name=manifest.task, split="validation", classes=manifest.classes)


def write(
    folder: RunFolder,
    work: Work,
    task: Task[Any, Any],
    judged: Evaluation,
    *,
    model: Spec[nn.Module],
    recipe: Mapping[str, Any],
    weights: Mapping[str, Tensor],
) -> Bundle:
    """Write the bundle of the run in ``folder``, and give it as read back. ``recipe`` is what the manifest says."""
    prepared, request = work.prepared, folder.read_settings()["request"]
    manifest = Manifest(
        task=judged.task,
        classes=work.dataset.classes,
        model=model,
        preprocess=Spec.from_json(recipe["preprocess"]),
        head=task.arguments(),
        recipe=recipe,
        data=described(work.dataset, prepared, request.get("split_seed", 0)),
        metrics=judged.figures,
        holds_training_data=any(getattr(part, "holds_training_data", False) for part in build_model(model).modules()),
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    seen = seen_with_parent(prepared.train.digests, prepared.validation.digests, work.parent)
    write_bundle(folder.bundle, manifest, weights, seen)
    return read_own_bundle(folder.bundle)


def _learner(folder: RunFolder, recipe: Recipe, work: Work, voice: Voice) -> GradientLearner:
    classes = work.dataset.classes
    if recipe.task == "forecast":
        series = task_of_series(recipe, classes)
        return GradientLearner(
            recipe, series, WindowFeed(recipe, series, work.prepared.train, work.prepared.validation, None)
        )
    task = TASKS[recipe.task](classes=classes, label_smoothing=recipe.label_smoothing)
    initial = _initial(recipe, work, voice)
    train, validation = work.prepared.train, work.prepared.validation
    feed: Feed
    if recipe.learner == "transfer" and recipe.model.name in SEQUENTIAL:
        feed = FrameFeed(recipe, task, train, validation, initial, folder.features)
    elif train.offsets is not None:
        feed = SequenceFeed(recipe, task, train, validation, initial)
    elif recipe.learner == "transfer":
        published = published_classifier(recipe.model.name, voice) if recipe.pretrained else None
        feed = FeatureFeed(recipe, task, train, validation, initial, folder.features, published)
    else:
        feed = PixelFeed(recipe, task, train, validation, initial)
    return GradientLearner(recipe, task, feed)


def _initial(recipe: Recipe, work: Work, voice: Voice) -> dict[str, Tensor] | None:
    """What the model begins with, where that is not chance."""
    if work.parent is not None:
        return inherited_weights(recipe, work.parent, work.dataset.classes)
    return pretrained_weights(recipe, voice, download=False) if recipe.pretrained else None
