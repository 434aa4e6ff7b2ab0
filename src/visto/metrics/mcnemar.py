"""Is the one more often right than the other? McNemar's test on the images where only one of the two is right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from torch import Tensor

from visto.metrics.intervals import Groups, group_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Images that only the first, or only the second has right, and the two-sided p-value (0–1)."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: Tensor, second: Tensor, *, groups: Groups | None = None) -> McNemar:
    """Compare which of the same N images each has right (boolean N).

    If neither were better, each image that only one has right would be the first's or the second's with equal
    chance. The p-value is exact, in its mid-p form (counts as far apart as those seen weigh half), which Fagerland,
    Lydersen and Laake 2013, *The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than
    exact conditional*, recommend for few images and many. Equal counts have a p of 1.

    Images of one of the ``groups`` (N names) stand or fall together: then it is each group's difference that goes one
    way or the other (a test of sign flips, Fisher 1935), which for single images is the same test.

    >>> from torch import tensor
    >>> mcnemar(tensor([True, True, False]), tensor([True, False, True]))
    McNemar(only_first=1, only_second=1, p=1.0)

    Raises ValueError where the lengths differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} and {len(second)} images")
    step = second.int() - first.int()
    sums = np.bincount(group_numbers(groups, len(step)), weights=step.numpy()).astype(np.int64)
    return McNemar(
        only_first=int((step < 0).sum()),
        only_second=int((step > 0).sum()),
        p=_flip_p(np.abs(sums[sums != 0]).tolist(), abs(int(sums.sum()))),
    )


def _flip_p(sizes: Sequence[int], seen: int) -> float:
    """Two-sided mid-p of a sum of ``sizes`` (each 1 or more) as far from 0 as ``seen``, each + or − by chance.

    >>> _flip_p([1] * 5, 5), _flip_p([5], 5)
    (0.03125, 0.5)
    """
    if seen == 0:
        return 1.0
    ones, reach = sum(size == 1 for size in sizes), sum(sizes)
    chances = np.zeros(2 * reach + 1)  # of the sums −reach, …, reach
    logs = [math.lgamma(k + 1) for k in range(ones + 1)]
    chances[reach - ones : reach + ones + 1 : 2] = [
        math.exp(logs[ones] - logs[k] - logs[ones - k] - ones * math.log(2)) for k in range(ones + 1)
    ]
    for size in sizes:
        if size > 1:
            chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return min(1.0, float(2 * chances[reach + seen + 1 :].sum() + chances[reach + seen]))


def images_needed(result: McNemar, n: int, *, power: float = 0.8) -> int | None:
    """How many images would show a difference as large as the one among these ``n``, ``power`` of the time.

    At p < 0.05, two-sided (Connor 1987, *Sample Size for Testing Differences in Proportions for the Paired-Sample
    Design*). None where there is no difference. The measured difference is itself uncertain: a rough guide.

    >>> images_needed(McNemar(only_first=10, only_second=20, p=0.07), 100)
    234
    """
    apart = (result.only_second - result.only_first) / n if n else 0.0
    if apart == 0:
        return None
    discordant = (result.only_second + result.only_first) / n
    sure, likely = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(power)
    root = sure * math.sqrt(discordant) + likely * math.sqrt(discordant - apart * apart)
    return math.ceil((root / apart) ** 2)
