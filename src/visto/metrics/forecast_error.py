"""How far forecasts of a series are from what came, beside two plain ways of foretelling it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visto.metrics.rows import RowMetric, check_finite
from visto.types import Future

Errors = Mapping[str, Tensor]


class ForecastError(RowMetric[Future, Errors]):
    """``mse``, ``mae``, ``rmse``, of several steps ``mse_step_1`` …, and what is gained over the two plain ways.

    ``gain_over_naive`` and ``gain_over_linear`` are 1 - mse / their mse: 1 is perfect, 0 no better, below 0 worse. From
    the same weights, so that their intervals are paired. ``coverage`` is how often the truth lies between the bounds of
    an answer. Of several columns, which may be of unlike size, errors are in units of their ``spread`` (F), and
    ``mse/<column>``, ``mae/<column>`` in their own.
    """

    def __init__(self, classes: Sequence[str], *, horizon: int, spread: Sequence[float] = ()) -> None:
        super().__init__(classes)
        self.horizon = horizon
        self.unit = torch.ones(len(classes)).double()
        if len(classes) > 1 and len(spread) == len(classes):
            self.unit = torch.tensor(spread).double()

    def stack(self, predictions: Sequence[Future], targets: Sequence[Future]) -> Errors:
        """Errors N×h×F of the forecasts and of the plain ways, NaN where an answer does not carry them."""
        shape = (self.horizon, len(self.classes))
        if odd := next((f for f in (*predictions, *targets) if tuple(f.values.shape) != shape), None):
            raise ValueError(f"a future of {tuple(odd.values.shape)}, expected {shape}")
        unknown = torch.full(shape, torch.nan)

        def stacked(parts: Sequence[Tensor | None]) -> Tensor:
            known = [unknown if part is None else part for part in parts]
            return torch.stack(known).double() if known else torch.zeros(0, *shape).double()

        truth, said = stacked([t.values for t in targets]), stacked([p.values for p in predictions])
        check_finite(said)
        low, high = stacked([p.low for p in predictions]), stacked([p.high for p in predictions])
        inside = ((truth >= low) & (truth <= high)).double()
        return {
            "error": said - truth,
            "linear": stacked([p.linear for p in predictions]) - truth,
            "naive": stacked([p.naive for p in predictions]) - truth,
            "inside": torch.where(low.isnan() | high.isnan(), torch.nan, inside),
        }

    def keep(self, stacked: Errors) -> Mapping[str, Tensor]:
        error = stacked["error"]
        return {
            "squares": (error / self.unit).square(),
            "sizes": (error / self.unit).abs(),
            "linear": (stacked["linear"] / self.unit).square().mean((1, 2)),
            "naive": (stacked["naive"] / self.unit).square().mean((1, 2)),
            "inside": stacked["inside"].mean((1, 2)),
        }

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        total = weights_nr.sum(dim=0)

        def mean(values_n: Tensor) -> Tensor:
            return values_n @ weights_nr / total

        columns = self.columns
        mse = mean(columns["squares"].mean((1, 2)))
        found = {
            "mse": mse,
            "mae": mean(columns["sizes"].mean((1, 2))),
            "rmse": mse.sqrt(),
            "gain_over_naive": _gain(mse, mean(columns["naive"])),
            "gain_over_linear": _gain(mse, mean(columns["linear"])),
            "coverage": mean(columns["inside"]),
        }
        if self.horizon > 1:
            found |= {f"mse_step_{k + 1}": mean(columns["squares"][:, k].mean(1)) for k in range(self.horizon)}
        if len(self.classes) > 1:
            for k, name in enumerate(self.classes):
                found[f"mse/{name}"] = mean(columns["squares"][..., k].mean(1)) * self.unit[k] ** 2
                found[f"mae/{name}"] = mean(columns["sizes"][..., k].mean(1)) * self.unit[k]
        return found


def _gain(error: Tensor, plain: Tensor) -> Tensor:
    """
    >>> _gain(torch.tensor([1.0, 1.0]), torch.tensor([4.0, 0.0])).tolist()
    [0.75, nan]
    """
    return torch.where(plain > 0, 1 - error / plain, torch.nan)
