"""About the nearest orthogonal matrix, by Newton-Schulz iteration (the heart of the optimiser Muon)."""

import torch
from torch import Tensor

from visto.learn.engine import has_fast_bf16

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic iteration: as steep as can be at zero (Jordan et al. 2024)
_STEPS = 3


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix (M×N) with the singular vectors of ``matrix`` and singular values brought near 1.

    Three steps leave small singular values small, which costs no accuracy here. In bf16 where the hardware has it: a
    hundredth of a step's work. Without, bf16 is emulated, 38 times slower, and the iteration stays in fp32.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    kind = torch.bfloat16 if has_fast_bf16(matrix.device.type) else torch.float32
    x = (matrix.T if tall else matrix).to(kind)
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    out: Tensor = (x.T if tall else x).to(matrix.dtype)
    return out
