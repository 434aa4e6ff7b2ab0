"""The learning curve: one recipe on nested parts of the images, all judged alike, tells what more images would buy."""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visto.bundle import Bundle, read_own_bundle
from visto.data.cache import take
from visto.data.dataset import Dataset, Item
from visto.data.loader import Order
from visto.errors import UsageError
from visto.evaluation.judge import filled
from visto.files import write_json
from visto.learn import Recipe
from visto.metrics import figures
from visto.metrics.intervals import bootstrap, compute_many, percentile_figure
from visto.recipes import Request
from visto.tasks import TASKS
from visto.training.carry_out import Work, judged_again
from visto.training.ensemble import carry_out_asked
from visto.training.folder import RunFolder
from visto.training.power_law import forecast
from visto.training.prepare import mean_and_deviation
from visto.training.run import Trained, resumed
from visto.training.run import train as train_once
from visto.training.second_look import first_look
from visto.training.settle import check_suited, plan_of, settled
from visto.types import Figure, Metric, Voice

PARTS = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2))
_FEWEST_OF_EACH = 2  # images a class, on average, that a part must have
_APART = 0.75  # a part must not be larger than this share of the next
_FEWEST_POINTS = 3
_FEWEST_WRONG = 5  # validation images, or their like in another figure: less is luck
_MOST_EPOCHS = 100_000  # that a recipe takes
_HELPS, _HARDLY = 0.05, 0.10  # of the errors that twice the images would save: surely more, surely less


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
    """``visto.training.run.train``, and then the learning curve, where it was asked for and is not drawn yet.

    The curve is drawn once the bundle stands; it may also be asked for later, with ``resume``.
    """
    folder = RunFolder(out)
    parent = first_look(parent) if parent else None
    check_suited(dataset, request)
    if request.learning_curve:
        _check_enough(dataset)
    trained = train_once(
        dataset,
        out,
        request,
        voice=voice,
        parent=parent,
        resume=resume,
        inexact=inexact,
        threads=threads,
        clock=clock,
    )
    if (request.learning_curve or folder.wants_curve) and not folder.learning_curve.exists():
        with folder.held():
            recipe, prepared = resumed(
                folder, dataset, request, parent, threads or torch.get_num_threads(), inexact, voice
            )
            _draw(folder, recipe, Work(dataset=dataset, prepared=prepared, parent=parent), trained.bundle, voice)
    return trained


def _check_enough(dataset: Dataset) -> None:
    items = [item for item in dataset.items if item.split == "train"]
    fewest = int(_FEWEST_OF_EACH * len(dataset.classes) / sorted(PARTS)[1 - _FEWEST_POINTS])
    if len(items) < fewest:
        raise UsageError(
            f"{len(items)} training images of {len(dataset.classes)} classes are too few for a learning curve",
            expected=f"at least {fewest}, {fewest // len(dataset.classes)} a class",
            hint="leave --learning-curve out",
        )


def _draw(folder: RunFolder, recipe: Recipe, work: Work, whole: Bundle, voice: Voice) -> None:
    """Train on each part, judge, write the curve, and remove what it was made with."""
    items = work.prepared.train.items
    parts = parts_of(items, seed=recipe.seed, classes=len(work.dataset.classes))
    sizes = [len(rows) for rows in parts]
    if len(sizes) < len(PARTS):
        voice.say(f"learning curve: smaller parts than {sizes[0] if sizes else len(items):,} images say nothing here")
    bundles = []
    for rows in parts:
        voice.say(f"learning curve: {len(rows):,} of {len(items):,} images")
        bundles.append(_part(folder, recipe, whole, work, rows, voice))
    points = [_judged(bundle, work) for bundle in (*bundles, whole)]
    write_json(folder.learning_curve, curve(points, [*sizes, len(items)]))
    folder.remove_folders(folder.curve)


def _part(folder: RunFolder, full: Recipe, whole: Bundle, work: Work, rows: Tensor, voice: Voice) -> Bundle:
    """The bundle of an ordinary run on some of the training images, found, gone on with, or started."""
    inner = folder.inside(folder.curve, f"{len(rows)}-images")
    if inner.bundle.exists():
        return read_own_bundle(inner.bundle)
    train, images = take(work.prepared.train, rows), len(work.prepared.train)
    work = replace(work, prepared=replace(work.prepared, train=train))
    began = time.perf_counter()
    with inner.held():
        if inner.unfinished:
            recipe = Recipe.from_json(inner.read_settings()["recipe"])
        else:
            settings = {name: value for name, value in folder.read_settings().items() if name != "ended"}
            request = Request(**settings["request"])
            # the model as it was settled for all images
            named = request if work.parent else replace(request, model=full.model.name)
            plan = plan_of(work.dataset, named, work.parent)
            recipe = settled(plan, work.dataset, request, work.parent, len(train), *mean_and_deviation(train))
            fit = {name: recipe.preprocess.arguments[name] for name in ("mean", "std")}
            preprocess = full.preprocess.with_arguments(**fit)
            recipe = replace(recipe, model=full.model, preprocess=preprocess)
            if epochs := epochs_by_the_clock(full, whole.manifest.recipe["decisions"], images):
                recipe = replace(recipe, budget=0.0, epochs=epochs)
            else:
                recipe = replace(recipe, budget=full.budget * len(train) / images)
            inner.begin({**settings, "recipe": recipe.to_json()})
        return carry_out_asked(inner, recipe, work, lambda: time.perf_counter() - began, voice)[0]


def epochs_by_the_clock(full: Recipe, decisions: Mapping[str, Any], images: int) -> float:
    """How often a run passed over its ``images``, where a budget decided that: as often as a part of them shall.

    With its share of the budget a part would have no time for a step, since judging and writing take as long as for
    the whole. 0 where no budget decided, or left no time for a step: only the classifier was learnt.
    """
    steps: int = max(0, decisions.get("total_steps", 0))
    order = Order(images, max(1, full.batch_size // full.repeats))
    return min(_MOST_EPOCHS, steps / order.steps_per_epoch)


def parts_of(items: Sequence[Item], *, seed: int, classes: int) -> list[Tensor]:
    """The rows of those of ``PARTS`` that are large enough, and apart from the next."""
    drawn = [torch.tensor(sorted(rows)) for rows in nested(items, PARTS, seed=seed)]
    kept: list[Tensor] = []
    next_larger = len(items)
    for rows in reversed(drawn):
        if _FEWEST_OF_EACH * classes <= len(rows) <= _APART * next_larger:
            kept.insert(0, rows)
            next_larger = len(rows)
    return kept


def nested(items: Sequence[Item], parts: Sequence[Fraction], *, seed: int) -> Iterator[list[int]]:
    """For each of ascending ``parts`` the rows drawn, each part with all of the one before.

    Every class keeps its share, rounded up, so one image at least; the rarest is drawn first, since its images may
    bring others with them. Groups stay whole, and may bring more than the share. The draw goes by hashes of ids (or
    names of groups) and the seed, not by the order of the items.
    """
    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, item in enumerate(items):
        units[("item", item.id) if item.group is None else ("group", item.group)].append(row)
    inside = {name: Counter(c for row in rows for c in _classes_of(items[row])) for name, rows in units.items()}
    totals: Counter[int] = sum(inside.values(), Counter())
    by_class: dict[int, list[tuple[str, str]]] = {c: [] for c in sorted(totals, key=lambda c: (totals[c], c))}
    for name in sorted(units, key=lambda name: _order(seed, *name)):
        for c in inside[name]:
            by_class[c].append(name)
    drawn: list[int] = []
    have: Counter[int] = Counter()
    taken: set[tuple[str, str]] = set()
    for part in parts:
        for c, names in by_class.items():
            wanted = -(-totals[c] * part.numerator // part.denominator)
            for name in names:
                if have[c] >= wanted:
                    break
                if name not in taken:
                    taken.add(name)
                    drawn += units[name]
                    have += inside[name]
        yield list(drawn)


def _classes_of(item: Item) -> tuple[int, ...]:
    return (item.target.classes if item.target is not None else ()) or (-1,)


def _order(seed: int, *names: str) -> bytes:
    text = "\0".join(["learning curve", str(seed), *names])
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The figure ``name`` of one model over ``n`` validation images (``wrong`` of them answered wrongly).

    Its best value is at the ``sense`` end.

    ``samples`` has its value in each resample of the images, the same for all models.
    """

    name: str
    sense: str
    n: int
    wrong: int
    figure: Figure
    samples: Tensor


def _judged(bundle: Bundle, work: Work) -> Point:
    """The bundle's monitored figure on the validation images, as its task is calibrated."""
    manifest, validation = bundle.manifest, work.prepared.validation
    task = TASKS[manifest.task](classes=manifest.classes, **manifest.head)
    answers, truth = judged_again(bundle, work).answers, [item.target for item in validation.items]
    wrong = sum(a.value.classes != t.classes for a, t in zip(answers, truth, strict=True) if t is not None)
    metrics = filled(task, answers, truth)
    name, sense = task.monitor
    metric: Metric[Any] = next(metric for metric in metrics if name in metric.compute())
    named = [item.group for item in validation.items]
    groups = named if any(named) else None
    samples = bootstrap(partial(compute_many, metric), len(validation), groups=groups)[name]
    figure = figures([metric], n=len(validation), groups=groups)[name]
    return Point(name=name, sense=sense, n=len(validation), wrong=wrong, figure=figure, samples=samples)


def curve(points: Sequence[Point], images: Sequence[int]) -> dict[str, Any]:
    """Points, forecast at twice the images, and words, as JSON values; ``points`` ascend with ``images``."""
    name = points[0].name
    measured = [{"images": n, "figure": name, **p.figure.to_json()} for n, p in zip(images, points, strict=True)]
    if len(points) < _FEWEST_POINTS:
        words = f"what more images would buy cannot be told from {len(points)} points"
        return {"points": measured, "forecast": None, "words": words}
    now, twice = _errors(points, images)
    right = points[0].sense == "max"
    at_twice = _figure(1 - twice if right else twice)
    number = 2 * images[-1]
    words = f"with twice the images ({number:,}) about {_said(at_twice, name, share=right)}: "
    saved = _figure(torch.where(now > 0, 1 - twice / now, 0.0))
    few = points[-1].wrong < _FEWEST_WRONG
    words += _verdict(None if few else saved, points[-1].n)
    return {"points": measured, "forecast": {"images": number, **at_twice.to_json()}, "words": words}


def _errors(points: Sequence[Point], images: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The fitted error at all images and at twice as many: the best guess, then one a resample.

    A resample draws the validation images anew, and weighs the points anew by chance (Rubin 1981): how much hangs on
    a single one of so few belongs to the doubt.
    """
    values = torch.stack([torch.cat([torch.tensor([p.figure.value]).double(), p.samples]) for p in points])
    values = values[:, values.isfinite().all(0)]
    errors = 1 - values if points[0].sense == "max" else values
    # of no error among n images nobody knows the variance: as of one
    variances = errors[:, 1:].var(1).nan_to_num(0.0).clamp_min(1 / points[0].n ** 2)
    chance = torch.empty_like(errors).exponential_(generator=torch.Generator().manual_seed(0))
    chance[:, 0] = 1
    last = images[-1]
    asked = torch.tensor([last, 2 * last])
    now, twice = forecast(torch.tensor(images), errors, chance / variances[:, None], asked)
    return now, twice


def _figure(guesses: Tensor) -> Figure:
    """The first with the interval of the others."""
    return percentile_figure(float(guesses[0]), guesses[1:])


def _said(figure: Figure, name: str, *, share: bool) -> str:
    scale, form, unit = (100, ".1f", " %") if share else (1, ".4g", "")
    words = f"{scale * figure.value:{form}}{unit} {name}"
    if figure.low is None or figure.high is None:
        return words
    return f"{words} ({scale * figure.low:{form}} to {scale * figure.high:{form}})"


def _verdict(saved: Figure | None, n: int) -> str:
    """In words what part of the errors twice the images would save, judged on ``n`` images; None: too few are wrong."""
    if saved is None:
        return (
            f"whether more would help cannot be told, fewer than {_FEWEST_WRONG} of {n:,} validation images are wrong"
        )
    low = saved.value if saved.low is None else saved.low
    high = saved.value if saved.high is None else saved.high
    if low >= _HELPS:
        return "more would help"
    if high <= _HARDLY:
        return "more images of the same kind would hardly help"
    return f"whether more would help cannot be told from {n:,} validation images"
