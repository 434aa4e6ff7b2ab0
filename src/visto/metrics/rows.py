"""What all metrics over images share: columns kept by row, weighed in many ways at once.

A metric keeps only the columns it needs (accuracy two integers an image, not K scores), so that a test set of
ImageNet's size stays small in memory. All resamples of a bootstrap are computed together: ``compute_many`` takes
weights N×R, one column a resample, and images run down the first axis because sums over images are then whole rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from visto.errors import ModelError

V = TypeVar("V")
S = TypeVar("S")

Proportions = Mapping[str, tuple[Tensor, Tensor]]


def bag_sums(values_nr: Tensor, order: Tensor, starts: Tensor) -> Tensor:
    """Sum the rows ``values_nr[order]`` in B bags, each from its start to the next: B×R.

    One threaded pass without a copy of the gathered rows: index_add_ takes ten times as long.
    """
    return embedding_bag(order, values_nr, starts, mode="sum")


def class_sums(values_nr: Tensor, groups_n: Tensor, count: int) -> Tensor:
    """Sum the rows of N×R values by group, count×R; rows of a group ``count`` or above are left out.

    >>> class_sums(torch.tensor([[1.0], [2.0], [4.0], [8.0]]), torch.tensor([0, 1, 0, 3]), 3).flatten().tolist()
    [5.0, 2.0, 0.0]
    """
    groups, order = groups_n.sort(stable=True)
    starts = torch.searchsorted(groups, torch.arange(count + 1))
    return bag_sums(values_nr, order[: int(starts[-1])], starts[:-1])


def member_sums(values_nr: Tensor, members_nk: Tensor) -> Tensor:
    """Sum the rows of N×R values over the members (boolean N×K) of each of K sets, which may overlap: K×R.

    >>> member_sums(torch.tensor([[1.0], [2.0]]), torch.tensor([[True, True], [False, True]])).flatten().tolist()
    [1.0, 3.0]
    """
    sets, order = members_nk.T.nonzero(as_tuple=True)
    return bag_sums(values_nr, order, torch.searchsorted(sets, torch.arange(members_nk.shape[1])))


class RowMetric(ABC, Generic[V, S]):
    """A metric over answers and truths of type V, stacked as S. A class derived from it says what it keeps of each
    image and how it weighs that.

    Weights belong to the images in ascending order of row, in whatever order the batches came.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        if len(set(classes)) != len(classes) or not classes:
            raise ValueError("classes must be unique names, at least one")
        self.classes = tuple(classes)
        self._parts: list[Mapping[str, Tensor]] = []
        self._columns: Mapping[str, Tensor] | None = None

    @abstractmethod
    def stack(self, predictions: Sequence[V], targets: Sequence[V]) -> S:
        """Answers and truths as tensors. Raises ValueError where they do not match, ModelError for NaN scores."""

    @abstractmethod
    def keep(self, stacked: S) -> Mapping[str, Tensor]:
        """The columns this metric needs, each with N rows."""

    @abstractmethod
    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        """Each figure for R weightings (float64 N×R, N ≥ 1): R values, NaN where a weighting leaves it undefined."""

    def proportions(self, weights_nr: Tensor) -> Proportions:
        """Successes and trials (R each) of those figures that are plain proportions, for R weightings (N×R)."""
        return {}

    def update(self, rows: Tensor, predictions: Sequence[V], targets: Sequence[V]) -> None:
        """Add a batch. Raises ValueError where the lengths differ, ModelError for scores that are not finite."""
        if len(predictions) != len(targets):
            raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")
        stacked = self.stack(predictions, targets)
        if tuple(rows.shape) != (len(targets),):
            raise ValueError(f"{tuple(rows.shape)} rows for {len(targets)} predictions")
        self._parts.append({"row": rows.detach().cpu().to(torch.int64), **self.keep(stacked)})
        self._columns = None

    def compute(self, weights: Tensor | None = None) -> Mapping[str, float]:
        """The figures for one weighting (N floats ≥ 0; None: all 1); a figure that is not defined is left out.

        A weight of 0 is the same as not having seen the image. Raises ValueError for weights of another length,
        negative or not finite.
        """
        n = len(self.rows)
        weights = torch.ones(n) if weights is None else weights.detach().cpu()
        if tuple(weights.shape) != (n,):
            raise ValueError(f"weights of shape {tuple(weights.shape)}, expected ({n},)")
        if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
            raise ValueError("weights must be finite and not negative")
        if n == 0:
            return {}
        values = {name: float(value) for name, value in self.compute_many(weights.double()[:, None]).items()}
        return {name: value for name, value in values.items() if value == value}

    @property
    def rows(self) -> Tensor:
        """The rows seen, ascending (N int64). Raises ValueError where an image was given twice."""
        return self.columns["row"]

    @property
    def columns(self) -> Mapping[str, Tensor]:
        """What was kept of all batches, in order of row."""
        if self._columns is None:
            nothing = {"row": torch.zeros(0, dtype=torch.int64), **self.keep(self.stack([], []))}
            parts = self._parts or [nothing]
            joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            order = joined["row"].argsort(stable=True)
            columns = {name: column[order] for name, column in joined.items()}
            if bool((columns["row"].diff() == 0).any()):
                raise ValueError("an image was given twice to the same metric")
            self._parts, self._columns = [columns], columns
        return self._columns


def stacked_scores(rows: Sequence[Tensor | None], *, classes: int) -> Tensor:
    """The scores of N answers, N×K float32 or float64. Raises ValueError where one has not ``classes`` scores."""
    known = [row for row in rows if row is not None and tuple(row.shape) == (classes,)]
    if len(known) != len(rows):
        raise ValueError(f"a prediction does not carry {classes} scores")
    scores = torch.stack(known).detach().cpu() if known else torch.zeros(0, classes)
    return scores if scores.dtype in (torch.float32, torch.float64) else scores.float()


def check_finite(scores: Tensor) -> None:
    """Raise ModelError where a score is not a number."""
    if not bool(torch.isfinite(scores).all()):
        raise ModelError(
            "the model answers with scores that are not numbers",
            expected="finite scores",
            hint="train it again with a lower learning rate",
        )
