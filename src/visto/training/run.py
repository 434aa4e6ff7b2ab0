"""Train: settle the recipe, or find the one that a run was started with, and have it carried out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from visto.bundle import Bundle, read_bundle
from visto.data.cache import Pixels
from visto.data.dataset import Dataset, noun_of
from visto.data.ledger import Entry, counts, reasons
from visto.errors import DataError, ResourceError, UsageError
from visto.evaluation import Evaluation
from visto.learn import Recipe
from visto.learn.engine import check_device, processor
from visto.learn.state import STATE_VERSION
from visto.memory import keep_freed_memory
from visto.preprocess import PREPROCESS, Fit, StepsFit
from visto.quantities import plural
from visto.recipes import Request, check_same
from visto.tasks import TASKS
from visto.training.buildable import check_buildable
from visto.training.carry_out import Work
from visto.training.folder import RunFolder
from visto.training.inherit import pretrained_weights
from visto.training.ladder import carry_out_climbing, first_rung
from visto.training.prepare import Prepared, cautions, changed_since, mean_and_deviation, prepare, small_boxes, stamps
from visto.training.second_look import first_look
from visto.training.series import cut, prepare_series, spread_of
from visto.training.settle import check_suited, plan_of, settled, tried
from visto.types import Voice


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
        # nothing shows that it is this run's: where keys are trusted, one of them must have signed it
        return Trained(bundle=read_bundle(out), seconds=0.0)
    check_suited(dataset, request)
    if _is_series(dataset):
        dataset = cut(dataset, request, voice)
    folder.check_no_bundle()
    with folder.held():
        if not resume:
            folder.check_no_run()
        if resume and folder.unfinished:
            recipe, prepared = resumed(folder, dataset, request, parent, threads, inexact, voice)
        else:
            first = first_rung(request, dataset)
            recipe, prepared = started(folder, dataset, request, parent, threads, voice, first)
        seen = stamps(prepared.train)
        work = Work(dataset=dataset, prepared=prepared, parent=parent)
        bundle, judged = carry_out_climbing(folder, recipe, work, clock, voice)
        for name in changed_since(prepared.train, seen):
            voice.say(f"{name} has changed during the run; what was read at its start was used")
    return Trained(bundle=bundle, seconds=time.perf_counter() - began, judged=judged)


def started(
    folder: RunFolder,
    dataset: Dataset,
    request: Request,
    parent: Bundle | None,
    threads: int,
    voice: Voice,
    first: Request | None = None,
) -> tuple[Recipe, Prepared]:
    """Settle the recipe of a new run, and keep it with what it depends on; of a ladder that of its ``first`` rung."""
    asked, request = request, first or request
    plan = plan_of(dataset, request, parent)
    what = plan.why if request == asked else f"models from the cheapest upwards, {plan.sight}"
    amount = f"{len(dataset):,} {plural(noun_of(dataset.items))}"
    if _is_series(dataset):
        amount += f", columns: {', '.join(dataset.classes[:12])}"
    else:
        amount += f", {len(dataset.classes)} classes"
    voice.say(f"{amount}; {what}")
    # once before the long reading, with figures that are not known yet: a slip in the request shows now
    unknown = [0.5] * plan.fit.channels
    recipe = settled(plan, dataset, request, parent, len(dataset), unknown, unknown)
    check_buildable(recipe, len(dataset.classes))
    if recipe.pretrained:
        weights = pretrained_weights(recipe, voice, download=bool(request.download))
        plan = tried(plan, recipe, weights, dataset, threads, voice)
    prepared = _read(dataset, plan.fit, parent, threads, voice)
    folder.write_ledger(prepared.ledger)
    _tell_ledger(prepared.ledger, folder, voice)
    spread = spread_of(prepared.train) if _is_series(dataset) else mean_and_deviation(prepared.train)
    if not _is_series(dataset):
        _tell_cautions(dataset, prepared.train, plan.fit, voice)
    recipe = settled(plan, dataset, request, parent, len(prepared.train), *spread)
    folder.begin(
        {
            "recipe": recipe.to_json(),
            "request": asked.given(),
            "source": {"path": dataset.source, "format": dataset.format, "group_by": dataset.grouped_by},
            "fingerprint": prepared.fingerprint,
            "order": prepared.order,
            "threads": threads,
            "processor": processor(recipe.device),
            "state": STATE_VERSION,
        }
    )
    return recipe, prepared


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
    was = settings["source"].get("group_by", dataset.grouped_by)
    if was != dataset.grouped_by:
        raise UsageError(
            f"this run was started with {f'--group-by {was!r}' if was else 'clips of no group'}",
            hint="give --group-by again beside --resume" if was else "leave --group-by out",
        )
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
    prepared = _read(dataset, recipe.preprocess.build(PREPROCESS).fit, parent, threads, voice)
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


def _is_series(dataset: Dataset) -> bool:
    """Whether it is a series to foretell."""
    return TASKS[dataset.task](classes=("a", "b")).needs == "forecast"


def _read(dataset: Dataset, fit: Fit | StepsFit, parent: Bundle | None, threads: int, voice: Voice) -> Prepared:
    if isinstance(fit, StepsFit) and _is_series(dataset):
        return prepare_series(dataset, fit)
    return prepare(dataset, fit, threads=threads, voice=voice, parent=parent)


def _tell_cautions(dataset: Dataset, train: Pixels, fit: Fit | StepsFit, voice: Voice) -> None:
    remedy = "" if "balance" in TASKS[dataset.task](classes=("a", "b")).unsuited else ": see --balance"
    for words in cautions(dataset.classes, dataset.counts(train.items), remedy=remedy):
        voice.say(f"careful: {words}")
    if words := small_boxes(train, fit):
        voice.say(f"careful: {words}")


def _tell_ledger(entries: tuple[Entry, ...], folder: RunFolder, voice: Voice) -> None:
    found = counts(entries)
    voice.say(", ".join(f"{n:,} {status}" for status, n in found.items()) + f" (each in {folder.path / 'ledger.csv'})")
    for text, n, example in reasons(entries)[:8]:
        voice.say(f"  {n:,} × {text}, such as {example!r}")
