"""McNemar's test against scipy's binomial, an enumeration of all sign flips, and published tables."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from visto.metrics import McNemar, images_needed, mcnemar


def pairs(only_first: int, only_second: int, both: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    first = torch.tensor([True] * only_first + [False] * only_second + [True] * both)
    second = torch.tensor([False] * only_first + [True] * only_second + [True] * both)
    return first, second


@given(only_first=st.integers(0, 300), only_second=st.integers(0, 300))
def test_p_is_the_binomials_mid_p(only_first: int, only_second: int) -> None:
    """The exact two-sided p, less the chance of just these counts (Fagerland et al. 2013)."""
    found = mcnemar(*pairs(only_first, only_second))
    n = only_first + only_second
    if only_first == only_second:
        assert found == McNemar(only_first=only_first, only_second=only_second, p=1.0)
        return
    wanted = binomtest(only_first, n, 0.5).pvalue - binom.pmf(only_first, n, 0.5)
    assert found.p == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_published_example() -> None:
    """Airway hyper-responsiveness in 21 children, 1 against 7: mid-p 0.039 (Fagerland et al. 2013)."""
    assert mcnemar(*pairs(1, 7)).p == pytest.approx(0.039, abs=5e-4)


def test_many_images_meet_the_chi_square() -> None:
    """10,000 against 10,300: the normal approximation without a correction, which the mid-p tends to."""
    z = 300 / np.sqrt(20300)
    assert mcnemar(*pairs(10_000, 10_300)).p == pytest.approx(2 * (1 - _phi(z)), rel=1e-3)


def _phi(z: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(z))


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdef")), min_size=1, max_size=24))
def test_groups_go_one_way_or_the_other_whole(data: list[tuple[bool, bool, str]]) -> None:
    first, second = torch.tensor([row[0] for row in data]), torch.tensor([row[1] for row in data])
    groups = [row[2] for row in data]
    sums = [
        sum(int(y) - int(x) for x, y, g in data if g == group)  # this group's images that only the second has right
        for group in sorted(set(groups))
    ]
    flips = [
        abs(sum(s * d for s, d in zip(sign, sums, strict=True)))
        for sign in itertools.product((1, -1), repeat=len(sums))
    ]
    seen = abs(sum(sums))
    wanted = 1.0 if seen == 0 else np.mean([1.0 if f > seen else 0.5 if f == seen else 0.0 for f in flips])
    assert mcnemar(first, second, groups=groups).p == pytest.approx(wanted, abs=1e-12)
    turned = mcnemar(second, first, groups=groups)
    assert turned.p == mcnemar(first, second, groups=groups).p


def test_groups_make_it_less_sure() -> None:
    first, second = pairs(2, 12)
    alone = mcnemar(first, second, groups=[None] * len(first))
    assert alone == mcnemar(first, second)
    together = mcnemar(first, second, groups=["a"] * 2 + ["b"] * 6 + ["c"] * 6 + [None] * 3)
    assert together.p > alone.p


def test_nothing_to_tell_apart() -> None:
    assert mcnemar(*pairs(0, 0)) == McNemar(only_first=0, only_second=0, p=1.0)
    assert mcnemar(*pairs(0, 0, both=0)).p == 1.0
    with pytest.raises(ValueError, match="2 and 3 images"):
        mcnemar(torch.ones(2).bool(), torch.ones(3).bool())


def test_images_needed_find_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    measured = McNemar(only_first=40, only_second=60, p=0.05)
    n = images_needed(measured, 1000)
    assert n is not None
    found = 0
    for _ in range(300):
        counts = rng.multinomial(n, [0.04, 0.06, 0.9])
        found += mcnemar(*pairs(int(counts[0]), int(counts[1]))).p < 0.05
    assert 0.72 <= found / 300 <= 0.88
    assert images_needed(McNemar(only_first=4, only_second=4, p=1.0), 100) is None
