"""The interval of a plain proportion, right also for few images and for none or all of them correct."""

from statistics import NormalDist

import torch
from torch import Tensor


def wilson(successes: Tensor, trials: Tensor, *, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Bounds of the proportion behind ``successes`` of ``trials``, of any one shape; NaN where there are no trials.

    Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*.

    >>> low, high = wilson(torch.tensor(9.0), torch.tensor(10.0))
    >>> f"{low:.3f} {high:.3f}"
    '0.596 0.982'
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)).sqrt() / (1 + z * z / trials)
    # at the ends the bound is exact; rounding would leave 1e-18 below 0
    low = torch.where(successes <= 0, share, centre - half)
    high = torch.where(successes >= trials, share, centre + half)
    return low, high
