"""Scores of classes that stand in one order, as scores of the same classes in another."""

from collections.abc import Mapping

import torch
from torch import Tensor


def reordered(scores_k: Tensor | None, places: Mapping[int, int]) -> Tensor | None:
    """K scores, each moved to the place that ``places`` has for its own.

    >>> reordered(torch.tensor([0.7, 0.2, 0.1]), {0: 2, 1: 0, 2: 1}).tolist()
    [0.20000000298023224, 0.10000000149011612, 0.699999988079071]
    """
    if scores_k is None:
        return None
    order = sorted(places, key=places.__getitem__)
    return scores_k[torch.tensor(order)]
