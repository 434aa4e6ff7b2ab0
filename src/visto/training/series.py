"""What a run on a series to foretell settles, reads and says: where it is not as with images."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Dataset, Steps
from visto.data.windows import for_judging, for_training, numbered, series_of
from visto.errors import UsageError
from visto.evaluation import Evaluation, judge
from visto.learn import Recipe
from visto.learn.series import later_from
from visto.models import FORECASTERS
from visto.models.forecaster import READERS
from visto.preprocess import StepsFit
from visto.recipes import Request
from visto.spec import Spec
from visto.tasks.forecast import Forecast
from visto.training.plan import Plan
from visto.training.prepare import Prepared
from visto.types import SPLITS, Future, Task, Voice

_KNOWN = ("naive", "linear", *READERS)
_USUAL = "gru"
_DECIDED = {"window": "--window", "horizon": "--horizon", "reader": "--model"}
_STEPS = 2_000  # of learning
_STRETCHES = 3
_STEADY = 1e-9  # of the size of a column: one that changes less does not change


def cut(dataset: Dataset, request: Request, voice: Voice) -> Dataset:
    """The series in windows as asked for, or as suits it, and said. Raises DataError, UsageError."""
    made, why = for_training(dataset, request.window, request.horizon)
    window, horizon = window_and_horizon(made)
    counts = {split: sum(item.split == split for item in made.items) for split in SPLITS}
    voice.say(
        f"from {window} steps ({why}) come the next {horizon if horizon > 1 else 'one'}; split by time: "
        + ", ".join(f"{n:,} windows {split}" for split, n in counts.items())
    )
    return made


def window_and_horizon(dataset: Dataset) -> tuple[int, int]:
    """Of a series that is cut."""
    item = dataset.items[0]
    assert isinstance(item.source, Steps) and isinstance(item.target, Future)  # noqa: S101  (tells mypy)
    return item.source.stop - item.source.start, len(item.target.values)


def plan_of_series(dataset: Dataset, request: Request) -> Plan:
    """Which model learns. Raises UsageError for one that foretells nothing, and for what the window decides."""
    name = request.model or _USUAL
    if name not in _KNOWN:
        raise UsageError(f"the model {name} for {dataset.task}", expected=f"one of {', '.join(_KNOWN)}")
    if taken := sorted(_DECIDED.keys() & (request.arguments or {}).keys()):
        raise UsageError(f"--set {taken[0]} with {dataset.task}", hint=f"{_DECIDED[taken[0]]} decides it")
    how = {"naive": "the last value again", "linear": "fitted at once"}.get(name, "what a linear forecast lacks")
    how += "" if request.model else ", kept where it is surely better than that"
    return Plan(
        fits=(StepsFit(len(dataset.classes)),),
        model=name,
        pretrained=False,
        grey=False,
        why=f"model {name} ({'as asked, ' if request.model else ''}{how})",
    )


def recipe_of_series(plan: Plan, dataset: Dataset, count: int, mean: list[float], std: list[float]) -> Recipe:
    """The recipe for so many windows to learn from: some 2,000 steps, of which the best epoch is kept.

    In fp32: what is foretold may be a small change of a large number.
    """
    window, horizon = window_and_horizon(dataset)
    known = {"classes": len(dataset.classes), "channels": len(dataset.classes), "size": []}
    arguments = {**known, "window": window, "horizon": horizon}
    name = plan.model
    if name in READERS:
        name, arguments = "forecaster", {**arguments, "reader": name}
    batch_size = 64 if count < 10_000 else 256
    return Recipe(
        task=dataset.task,
        model=Spec(name=name, arguments=arguments),
        preprocess=Spec(name="series", arguments={**plan.fit.arguments, "mean": mean, "std": std}),
        learner="gradient" if name == FORECASTERS[-1] else "closed_form",
        epochs=max(4, min(150, round(_STEPS * batch_size / max(1, count)))),
        batch_size=batch_size,
        lr=3e-3,
        weight_decay=0.05,
        patience=15,
        precision="fp32",
    )


def prepare_series(dataset: Dataset, fit: StepsFit) -> Prepared:
    """The windows to learn from and to validate on; the ledger is that of the rows of the file."""
    whole = for_judging(dataset, dataset.classes, *window_and_horizon(dataset))
    pixels = numbered(materialise(whole.items, fit, threads=1))
    parts = {
        split: take(pixels, torch.tensor([k for k, item in enumerate(pixels.items) if item.split == split]))
        for split in SPLITS
    }
    content = hashlib.sha256(repr((dataset.classes, window_and_horizon(dataset))).encode())
    content.update(series_of(dataset).tobytes())
    return Prepared(
        train=parts["train"],
        validation=parts["validation"],
        ledger=dataset.ledger,
        fingerprint=content.hexdigest(),
        order=content.hexdigest(),
    )


def spread_of(train: Pixels) -> tuple[list[float], list[float]]:
    """Mean and deviation of each column over the rows to learn from; a deviation of 1 where nothing changes."""
    values = train.storage[torch.unique(train.rows)].double()
    mean, std = values.mean(0), values.std(0, correction=0)
    std = torch.where(std <= _STEADY * values.abs().amax(0), 1.0, std)
    return [float(f"{v:.7g}") for v in mean.tolist()], [float(f"{v:.7g}") for v in std.tolist()]


def task_of_series(recipe: Recipe, classes: tuple[str, ...]) -> Forecast:
    """The task in the units of what the recipe normalises."""
    arguments, units = recipe.model.arguments, recipe.preprocess.arguments
    return Forecast(
        classes=classes,
        window=arguments["window"],
        horizon=arguments["horizon"],
        mean=units["mean"],
        std=units["std"],
    )


def surely_gained(task: Task[Any, Any], judged: Evaluation) -> bool:
    """Whether the paired interval says that the forecast is better than the linear one, on windows that did not choose
    the epoch; not where there are fewer than three stretches of time as long as an example, for then it is too narrow.
    """
    late = slice(later_from(judged.n), None)
    items = judged.pixels.items[late]
    if len(items) < _STRETCHES * (judged.details["window"] + judged.details["horizon"]):
        return False
    figures = judge(task, judged.answers[late], [item.target for item in items], [item.group for item in items])
    gain = figures.get("gain_over_linear")
    return gain is not None and gain.low is not None and gain.low > 0


def linear_part(model: Spec[nn.Module], weights: Mapping[str, Tensor]) -> tuple[Spec[nn.Module], dict[str, Tensor]]:
    """The linear forecast that a forecaster adds to, as a model of its own."""
    arguments = {k: v for k, v in model.arguments.items() if k in ("classes", "channels", "size", "window", "horizon")}
    own = {name: value for name, value in weights.items() if not name.startswith("reader.")}
    return Spec(name="linear", arguments=arguments), own
