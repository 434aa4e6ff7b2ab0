"""Pairs with a gate against every pairing there is."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from visto.ops.assignment import assigned, assigned_most

Costs = NDArray[np.float64]


def _pairings(n: int, m: int) -> list[list[tuple[int, int]]]:
    """Every choice of rows and columns, each at most once."""
    found: list[list[tuple[int, int]]] = []
    for k in range(min(n, m) + 1):
        for rows in itertools.combinations(range(n), k):
            found += [list(zip(rows, columns, strict=True)) for columns in itertools.permutations(range(m), k)]
    return found


def _costs(seed: int) -> Costs:
    rng = np.random.default_rng(seed)
    costs = rng.random((rng.integers(0, 5), rng.integers(0, 5)))
    costs[rng.random(costs.shape) < 0.2] = np.inf
    return costs


@pytest.mark.parametrize("seed", range(40))
def test_gated(seed: int) -> None:
    costs, limit = _costs(seed), 0.6
    n, m = costs.shape

    def total(pairs: list[tuple[int, int]]) -> float:
        return sum(float(costs[i, j]) for i, j in pairs) + limit / 2 * float(n + m - 2 * len(pairs))

    rows, columns = assigned(costs, limit)
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    assert total(pairs) == pytest.approx(min(map(total, _pairings(n, m))))
    assert all(costs[i, j] < limit for i, j in pairs)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(set(columns.tolist())) == len(columns)


@pytest.mark.parametrize("seed", range(40))
def test_as_many_as_can_be(seed: int) -> None:
    costs = _costs(seed)
    allowed = [p for p in _pairings(*costs.shape) if all(np.isfinite(costs[i, j]) for i, j in p)]
    most = max(map(len, allowed))
    rows, columns = assigned_most(costs)
    assert len(rows) == most
    best = min(sum(costs[i, j] for i, j in p) for p in allowed if len(p) == most)
    assert costs[rows, columns].sum() == pytest.approx(best)


def test_nan_is_no_pair() -> None:
    assert assigned(np.array([[np.nan]]), 1.0)[0].tolist() == []
