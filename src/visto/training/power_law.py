"""How error falls with the number of images: error = a + b · images^(-c), fitted to a handful of points.

Error falls by such a law over several doublings of the data, with c from 0.07 to 0.35 for nets on real tasks and up to
0.5 in theory (Hestness et al. 2017). Three numbers from three or four noisy points ask for restraint: a and b may not
be negative, c stays in 0.05–2, and is drawn weakly to a half where the points leave it open.
"""

import math

import torch
from torch import Tensor

_LOWEST, _HIGHEST, _STEPS = 0.05, 2.0, 601  # of c, even in its logarithm
_USUAL, _SPREAD = 0.5, 1.0  # of c, in its logarithm: what it is drawn to, as by one point a standard deviation off


def forecast(images_s: Tensor, errors_sr: Tensor, weights_sr: Tensor, asked: Tensor) -> Tensor:
    """The error at each of ``asked`` numbers of images, Q×R, by the law fitted to each of R columns of S errors.

    ``weights_sr`` are one over the errors' variances.

    >>> images = torch.tensor([100.0, 200.0, 400.0])
    >>> errors = (0.02 + 3 * images**-0.5)[:, None]
    >>> forecast(images, errors, torch.full((3, 1), 1e8), torch.tensor([1600.0])).mul(1000).round().tolist()
    [[95.0]]
    """
    powers = torch.linspace(math.log(_LOWEST), math.log(_HIGHEST), _STEPS).double().exp()
    least = float(images_s.min())
    falls_cs = (images_s.double() / least) ** -powers[:, None]
    floors, scales, misfits = _lines(falls_cs, errors_sr.double(), weights_sr.double())
    misfits = misfits + ((powers / _USUAL).log() / _SPREAD).square()[:, None]
    best = misfits.argmin(0)
    columns = torch.arange(errors_sr.shape[1])
    return floors[best, columns] + scales[best, columns] * (asked.double()[:, None] / least) ** -powers[best]


def _lines(x_cs: Tensor, y_sr: Tensor, w_sr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each of C abscissas and R columns the line a + b·x of least weighted squares with a, b ≥ 0: a, b, misfit."""

    def misfit(a: Tensor, b: Tensor) -> Tensor:
        gaps = y_sr - a[:, None] - b[:, None] * x_cs[:, :, None]
        return (w_sr * gaps.square()).sum(1)

    total, wy, wyy = w_sr.sum(0), (w_sr * y_sr).sum(0), x_cs @ (w_sr * y_sr)
    wx, wxx = x_cs @ w_sr, x_cs.square() @ w_sr
    spread = (total * wxx - wx.square()).clamp_min(1e-300)
    b = (total * wyy - wx * wy) / spread
    a = (wy - b * wx) / total
    flat = (wy / total).expand_as(a)  # b = 0
    steep = wyy / wxx  # a = 0
    none = torch.zeros_like(a)
    inside = (a >= 0) & (b >= 0)
    flatter = misfit(flat, none) < misfit(none, steep)
    a = torch.where(inside, a, torch.where(flatter, flat, none))
    b = torch.where(inside, b, torch.where(flatter, none, steep))
    return a, b, misfit(a, b)
