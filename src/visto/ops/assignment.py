"""Who belongs to whom: pairs of rows and columns with the least total cost, none of them too dear."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def assigned(costs_nm: NDArray[np.float64], limit: float) -> tuple[Rows, Rows]:
    """Rows and their columns, each at most once, ascending by row, every pair cheaper than ``limit``.

    What is left unpaired costs ``limit`` / 2 for each row and each column (so ``lap.lapjv`` reads its ``cost_limit``):
    a pair is made where it is worth it, and not to pair as many as can be. A cost of infinity or NaN forbids a pair.

    >>> assigned(np.array([[0.1, 0.3], [0.2, 0.9]]), 0.7)
    (array([0, 1]), array([1, 0]))
    >>> assigned(np.array([[0.1, 0.6], [0.2, 0.9]]), 0.65)
    (array([0]), array([0]))
    """
    from scipy.optimize import linear_sum_assignment

    # saving a pair brings over leaving both alone; none is a free choice, dropped below
    savings = np.where(costs_nm < limit, costs_nm - limit, 0.0)
    rows, columns = linear_sum_assignment(savings)
    worth = savings[rows, columns] < 0
    return rows[worth].astype(np.int64), columns[worth].astype(np.int64)


def assigned_most(costs_nm: NDArray[np.float64]) -> tuple[Rows, Rows]:
    """As many pairs of finite cost as can be, and of those choices the cheapest; ascending by row.

    >>> assigned_most(np.array([[0.1, 0.9], [0.2, np.inf]]))
    (array([0, 1]), array([1, 0]))
    """
    finite = np.isfinite(costs_nm)
    spread = 1 + 2 * float(np.abs(costs_nm[finite]).max(initial=0))
    return assigned(np.where(finite, costs_nm, np.inf), spread * (1 + min(costs_nm.shape)))
