"""How often the answer is right: accuracy, top-k accuracy, and accuracy with every class counting the same."""

from collections.abc import Mapping

import torch
from torch import Tensor

from visto.metrics.rows import Proportions, class_sums
from visto.metrics.scored import Scored, ScoredMetric


def top_k(classes: int) -> int | None:
    """The k that says something about this many classes: 5, or 2 for a few classes, or none.

    >>> [top_k(n) for n in (2, 3, 5, 6, 1000)]
    [None, 2, 2, 5, 5]
    """
    return 5 if classes > 5 else 2 if classes > 2 else None


def target_ranks(scored: Scored) -> Tensor:
    """How many classes stand before the true one (N int64); among equal scores the later class stands first.

    The order of ties is scikit-learn's: a model that scores all classes alike is then right by chance only.
    """
    own = scored.scores.gather(1, scored.targets[:, None])
    later = torch.arange(scored.scores.shape[1]) > scored.targets[:, None]
    return ((scored.scores > own) | ((scored.scores == own) & later)).sum(dim=1)


class Accuracy(ScoredMetric):
    """``accuracy``, ``balanced_accuracy`` and, with three classes or more, ``top2_accuracy`` or ``top5_accuracy``.

    Balanced accuracy is the mean recall of the classes that have images (Brodersen et al. 2010).
    """

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        return {"correct": scored.correct, "rank": target_ranks(scored), "target": scored.targets}

    def _hits(self) -> dict[str, Tensor]:
        k = top_k(len(self.classes))
        hits = {"accuracy": self.columns["correct"]}
        return hits if k is None else {**hits, f"top{k}_accuracy": self.columns["rank"] < k}

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        total = weights_nr.sum(dim=0)
        figures = {name: hit.double() @ weights_nr / total for name, hit in self._hits().items()}
        targets, classes = self.columns["target"], len(self.classes)
        support = class_sums(weights_nr, targets, classes)
        right = class_sums(weights_nr, targets.where(self.columns["correct"], classes), classes)
        return {**figures, "balanced_accuracy": (right / support).nanmean(dim=0)}

    def proportions(self, weights_nr: Tensor) -> Proportions:
        total = weights_nr.sum(dim=0)
        return {name: (hit.double() @ weights_nr, total) for name, hit in self._hits().items()}
