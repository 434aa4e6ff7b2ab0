"""Train: settle the recipe, learn (or go on learning), calibrate, judge on validation, write the bundle."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from visto.bundle import Bundle, Manifest, read_bundle, write_bundle
from visto.data.dataset import Dataset
from visto.data.facts import look_at
from visto.data.ledger import Entry, counts, reasons
from visto.errors import DataError, ResourceError, UsageError
from visto.evaluation import judge
from visto.learn import LEARNERS, GradientLearner, Recipe, State
from visto.learn.precision import PRECISIONS, processor
from visto.models import MODELS, build_model
from visto.preprocess import PREPROCESS, Fit
from visto.recipes import Request, apply, check_same, default_model, default_size, fine_tune, suggest
from visto.tasks import TASKS
from visto.training.folder import RunFolder
from visto.training.inherit import inherited_weights, seen_with_parent
from visto.training.learning import learn
from visto.training.prepare import Prepared, changed_since, mean_and_deviation, prepare, stamps
from visto.types import Size, Voice

_BY_THE_DATA = {"classes", "channels", "size"}  # arguments of every model that nobody gives by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished run: the bundle as read back, and the seconds it took in this process."""

    bundle: Bundle
    seconds: float


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
        learner = _learner(recipe, dataset, prepared, parent)
        seen = stamps(prepared.train)
        state = _learnt(learner, folder, clock, voice)
        for name in changed_since(prepared.train, seen):
            voice.say(f"{name} has changed during the run; what was read at its start was used")
        bundle = _finished(folder, dataset, recipe, prepared, learner, state, parent)
        folder.finish()
    return Trained(bundle=bundle, seconds=time.perf_counter() - began)


def _started(
    folder: RunFolder, dataset: Dataset, request: Request, parent: Bundle | None, threads: int, voice: Voice
) -> tuple[Recipe, Prepared]:
    """Settle the recipe of a new run, and keep it with what it depends on."""
    fitting, model, why = _fit_and_model(dataset, request, parent)
    voice.say(f"{len(dataset):,} images, {len(dataset.classes)} classes; {why}")

    def settle(images: int, mean: list[float], std: list[float]) -> Recipe:
        recipe = suggest(
            model=model,
            images=images,
            classes=len(dataset.classes),
            channels=fitting.channels,
            size=fitting.size,
            mean=mean,
            std=std,
        )
        if parent is not None:
            recipe = fine_tune(recipe, parent.manifest.model, parent.manifest.preprocess)
        return apply(recipe, request)

    # once before the long reading, with figures that are not known yet: a slip in the request shows now
    _check_buildable(settle(len(dataset), [0.5] * fitting.channels, [0.5] * fitting.channels), len(dataset.classes))
    prepared = prepare(dataset, fitting, threads=threads, voice=voice, parent=parent)
    folder.write_ledger(prepared.ledger)
    _tell_ledger(prepared.ledger, folder, voice)
    recipe = settle(len(prepared.train.items), *mean_and_deviation(prepared.train))
    folder.begin(
        {
            "recipe": recipe.to_json(),
            "request": request.given(),
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


def _fit_and_model(dataset: Dataset, request: Request, parent: Bundle | None) -> tuple[Fit, str, str]:
    """How images are brought to one size, the model's name, and the reason for both."""
    if parent is not None:
        if request.model or request.size or request.arguments:
            raise UsageError("a bundle that is fine-tuned brings its own model and size", hint="leave --from out")
        return (
            parent.manifest.preprocess.build(PREPROCESS).fit,
            parent.manifest.model.name,
            f"goes on from {parent.path}",
        )
    if taken := sorted(_BY_THE_DATA & (request.arguments or {}).keys()):
        raise UsageError(f"--set {taken[0]}: the data decides it", hint="--size sets the size of the input")
    facts = look_at([item for item in dataset.items if item.split == "train"] or dataset.items)
    name, why = default_model(facts.channels)
    if request.model:
        if request.model not in MODELS:
            raise UsageError(f"no model {request.model!r}", expected=f"one of {', '.join(MODELS)}")
        name, why = request.model, "as asked"
    size, why_size = default_size(facts)
    if request.size:
        size, why_size = Size(height=request.size, width=request.size), "as asked"
    reason = f"model {name} ({why}), {size.width}×{size.height} pixels ({why_size})"
    return Fit(size=size, channels=facts.channels), name, reason


def _check_buildable(recipe: Recipe, classes: int) -> None:
    """Raise UsageError for a model that cannot be built, or cannot learn in such batches, and for an unknown precision.

    A trial step forward costs some milliseconds, and finds before the long reading what would fail after it.
    """
    if recipe.precision not in PRECISIONS:
        raise UsageError(f"no precision {recipe.precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
    fit = recipe.preprocess.build(PREPROCESS).fit
    try:
        # as many images as tell a batch of one (which batch normalisation refuses) from a larger one
        images = torch.zeros(min(recipe.batch_size, 2), *fit.shape)
        with torch.no_grad():
            shape = tuple(build_model(recipe.model).train()(images)["logits"].shape)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        if "allocate memory" in str(error):
            raise
        # a builder checks little itself: torch's own words are what there is to say
        raise UsageError(
            f"the model {recipe.model.name} does not work with these settings: {error}",
            expected="arguments as visto models lists them, and a --batch-size that suits",
        ) from error
    if shape != (len(images), classes):
        raise UsageError(f"the model {recipe.model.name} gives {shape[1:]} outputs", expected=f"{classes}, one a class")


def _learner(recipe: Recipe, dataset: Dataset, prepared: Prepared, parent: Bundle | None) -> GradientLearner:
    task = TASKS[recipe.task](classes=dataset.classes, label_smoothing=recipe.label_smoothing)
    initial = inherited_weights(recipe, parent, dataset.classes) if parent is not None else None
    return LEARNERS[recipe.learner](recipe, task, prepared.train, prepared.validation, initial=initial)


def _finished(
    folder: RunFolder,
    dataset: Dataset,
    recipe: Recipe,
    prepared: Prepared,
    learner: GradientLearner,
    state: State,
    parent: Bundle | None,
) -> Bundle:
    """Calibrate on validation, judge there, and write the bundle."""
    weights = {name: value.detach().contiguous().clone() for name, value in state.weights().items()}
    outputs = {"logits": learner.scores(state, weights, prepared.validation, exact=True)}
    targets = [item.target for item in prepared.validation.items]
    task = learner.task.calibrated(outputs, targets)
    answers = task.answers(task.head(outputs), ())
    figures = judge(task, answers, targets, [item.group for item in prepared.validation.items])
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
        data={
            "name": dataset.name,
            "format": dataset.format,
            "fingerprint": prepared.fingerprint,
            "train": len(prepared.train.items),
            "validation": len(prepared.validation.items),
            "ledger": counts(prepared.ledger),
            "split_seed": folder.read_settings()["request"].get("split_seed", 0),
        },
        metrics=figures,
        holds_training_data=False,
        versions={"visto": version("visto"), "torch": torch.__version__, "python": platform.python_version()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_bundle(
        folder.bundle, manifest, weights, seen_with_parent(prepared.train.digests, prepared.validation.digests, parent)
    )
    return read_bundle(folder.bundle)


def _tell_ledger(entries: tuple[Entry, ...], folder: RunFolder, voice: Voice) -> None:
    found = counts(entries)
    voice.say(", ".join(f"{n:,} {status}" for status, n in found.items()) + f" (each in {folder.path / 'ledger.csv'})")
    for text, n, example in reasons(entries)[:8]:
        voice.say(f"  {n:,} × {text}, such as {example!r}")
