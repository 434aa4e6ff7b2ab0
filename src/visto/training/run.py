"""Train: settle the recipe, or find the one that a run was started with, and have it carried out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from visto.bundle import Bundle, read_bundle
from visto.data.dataset import Dataset
from visto.data.facts import look_at
from visto.data.ledger import Entry, counts, reasons
from visto.errors import DataError, ResourceError, UsageError
from visto.evaluation import Evaluation
from visto.learn import Recipe
from visto.learn.engine import check_device, processor
from visto.learn.state import STATE_VERSION
from visto.memory import keep_freed_memory
from visto.models import MODELS
from visto.models.weights import WEIGHTS
from visto.preprocess import PREPROCESS, Fit
from visto.preprocess.steps import is_colourless, parse
from visto.recipes import (
    Request,
    apply,
    check_same,
    default_model,
    default_size,
    fine_tune,
    pretrained_sizes,
    speedrun,
    suggest,
    transfer,
)
from visto.tasks import TASKS, names_one_class
from visto.training.buildable import check_buildable
from visto.training.carry_out import Work
from visto.training.ensemble import carry_out_asked
from visto.training.folder import RunFolder
from visto.training.inherit import pretrained_weights
from visto.training.prepare import Prepared, cautions, changed_since, mean_and_deviation, prepare, stamps
from visto.training.second_look import first_look
from visto.training.shape import best_fit
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
    parent = first_look(parent) if parent else None
    clock = clock or (lambda: time.perf_counter() - began)
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    keep_freed_memory()
    folder = RunFolder(out)
    if resume and out.exists():
        voice.say(f"{out} is finished already")
        if folder.unswept:
            with folder.held():
                folder.finish()
        return Trained(bundle=read_bundle(out), seconds=0.0)
    folder.check_no_bundle()
    with folder.held():
        if not resume:
            folder.check_no_run()
        if resume and folder.unfinished:
            recipe, prepared = resumed(folder, dataset, request, parent, threads, inexact, voice)
        else:
            recipe, prepared = started(folder, dataset, request, parent, threads, voice)
        seen = stamps(prepared.train)
        work = Work(dataset=dataset, prepared=prepared, parent=parent)
        bundle, judged = carry_out_asked(folder, recipe, work, clock, voice)
        for name in changed_since(prepared.train, seen):
            voice.say(f"{name} has changed during the run; what was read at its start was used")
    return Trained(bundle=bundle, seconds=time.perf_counter() - began, judged=judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is settled before an image is read: how images are fitted, which model learns, with published weights?

    ``fits`` has several where the best is still to be found out.
    """

    fits: tuple[Fit, ...]
    model: str
    pretrained: bool
    grey: bool
    why: str

    @property
    def fit(self) -> Fit:
        return self.fits[0]


def started(
    folder: RunFolder, dataset: Dataset, request: Request, parent: Bundle | None, threads: int, voice: Voice
) -> tuple[Recipe, Prepared]:
    """Settle the recipe of a new run, and keep it with what it depends on."""
    plan = plan_of(dataset, request, parent)
    voice.say(f"{len(dataset):,} images, {len(dataset.classes)} classes; {plan.why}")
    # once before the long reading, with figures that are not known yet: a slip in the request shows now
    unknown = [0.5] * plan.fit.channels
    recipe = settled(plan, dataset, request, parent, len(dataset), unknown, unknown)
    check_buildable(recipe, len(dataset.classes))
    if recipe.pretrained:
        weights = pretrained_weights(recipe, voice, download=bool(request.download))
        plan = _tried(plan, recipe, weights, dataset, threads, voice)
    prepared = prepare(dataset, plan.fit, threads=threads, voice=voice, parent=parent)
    folder.write_ledger(prepared.ledger)
    _tell_ledger(prepared.ledger, folder, voice)
    train = prepared.train
    for words in cautions(dataset.classes, dataset.counts(train.items)):
        voice.say(f"careful: {words}")
    recipe = settled(plan, dataset, request, parent, len(train), *mean_and_deviation(train))
    folder.begin(
        {
            "recipe": recipe.to_json(),
            "request": request.given(),
            "source": {"path": dataset.source, "format": dataset.format},
            "fingerprint": prepared.fingerprint,
            "order": prepared.order,
            "threads": threads,
            "processor": processor(recipe.device),
            "state": STATE_VERSION,
        }
    )
    return recipe, prepared


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
    if plan.model == "speedrun":
        recipe = speedrun(recipe, images=images)
    if parent is not None:
        recipe = fine_tune(recipe, parent.manifest.model, parent.manifest.preprocess)
    return apply(recipe, request)


def resumed(
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
    if folder.state.exists() and settings.get("state", 1) != STATE_VERSION:
        raise ResourceError(
            f"the run in {folder.path} was started by another version of Visto, which kept its state otherwise",
            hint=f"go on with that version, or remove {folder.path} and start anew",
        )
    recipe = Recipe.from_json(settings["recipe"])
    check_device(recipe.device)
    here = processor(recipe.device)
    for what, was, now in (("threads", settings["threads"], threads), ("with", settings["processor"], here)):
        if was != now and not inexact:
            raise ResourceError(
                f"the run was started {what} {was}, this one is {what} {now}: its result would not be the same",
                hint=f"go on with --threads {was}" if what == "threads" else "go on all the same with --inexact",
            )
    if recipe.pretrained:
        pretrained_weights(recipe, voice, download=bool(request.download))
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


def plan_of(dataset: Dataset, request: Request, parent: Bundle | None) -> Plan:
    """Fit and model, and the reason for both. Raises UsageError for what cannot be had together."""
    if parent is not None:
        if request.model or request.size or request.arguments or request.prepare or request.scratch:
            raise UsageError("a bundle that is fine-tuned brings its own model and fit", hint="leave --from out")
        preprocess, name = parent.manifest.preprocess.build(PREPROCESS), parent.manifest.model.name
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
    facts = look_at([item for item in dataset.items if item.split == "train"] or dataset.items)
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
    if request.size:
        sizes, why_size = [Size(height=request.size, width=request.size)], "as asked"
    elif pretrained:
        sizes, why_size = pretrained_sizes(facts, name)
    else:
        size, why_size = default_size(facts)
        sizes = [size]
    steps = [str(step) for step in parse(request.prepare or ())]
    channels = 3 if pretrained else 1 if is_colourless(steps) else facts.channels
    crop = "middle" if pretrained else "whole"
    words = " or ".join(f"{size.width}×{size.height}" for size in sizes) + " pixels"
    reasons = ", ".join(filter(None, (why_size, "their middle, undistorted" if pretrained else "")))
    return Plan(
        fits=tuple(Fit(size=size, channels=channels, crop=crop, prepare=steps) for size in sizes),
        model=name,
        pretrained=pretrained,
        grey=facts.channels == 1 or is_colourless(steps),
        why=f"model {name} ({why}), {words} ({reasons})",
    )


def _tried(
    plan: Plan, recipe: Recipe, weights: Mapping[str, Tensor], dataset: Dataset, threads: int, voice: Voice
) -> Plan:
    """The plan with the fit that suits best, where there are several."""
    task = TASKS[recipe.task](classes=dataset.classes)
    items = [item for item in dataset.items if item.split == "train"]
    fit, words = best_fit(plan.fits, recipe, weights, task, items, threads=threads, voice=voice)
    if words:
        voice.say(f"{fit.size.width}×{fit.size.height} pixels ({words})")
    return replace(plan, fits=(fit,))


def _tell_ledger(entries: tuple[Entry, ...], folder: RunFolder, voice: Voice) -> None:
    found = counts(entries)
    voice.say(", ".join(f"{n:,} {status}" for status, n in found.items()) + f" (each in {folder.path / 'ledger.csv'})")
    for text, n, example in reasons(entries)[:8]:
        voice.say(f"  {n:,} × {text}, such as {example!r}")
