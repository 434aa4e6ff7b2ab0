"""What a head learns from held-out images after training: how far to soften its scores, and where yes begins."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST_IMAGES = 20  # below, a temperature has too little to be fitted to
_FEWEST_OF_EACH = 5  # images with and without a class: below, its threshold stays at a half
_RESAMPLES = 25
_EDGE = 1e-6  # scores are taken to lie this far from 0 and 1


def best_temperature(cost: Callable[[float], float]) -> float:
    """The temperature in 0.05–20 whose inverse has the least ``cost``, a convex function, by golden-section search.

    >>> best_temperature(lambda inverse: (inverse - 0.5) ** 2)
    2.0
    """
    low, high, ratio = 0.05, 20.0, (5**0.5 - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if cost(a) < cost(b):
            high = b
        else:
            low = a
    return round(2 / (low + high), 6)


def fit_sigmoid_temperature(logits_nk: Tensor, members_nk: Tensor) -> float:
    """One temperature for all K classes, with the least binary cross-entropy (Guo et al. 2017, for yes and no).

    ``members_nk`` is 1 where an image has the class, else 0. Each is smoothed towards a half by 1 / (N·K + 2), as if
    one decision more had been wrong. 1 for under 20 images.
    """
    if len(logits_nk) < _FEWEST_IMAGES:
        return 1.0
    logits, share = logits_nk.double(), 1 / (logits_nk.numel() + 2)
    soft = members_nk.double() * (1 - share) + share / 2
    return best_temperature(lambda inverse: float(F.binary_cross_entropy_with_logits(logits * inverse, soft)))


def fit_thresholds(scores_nk: Tensor, members_nk: Tensor) -> list[float]:
    """For each class the score (0–1) from which yes has the best F1 on held-out images (Lipton et al. 2014).

    The best threshold of one small sample is a matter of luck, so it is the mean, in log-odds, over 25 bootstrap
    resamples, drawn the same each time; of thresholds that are equally good in one, the nearest to a half. 0.5 for a
    class with fewer than 5 images that have it, or that lack it.
    """
    n = len(scores_nk)
    if not n:
        return [0.5] * scores_nk.shape[1]
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(n, (_RESAMPLES, n), generator=random)
    weights_nr = torch.stack([torch.bincount(rows, minlength=n) for rows in drawn], 1).double()
    return [_threshold(s, m.bool(), weights_nr) for s, m in zip(scores_nk.T, members_nk.T, strict=True)]


def _threshold(scores_n: Tensor, members_n: Tensor, weights_nr: Tensor) -> float:
    if min(int(members_n.sum()), int((~members_n).sum())) < _FEWEST_OF_EACH:
        return 0.5
    ordered, order = scores_n.double().sort(descending=True)
    weights = weights_nr[order]
    hits = (weights * members_n[order, None]).cumsum(0)
    f1 = 2 * hits / (weights.cumsum(0) + hits[-1]).clamp_min(1e-9)
    # a threshold lies between two scores that differ: at a half where that is between them, else midway in log-odds
    high = ordered.clamp(_EDGE, 1 - _EDGE).logit()
    low = torch.cat([high[1:], high.new_tensor([_EDGE]).logit()])
    between = torch.where((low < 0) & (high >= 0), 0.0, (low + high) / 2)[:, None]
    f1 = f1.where((high > low)[:, None], -1.0)
    best = between.abs().where(f1 >= f1.max(0).values - 1e-12, torch.inf).argmin(0)
    return round(float(between[best].mean().sigmoid()), 6)
