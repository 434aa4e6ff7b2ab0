"""Train: settle the recipe, learn (or go on learning), calibrate, judge on validation, write the bundle."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from visto.bundle import Bundle, Manifest, read_bundle, write_bundle
from visto.data.dataset import Dataset
from visto.data.facts import look_at
from visto.data.ledger import Entry, counts, reasons
from visto.errors import DataError, ResourceError, UsageError
from visto.evaluation import Evaluation
from visto.evaluation.run import judged_as
from visto.learn import FeatureFeed, Feed, GradientLearner, PixelFeed, Recipe, State, outputs
from visto.learn.precision import processor
from visto.models import MODELS, build_model
from visto.models.backbone import Backbone
from visto.models.weights import WEIGHTS
from visto.preprocess import PREPROCESS, Fit
from visto.preprocess.steps import is_colourless, parse
from visto.recipes import (
    Request,
    apply,
    check_same,
    default_crop,
    default_model,
    default_size,
    fine_tune,
    suggest,
    transfer,
)
from visto.tasks import TASKS
from visto.training.buildable import check_buildable
from visto.training.folder import RunFolder
from visto.training.inherit import inherited_weights, pretrained_weights, seen_with_parent
from visto.training.learning import learn
from visto.training.prepare import Prepared, changed_since, mean_and_deviation, prepare, stamps
from visto.training.provenance import described, versions
from visto.types import Size, Voice

_BY_THE_DATA = {"classes", "channels", "size"}  # arguments of every model that nobody gives by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished run: the bundle as read back, the seconds it took in this process, how it was judged on validation.

    ``judged`` is None where the run had finished before.
    """

    bundle: Bundle
    seconds: float
    judged: Evaluation | None = None


def train(
    dataset: Dataset,
    out: Path,
    request: Request,
    *,
    voice: Voice,
    parent: Bundle | None = None,
    resume: bool = False,
    inexact: bool = False,
    threads: int = 0,
    clock: Callable[[], float] | None = None,
) -> Trained:
    """Learn ``dataset`` as ``request`` says and write the bundle ``out``; with ``resume`` go on where a run stopped.

    ``parent`` is fine-tuned. ``threads`` 0 takes all cores. ``clock`` gives the seconds used so far (the budget counts
    them). Raises UsageError, DataError, ModelError, ResourceError; Interrupted with the state kept.
    """
    began = time.perf_counter()
    clock = clock or (lambda: time.perf_counter() - began)
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    folder = RunFolder(out)
    if resume and out.exists():
        voice.say(f"{out} is finished already")
        return Trained(bundle=read_bundle(out), seconds=0.0)
    folder.check_no_bundle()
    with folder.held():
        if not resume:
            folder.check_no_run()
        if resume and folder.unfinished:
            recipe, prepared = _resumed(folder, dataset, request, parent, threads, inexact, voice)
        else:
            recipe, prepared = _started(folder, dataset, request, parent, threads, voice)
        learner = _learner(folder, recipe, dataset, prepared, parent, voice)
        seen = stamps(prepared.train)
        state = _learnt(learner, folder, clock, voice)
        for name in changed_since(prepared.train, seen):
            voice.say(f"{name} has changed during the run; what was read at its start was used")
        bundle, judged = _finished(folder, dataset, recipe, prepared, learner, state, parent)
        folder.finish()
    return Trained(bundle=bundle, seconds=time.perf_counter() - began, judged=judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is settled before an image is read: how images are fitted, which model learns, with published weights?"""

    fit: Fit
    model: str
    pretrained: bool
    why: str


def _started(
    folder: RunFolder, dataset: Dataset, request: Request, parent: Bundle | None, threads: int, voice: Voice
) -> tuple[Recipe, Prepared]:
    """Settle the recipe of a new run, and keep it with what it depends on."""
    plan = _plan(dataset, request, parent)
    voice.say(f"{len(dataset):,} images, {len(dataset.classes)} classes; {plan.why}")

    def settle(images: int, mean: list[float], std: list[float]) -> Recipe:
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
            recipe = transfer(recipe, images=images)
        if parent is not None:
            recipe = fine_tune(recipe, parent.manifest.model, parent.manifest.preprocess)
        return apply(recipe, request)

    # once before the long reading, with figures that are not known yet: a slip in the request shows now
    recipe = settle(len(dataset), [0.5] * plan.fit.channels, [0.5] * plan.fit.channels)
    check_buildable(recipe, len(dataset.classes))
    if recipe.pretrained:
        pretrained_weights(recipe, voice, download=bool(request.download))
    prepared = prepare(dataset, plan.fit, threads=threads, voice=voice, parent=parent)
    folder.write_ledger(prepared.ledger)
    _tell_ledger(prepared.ledger, folder, voice)
    recipe = settle(len(prepared.train.items), *mean_and_deviation(prepared.train))
    folder.begin(
        {
            "recipe": recipe.to_json(),
            "request": request.given(),
            "source": {"path": dataset.source, "format": dataset.format},
            "fingerprint": prepared.fingerprint,
            "order": prepared.order,
            "threads": threads,
            "processor": processor(),
        }
    )
    return recipe, prepared


def _resumed(
    folder: RunFolder,
    dataset: Dataset,
    request: Request,
    parent: Bundle | None,
    threads: int,
    inexact: bool,
    voice: Voice,
) -> tuple[Recipe, Prepared]:
    """The recipe of a run that was stopped, after checking that all it depends on is as it was."""
    settings = folder.read_settings()
    check_same(settings["request"], request)
    recipe = Recipe.from_json(settings["recipe"])
    for what, was, now in (("threads", settings["threads"], threads), ("with", settings["processor"], processor())):
        if was != now and not inexact:
            raise ResourceError(
                f"the run was started {what} {was}, this one is {what} {now}: its result would not be the same",
                hint=f"go on with --threads {was}" if what == "threads" else "go on all the same with --inexact",
            )
    prepared = prepare(dataset, recipe.preprocess.build(PREPROCESS).fit, threads=threads, voice=voice, parent=parent)
    if prepared.fingerprint != settings["fingerprint"]:
        raise DataError(
            f"the data is not what the run in {folder.path} was started with",
            expected="the same images, labels and splits",
            hint=f"put them back, or remove {folder.path} and start anew",
        )
    if prepared.order != settings["order"] and not inexact:
        raise DataError(
            f"the data stands in another order than when the run in {folder.path} was started",
            expected="the same order, which decides what each step sees",
            hint="put it back (file names, rows of the list), or go on all the same with --inexact",
        )
    return recipe, prepared


def _learnt(learner: GradientLearner, folder: RunFolder, clock: Callable[[], float], voice: Voice) -> State:
    try:
        return learn(learner, folder, clock, voice)
    except UsageError as error:  # the loss became infinite: to go on would lead there again
        hint = f"remove {folder.path}, then train again with a lower --lr, or with --lr auto"
        raise UsageError(error.message, expected=error.expected, hint=hint) from error


def _plan(dataset: Dataset, request: Request, parent: Bundle | None) -> _Plan:
    """Fit and model, and the reason for both. Raises UsageError for what cannot be had together."""
    if parent is not None:
        if request.model or request.size or request.arguments or request.prepare or request.scratch:
            raise UsageError("a bundle that is fine-tuned brings its own model and fit", hint="leave --from out")
        preprocess, name = parent.manifest.preprocess.build(PREPROCESS), parent.manifest.model.name
        staged = isinstance(build_model(parent.manifest.model), Backbone)
        return _Plan(fit=preprocess.fit, model=name, pretrained=staged, why=f"goes on from {parent.path}")
    if taken := sorted(_BY_THE_DATA & (request.arguments or {}).keys()):
        raise UsageError(f"--set {taken[0]}: the data decides it", hint="--size sets the size of the input")
    facts = look_at([item for item in dataset.items if item.split == "train"] or dataset.items)
    if request.model and request.model not in MODELS:
        raise UsageError(f"no model {request.model!r}", expected=f"one of {', '.join(MODELS)}")
    name, why = default_model(facts, scratch=bool(request.scratch))
    if request.model:
        name, why = request.model, "as asked"
    pretrained = name in WEIGHTS and not request.scratch
    size, why_size = default_size(facts, name if pretrained else None)
    if request.size:
        size, why_size = Size(height=request.size, width=request.size), "as asked"
    crop, why_crop = default_crop(facts) if pretrained else ("whole", "")
    steps = [str(step) for step in parse(request.prepare or ())]
    channels = 3 if pretrained else 1 if is_colourless(steps) else facts.channels
    reasons = "; ".join(filter(None, (why_size, why_crop)))
    return _Plan(
        fit=Fit(size=size, channels=channels, crop=crop, prepare=steps),
        model=name,
        pretrained=pretrained,
        why=f"model {name} ({why}), {size.width}×{size.height} pixels ({reasons})",
    )


def _learner(
    folder: RunFolder, recipe: Recipe, dataset: Dataset, prepared: Prepared, parent: Bundle | None, voice: Voice
) -> GradientLearner:
    task = TASKS[recipe.task](classes=dataset.classes, label_smoothing=recipe.label_smoothing)
    initial = None
    if parent is not None:
        initial = inherited_weights(recipe, parent, dataset.classes)
    elif recipe.pretrained:
        initial = pretrained_weights(recipe, voice, download=True)
    train, validation = prepared.train, prepared.validation
    if recipe.learner == "transfer":
        feed: Feed = FeatureFeed(recipe, task, train, validation, initial, folder.features)
    else:
        feed = PixelFeed(recipe, task, train, validation, initial)
    return GradientLearner(recipe, task, feed)


def _finished(
    folder: RunFolder,
    dataset: Dataset,
    recipe: Recipe,
    prepared: Prepared,
    learner: GradientLearner,
    state: State,
    parent: Bundle | None,
) -> tuple[Bundle, Evaluation]:
    """Calibrate on validation, judge there, and write the bundle."""
    whole = learner.feed.whole(state.weights())
    weights = {name: value.detach().contiguous().clone() for name, value in whole.items()}
    found = outputs(recipe.model, recipe.preprocess.build(PREPROCESS), weights, prepared.validation)
    task = learner.task.calibrated(found, [item.target for item in prepared.validation.items])
    judged = judged_as(
        task,
        task.answers(task.head(found), ()),
        prepared.validation,
        name=recipe.task,
        split="validation",
        classes=dataset.classes,
    )
    manifest = Manifest(
        task=recipe.task,
        classes=dataset.classes,
        model=recipe.model,
        preprocess=recipe.preprocess,
        head=task.arguments(),
        recipe={
            **recipe.to_json(),
            "decisions": state.decisions,
            "ended": state.ended,
            "seconds": round(state.seconds, 1),
        },
        data=described(dataset, prepared, folder.read_settings()["request"].get("split_seed", 0)),
        metrics=judged.figures,
        holds_training_data=False,
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    seen = seen_with_parent(prepared.train.digests, prepared.validation.digests, parent)
    write_bundle(folder.bundle, manifest, weights, seen)
    return read_bundle(folder.bundle), judged


def _tell_ledger(entries: tuple[Entry, ...], folder: RunFolder, voice: Voice) -> None:
    found = counts(entries)
    voice.say(", ".join(f"{n:,} {status}" for status, n in found.items()) + f" (each in {folder.path / 'ledger.csv'})")
    for text, n, example in reasons(entries)[:8]:
        voice.say(f"  {n:,} × {text}, such as {example!r}")
