"""Forecasting: the next steps of a number series, each with bounds that the truth should lie in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from visto.errors import DataError, UsageError
from visto.metrics import ForecastError
from visto.ops.line_plot import forecast_plot
from visto.types import Alike, Answer, Batch, Future, Loss, Metric, Needs, Target, View

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
USUAL = 0.9  # of LEVELS: what an answer's bounds promise where nothing else is asked
TENSORS = ("forecast", "linear", "naive")


class Denormalise(nn.Module):
    """Forecasts N×h×F from units of deviation to those of the series."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensors[name].float() * self.std + self.mean for name in TENSORS}


class Forecast:
    """``classes`` names the F columns; from ``window`` steps come the next ``horizon``. ``mean`` and ``std`` (F each)
    are those of the series that it learnt from.

    ``quantiles`` has for each of LEVELS, as far as the held-out examples reach, how far off forecasts are, h×F: split
    conformal prediction (Vovk et al. 2005). Its promise is for examples in no order; that of a series, which may
    change, is kept only as far as the time to come is like the one held out.
    """

    monitor: tuple[str, Literal["max", "min"]] = ("mse", "min")
    decisive = "mse"
    blend: Literal["softmax", "sigmoid"] = "softmax"
    needs: Needs = "forecast"
    sequences = True
    unsuited = frozenset(
        {
            "augmentation",
            "balance",
            "download",
            "ensemble",
            "features",
            "label_smoothing",
            "learning_curve",
            "lr_decay",
            "mixup",
            "prepare",
            "repeats",
            "scratch",
            "second_look",
            "size",
            "split_seed",
            "start_from",
            "tune",
            "unfreeze",
            "views",
        }
    )
    augmentations: Sequence[str] = ()
    looked_at = 0

    def __init__(
        self,
        *,
        classes: Sequence[str],
        window: int = 32,
        horizon: int = 1,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        quantiles: Sequence[Sequence[Sequence[float]]] = (),
    ) -> None:
        if not classes:
            raise DataError("no column", expected="at least 1 column of numbers")
        self.classes = tuple(classes)
        self.window, self.horizon = window, horizon
        self.mean = tuple(mean) or (0.0,) * len(self.classes)
        self.std = tuple(std) or (1.0,) * len(self.classes)
        self.quantiles = tuple(quantiles)
        self.head: nn.Module = Denormalise(self.mean, self.std)

    def collate(self, targets: Sequence[Target], views: Sequence[View] = ()) -> Tensor:
        """N×h×F, in the units of the series."""
        futures = [target for target in targets if isinstance(target, Future)]
        if len(futures) < len(targets):
            raise DataError("an example without what comes next", expected="a series of numbers")
        return torch.stack([future.values for future in futures])

    def augment(
        self,
        images: Tensor,
        targets: Tensor,
        names: Sequence[str],
        random: Generator,
        flipped: Tensor | None,
        done: float,
    ) -> tuple[Tensor, Tensor]:
        """Nothing is changed."""
        return images, targets

    def keep(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {name: tensors[name].float() for name in TENSORS}

    def loss(self, model: nn.Module, batch: Batch[Tensor]) -> Loss:
        """The mean squared error, each column in units of its deviation."""
        if batch.targets is None:
            raise DataError("a batch without what comes next cannot be learnt from")
        forecast = model(batch.inputs["images"])["forecast"].float()
        each = (forecast - self._normalised(batch.targets)).square().mean((1, 2))
        total = (each if batch.weights is None else each * batch.weights).mean()
        return Loss(total=total, parts={"squared_error": total.detach()}, each=each.detach())

    def look(self, tensors: Mapping[str, Tensor], targets: Tensor) -> Mapping[str, float]:
        """The squared error as ``loss`` has it; ``mse`` as the figures have it."""
        squares = (tensors["forecast"] - self._normalised(targets)).square()
        unit = self.std[0] ** 2 if len(self.classes) == 1 else 1.0
        return {"loss": float(squares.mean()), "mse": float(squares.mean()) * unit}

    def _normalised(self, futures_nhf: Tensor) -> Tensor:
        return (futures_nhf - futures_nhf.new_tensor(self.mean)) / futures_nhf.new_tensor(self.std)

    def answers(self, tensors: Mapping[str, Tensor], views: Sequence[View]) -> Sequence[Answer[Future]]:
        """The forecasts with their bounds, where they are known, and what the plain ways say."""
        rows = zip(*(tensors[name] for name in TENSORS), strict=True)
        answers = [Answer(value=Future(values=said, linear=linear, naive=naive)) for said, linear, naive in rows]
        return [self._bounded(a, LEVELS.index(USUAL)) for a in answers] if len(self.quantiles) > 4 else answers

    def _bounded(self, answer: Answer[Future], level: int) -> Answer[Future]:
        value, far = answer.value, torch.tensor(self.quantiles[level])
        bounds = replace(value, low=value.values - far, high=value.values + far, confidence=LEVELS[level])
        return replace(answer, value=bounds)

    def metrics(self) -> Sequence[Metric[Future]]:
        return [ForecastError(self.classes, horizon=self.horizon, spread=self.std)]

    def details(self, answers: Sequence[Answer[Future]], targets: Sequence[Future]) -> Mapping[str, Any]:
        """``steps``: for each step ahead the mean squared error of the forecast and of the plain ways."""
        truth = self.collate(targets)
        unit = truth.new_tensor(self.std if len(self.classes) > 1 else (1.0,))
        said: dict[str, list[Tensor | None]] = {
            "mse": [a.value.values for a in answers],
            "linear": [a.value.linear for a in answers],
            "naive": [a.value.naive for a in answers],
        }
        table: dict[str, list[float]] = {}
        for name, parts in said.items():
            known = [part for part in parts if part is not None]
            if known and len(known) == len(truth):
                table[name] = ((torch.stack(known) - truth) / unit).double().square().mean((0, 2)).tolist()
        steps = [{"step": k + 1, **{name: row[k] for name, row in table.items()}} for k in range(self.horizon)]
        return {"window": self.window, "horizon": self.horizon, "steps": steps}

    def calibrated(
        self, tensors: Mapping[str, Tensor], targets: Sequence[Target], views: Sequence[View] = ()
    ) -> "Forecast":
        """This task with quantiles of how far off its forecasts of held-out examples are, by step and column."""
        missed = (self.head(tensors)["forecast"] - self.collate(targets)).abs()
        return Forecast(classes=self.classes, **{**self.arguments(), "quantiles": conformal_tables(missed)})

    def doubt(self, answer: Answer[Future], *, threshold: float | None, confidence: float | None) -> Answer[Future]:
        """The answer with bounds for ``confidence``, or the next level above it.

        Raises UsageError for ``threshold``, DataError where too few examples were held out to promise as much.
        """
        if threshold is not None:
            raise UsageError("--threshold with a forecast, which has no score", hint="leave it out")
        if confidence is None:
            return answer
        level = next((k for k, known in enumerate(LEVELS) if known >= confidence - 1e-9), len(LEVELS))
        if level >= len(self.quantiles):
            most = f"at most {LEVELS[len(self.quantiles) - 1]:g}" if self.quantiles else ""
            raise DataError(f"this model cannot promise a confidence of {confidence:g}", expected=most)
        return self._bounded(answer, level)

    def relabel(self, target: Target, places: Mapping[int, int]) -> Future:
        """The target with its columns in another order. Raises DataError for what is no series."""
        if not isinstance(target, Future):
            raise DataError("the data is no series to foretell, the model foretells one", expected="a file of numbers")
        if not places:
            return target
        order = torch.tensor(sorted(places, key=places.__getitem__))
        parts = {name: getattr(target, name) for name in ("values", "linear", "naive", "low", "high")}
        return replace(target, **{name: part[:, order] for name, part in parts.items() if part is not None})

    def alike(
        self, ours: Answer[Future], theirs: Answer[Future], *, overlap: float, within: float, least: float
    ) -> Alike:
        """The same numbers, in units of the deviation."""
        apart = (ours.value.values - theirs.value.values).abs() / torch.tensor(self.std)
        return Alike(same=int(float(apart.max()) <= within), of=1, score=float(apart.max()))

    def reorder(self, answer: Answer[Future], places: Mapping[int, int]) -> Answer[Future]:
        return replace(answer, value=self.relabel(answer.value, places))

    def arguments(self) -> dict[str, Any]:
        """What a bundle stores of it, beside the names of the columns."""
        return {
            "window": self.window,
            "horizon": self.horizon,
            "mean": list(self.mean),
            "std": list(self.std),
            "quantiles": [[list(row) for row in table] for table in self.quantiles],
        }

    def draw(self, image: Tensor, answer: Answer[Future]) -> bytes:
        """The steps T×F that the model saw, then the forecast with its bounds, as PNG."""
        seen = image.float() if image.ndim == 2 else image.new_empty(0, len(self.classes), dtype=torch.float32)
        value = answer.value
        return forecast_plot(self.classes, seen, value.values, value.low, value.high)

    def to_json(self, answer: Answer[Future]) -> Mapping[str, object]:
        """``answers`` has each step ahead of each column, with its bounds where they are known."""
        value = answer.value
        low, high = (bound.tolist() if bound is not None else None for bound in (value.low, value.high))
        answers: list[dict[str, object]] = []
        for k, row in enumerate(value.values.tolist()):
            for c, number in enumerate(row):
                one: dict[str, object] = {"step": k + 1, "column": self.classes[c], "value": _short(number)}
                if low is not None and high is not None:
                    one |= {"low": _short(low[k][c]), "high": _short(high[k][c])}
                answers.append(one)
        found: dict[str, object] = {"answers": answers, "abstain": answer.abstain is not None}
        return found if value.confidence is None else {**found, "confidence": value.confidence}


def conformal_tables(missed_nhf: Tensor) -> list[list[list[float]]]:
    """For each of LEVELS, how far off a forecast is at most so often, h×F, from N that were held out.

    The ⌈(N + 1) · level⌉-th smallest, which keeps the promise for the next one too; levels that N is too small for are
    left out.

    >>> conformal_tables(torch.arange(1.0, 10.0).view(9, 1, 1))
    [[[5.0]], [[6.0]], [[7.0]], [[8.0]], [[9.0]]]
    """
    ordered, n = missed_nhf.sort(0).values, len(missed_nhf)
    ranks = [-(-round((n + 1) * level * 1000) // 1000) for level in LEVELS]
    return [[[_short(v) for v in row] for row in ordered[rank - 1].tolist()] for rank in ranks if rank <= n]


def _short(number: float) -> float:
    """Seven digits, which is what a float32 has."""
    return float(f"{number:.7g}")
