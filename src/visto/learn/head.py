"""The last layer, fitted at once to frozen embeddings: what a fine-tuned net begins with (Kumar et al. 2022)."""

from typing import Any

import torch
from torch import Tensor, nn

from visto.learn.balance import Balance
from visto.types import Batch, Task

# 1 / C of a logistic regression on standardised embeddings: over 0.003 to 0.01 its held-out accuracy hardly changes
_INVERSE_STRENGTH = 0.005
_ITERATIONS = 60


def fit_head(
    task: Task[Any, Any], embeddings_nd: Tensor, targets_nk: Tensor, *, weights: Tensor | None, balance: Balance
) -> nn.Linear:
    """The linear layer D → K with the least loss of the task plus an L2 term, by L-BFGS in fp32.

    For classification it is multinomial logistic regression. Embeddings are standardised for the fit, and the layer
    takes them as they are. The loss is the task's own, the images weighted (N) and the logits shifted by the balance.
    """
    mean, deviation = embeddings_nd.mean(0), embeddings_nd.std(0, correction=0).clamp_min(1e-6)
    scaled = (embeddings_nd - mean) / deviation
    rows = torch.arange(len(scaled))
    batch: Batch[Any] = Batch(inputs={"images": scaled}, targets=targets_nk, rows=rows, weights=weights)
    layer = nn.Linear(embeddings_nd.shape[1], targets_nk.shape[1])
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    model = balance.shifted(_Named(layer))
    penalty = 1 / (2 * _INVERSE_STRENGTH * len(scaled))
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        solver.zero_grad()
        total = task.loss(model, batch).total + penalty * layer.weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(cost)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.div_(deviation)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(True)


class _Named(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, embeddings_nd: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(embeddings_nd)}
