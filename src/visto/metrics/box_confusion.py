"""Which class of object is taken for which, and what is missed or imagined."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visto.metrics.box_matching import ALL, Array, above, check_boxes, match_boxes
from visto.metrics.box_precision_recall import OVERLAP
from visto.types import Boxes


def _labels(boxes: Sequence[Boxes]) -> Array:
    return np.concatenate([np.zeros(0, np.int64), *(b.labels.detach().cpu().numpy() for b in boxes)])


def _unlabelled(boxes: Sequence[Boxes]) -> list[Boxes]:
    return [replace(b, labels=torch.zeros_like(b.labels)) for b in boxes]


def box_confusion(predictions: Sequence[Boxes], targets: Sequence[Boxes], *, classes: int, threshold: float) -> Tensor:
    """Counts of boxes, int64 (K+1)×(K+1): the row is the true class, the column the predicted one, the last of both
    the background.

    The last column so holds what was missed, the last row what was imagined. All detections of an image with a score
    of at least ``threshold`` choose one after the other, the highest score first, the free target with the largest
    IoU of at least 0.5, whatever its class: one that is taken by a detection of a wrong class is gone for a later one
    of the right class, and so the diagonal can hold fewer hits than recall counts. Ignored targets, and the
    detections that find nothing else, are left out.
    """
    check_boxes(predictions, targets, classes=classes)
    chosen = above(predictions, threshold)
    most = max((len(boxes) for boxes in chosen), default=0)
    matches = match_boxes(_unlabelled(chosen), _unlabelled(targets), thresholds=[OVERLAP], ranges=ALL, most=most)
    predicted, wanted = _labels(chosen)[matches.place], _labels(targets)
    hit, counts, target = matches.hit[:, 0, 0], matches.counts[:, 0, 0], matches.target[:, 0, 0]
    missed = matches.asked[:, 0].copy()
    missed[target[hit]] = False
    table = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(table, (wanted[target[hit]], predicted[hit]), 1)
    np.add.at(table[classes], predicted[counts & ~hit], 1)
    np.add.at(table[:, classes], wanted[missed], 1)
    return torch.from_numpy(table)
