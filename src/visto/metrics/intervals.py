"""Figures with 95 % intervals: Wilson for plain proportions, else the bootstrap over images or groups.

The percentile bootstrap (Efron and Tibshirani 1993) draws as many images as there are, with replacement, 1,000
times. Images of one patient, scene or clip are not independent: where groups are given whole groups are drawn
(Field and Welsh 2007), and the interval grows to what the data can bear. With fewer than about ten groups it is
still too narrow. Resample r is a function of (seed, r) alone, so that two recognisers meet the same resamples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from visto.metrics.rows import Proportions, RowMetric
from visto.metrics.wilson import wilson
from visto.types import Figure, Metric

LEVEL = 0.95
Groups = Sequence[str | None]
ComputeMany = Callable[[Tensor], Mapping[str, Tensor]]

# 0 and 1 are other ends for them than for a share of images
_NO_SHARES = ("kappa",)

# float64 weights of one chunk: 40 MB
_CHUNK = 5_000_000


@runtime_checkable
class Batched(Protocol):
    """A metric that computes R weightings (N×R) at once: R values a figure, NaN where undefined."""

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]: ...


@runtime_checkable
class Proportional(Protocol):
    """A metric some of whose figures are plain proportions: their successes and trials for R weightings (N×R)."""

    def proportions(self, weights_nr: Tensor) -> Proportions: ...


def compute_many(metric: Metric[Any], weights_nr: Tensor) -> Mapping[str, Tensor]:
    """``metric.compute`` for each of R weightings: all at once where the metric can, else one by one."""
    if isinstance(metric, Batched):
        return metric.compute_many(weights_nr)
    each = [metric.compute(weights) for weights in weights_nr.T]
    names = {name: None for values in each for name in values}
    return {name: torch.tensor([values.get(name, torch.nan) for values in each]).double() for name in names}


def group_numbers(groups: Groups | None, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number from 0 for the group of each image; None is a group of its own.

    >>> group_numbers(["a", None, "a", None], 4).tolist()
    [0, 1, 0, 2]

    Raises ValueError where there are not N groups.
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} images")
    numbers: dict[object, int] = {}
    keys = [(i, None) if group is None else group for i, group in enumerate(groups)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def weightings(n: int, *, resamples: int = 1000, seed: int = 0, groups: Groups | None = None) -> Iterator[Tensor]:
    """How often each image is drawn in each resample: float64 N×r, in chunks that sum to ``resamples`` columns."""
    numbers = group_numbers(groups, n)
    count = int(numbers.max()) + 1 if n else 0
    step = max(1, min(500, _CHUNK // max(n, 1)))
    for start in range(0, resamples, step):
        drawn = np.empty((count, min(step, resamples - start)))
        for column in range(drawn.shape[1]):
            generator = np.random.default_rng([seed, start + column])
            drawn[:, column] = np.bincount(generator.integers(0, count, count), minlength=count)
        yield torch.from_numpy(drawn if groups is None else drawn[numbers])


def bootstrap(
    compute: ComputeMany, n: int, *, resamples: int = 1000, seed: int = 0, groups: Groups | None = None
) -> dict[str, Tensor]:
    """Each figure in each resample: ``resamples`` float64 values, NaN where the resample leaves it undefined."""
    if n == 0:
        return {}
    chunks: dict[str, list[Tensor]] = {}
    done = 0
    for weights_nr in weightings(n, resamples=resamples, seed=seed, groups=groups):
        count = weights_nr.shape[1]
        for name, values in compute(weights_nr).items():
            before = chunks.setdefault(name, [torch.full((done,), torch.nan).double()] if done else [])
            before.append(values)
        done += count
        for parts in chunks.values():  # a figure may be missing from a whole chunk
            missing = done - sum(len(part) for part in parts)
            if missing:
                parts.append(torch.full((missing,), torch.nan).double())
    return {name: torch.cat(parts) for name, parts in chunks.items()}


def percentile_figure(value: float, samples: Tensor | None) -> Figure:
    """The value with the 2.5 % and 97.5 % points of its resamples, widened where needed to hold the value.

    A biased figure (calibration error) can lie outside its own resamples. There are no bounds where fewer than half
    of the resamples define the figure, or where all agree: then nothing in the data speaks of the doubt, and a
    width of zero would claim certainty.
    """
    known = np.zeros(0) if samples is None else samples[samples.isfinite()].numpy()
    if samples is None or 2 * len(known) < len(samples) or len(known) == 0:
        return Figure(value=value)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    low, high = min(low, value), max(high, value)
    if high - low <= 1e-12 * max(1.0, abs(value)):
        return Figure(value=value)
    return Figure(value=value, low=low, high=high)


def _wilson_figure(value: float, successes: float, trials: float) -> Figure:
    if trials <= 0:
        return Figure(value=value)
    low, high = wilson(torch.tensor(successes).double(), torch.tensor(trials).double(), level=LEVEL)
    return Figure(value=value, low=float(low), high=float(high))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def _together(metrics: Sequence[Metric[Any]], weights_nr: Tensor) -> dict[str, Tensor]:
    return {name: values for metric in metrics for name, values in compute_many(metric, weights_nr).items()}


def _shared(groups: Groups | None, n: int) -> Groups | None:
    """The groups, or None where each image is a group of its own."""
    return groups if groups is not None and len(set(group_numbers(groups, n).tolist())) < n else None


def figures(
    metrics: Sequence[Metric[Any]], *, n: int, groups: Groups | None = None, resamples: int = 1000, seed: int = 0
) -> dict[str, Figure]:
    """The figures of all metrics over the same ``n`` images, each with its interval.

    ``groups`` gives each image's group in order of row. Plain proportions of ungrouped images get Wilson's
    interval, everything else the bootstrap. Undefined figures are left out.
    """
    groups = _shared(groups, n)
    values, plain = _values(metrics), _plain(metrics, n) if groups is None else {}
    samples: dict[str, Tensor] = {}
    if any(name not in plain for name in values):
        samples = bootstrap(partial(_together, metrics), n, resamples=resamples, seed=seed, groups=groups)
    return _bounded(values, plain, samples)


def _values(metrics: Sequence[Metric[Any]]) -> dict[str, float]:
    return {name: value for metric in metrics for name, value in _finite(metric.compute()).items()}


def _plain(metrics: Sequence[Metric[Any]], n: int) -> dict[str, tuple[float, float]]:
    """Successes and trials of the plain proportions among the figures."""
    found: dict[str, tuple[float, float]] = {}
    for metric in metrics if n else ():
        if isinstance(metric, Proportional):
            shares = metric.proportions(torch.ones(n, 1).double())
            found |= {name: (float(successes), float(trials)) for name, (successes, trials) in shares.items()}
    return found


def _bounded(
    values: Mapping[str, float], plain: Mapping[str, tuple[float, float]], samples: Mapping[str, Tensor]
) -> dict[str, Figure]:
    known = {name: _wilson_figure(values[name], *plain[name]) for name in plain if name in values}
    known |= {name: percentile_figure(v, samples.get(name)) for name, v in values.items() if name not in plain}
    return {name: known[name] if name in plain else _at_the_edge(name, known) for name in values}


def _at_the_edge(name: str, known: Mapping[str, Figure]) -> Figure:
    """A figure of 0 or 1 whose resamples all agree, with the widest bound of the plain proportions that it rests on.

    Those of its own class, or all of them: an F1 of 1 is no surer than the recall and precision of 1 behind it.
    """
    figure = known[name]
    if figure.low is not None or figure.value not in (0.0, 1.0) or name in _NO_SHARES:
        return figure
    family = [f for other, f in known.items() if "/" not in name or other.split("/", 1)[-1] == name.split("/", 1)[-1]]
    bounds = [(f.low, f.high) for f in family if f.low is not None and f.high is not None and f.value == figure.value]
    if not bounds:
        return figure
    if figure.value == 1.0:
        return Figure(value=1.0, low=min(low for low, _ in bounds), high=1.0)
    return Figure(value=0.0, low=0.0, high=max(high for _, high in bounds))


def _check_same_rows(first: Sequence[Metric[Any]], second: Sequence[Metric[Any]]) -> None:
    rows = [metric.rows for metric in (*first, *second) if isinstance(metric, RowMetric)]
    if any(not torch.equal(rows[0], other) for other in rows[1:]):
        raise ValueError("the two recognisers did not see the same images")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The figures of two recognisers on the same images, and second minus first of those that both have."""

    first: Mapping[str, Figure]
    second: Mapping[str, Figure]
    difference: Mapping[str, Figure]


def paired(
    first: Sequence[Metric[Any]],
    second: Sequence[Metric[Any]],
    *,
    n: int,
    groups: Groups | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Paired:
    """Two recognisers' figures, each as ``figures`` gives it, and their differences with the bootstrap's interval.

    Both are computed on the same resamples of the same images, so what is hard for both cancels out and the
    interval is narrower than the two figures' own. Without bounds where the two never differ. Raises ValueError
    where they did not see the same images.
    """
    _check_same_rows(first, second)
    groups = _shared(groups, n)
    before, after = _values(first), _values(second)
    old = bootstrap(partial(_together, first), n, resamples=resamples, seed=seed, groups=groups)
    new = bootstrap(partial(_together, second), n, resamples=resamples, seed=seed, groups=groups)
    return Paired(
        first=_bounded(before, _plain(first, n) if groups is None else {}, old),
        second=_bounded(after, _plain(second, n) if groups is None else {}, new),
        difference={
            name: percentile_figure(after[name] - value, new[name] - old[name] if name in new and name in old else None)
            for name, value in before.items()
            if name in after
        },
    )
