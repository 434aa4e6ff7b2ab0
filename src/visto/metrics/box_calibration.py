"""How far the scores of boxes are to be believed: what makes of a score the chance that the box is right."""

from collections.abc import Sequence

import numpy as np

from visto.metrics.box_matching import ALL, Array, match_boxes
from visto.types import Boxes

_OVERLAP = 0.5
_FEWEST = 20  # hits, and errors: below, a curve has too little to be fitted to
_EDGE = 1e-6  # scores are taken to lie this far from 0 and 1
_STEPS = 50
_NEAR = 1e-9


def fit_box_scores(predictions: Sequence[Boxes], targets: Sequence[Boxes]) -> tuple[float, float]:
    """``temperature`` and ``shift`` for which sigmoid(logit(score) / temperature + shift) is the chance to be right.

    Right is a box that finds a target of its class with an IoU of at least 0.5, on held-out images (Platt 1999; as in
    his paper the labels are smoothed by the number of each kind). The order of the scores stays. (1, 0), which changes
    nothing, for fewer than 20 hits or errors, or where higher scores are not more often right.
    """
    matches = match_boxes(predictions, targets, thresholds=[_OVERLAP], ranges=ALL)
    counts = matches.counts[:, 0, 0]
    hit = matches.hit[:, 0, 0][counts].astype(np.float64)
    right, wrong = int(hit.sum()), int(len(hit) - hit.sum())
    if min(right, wrong) < _FEWEST:
        return 1.0, 0.0
    score = np.clip(matches.score[counts].astype(np.float64), _EDGE, 1 - _EDGE)
    odds = np.stack([np.log(score / (1 - score)), np.ones_like(score)], axis=1)
    wanted = np.where(hit > 0, (right + 1) / (right + 2), 1 / (wrong + 2))
    weights = np.array([1.0, 0.0])
    for _ in range(_STEPS):  # Newton's: the log-loss is convex
        chance = np.exp(-np.logaddexp(0, -odds @ weights))  # as SciPy's expit
        slope = odds.T @ (chance - wanted)
        bend = (odds * (chance * (1 - chance))[:, None]).T @ odds + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        loss = _log_loss(odds @ weights, wanted)
        while np.abs(step).max() > _NEAR and not _log_loss(odds @ (weights - step), wanted) <= loss:
            step = step / 2  # it had gone too far
        weights = weights - step
        if np.abs(step).max() <= _NEAR:
            break
    steep, shift = weights.tolist()
    if not (np.isfinite(weights).all() and 0.05 < steep < 20):
        return 1.0, 0.0
    return round(1 / steep, 6), round(shift, 6)


def _log_loss(odds_d: Array, wanted_d: Array) -> float:
    return float(np.mean(np.logaddexp(0, odds_d) - wanted_d * odds_d))
