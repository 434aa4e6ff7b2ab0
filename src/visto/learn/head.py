"""The last layer, fitted at once to frozen embeddings: what a fine-tuned net begins with (Kumar et al. 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visto.learn.balance import Balance
from visto.types import Batch, Task

# C of a logistic regression on standardised embeddings: over 0.01 to 0.1 its held-out accuracy hardly changes
_STRENGTH = 0.03
_FOLDS = 5
_ITERATIONS = 60


def fit_head(
    task: Task[Any, Any],
    embeddings_nd: Tensor,
    targets_nk: Tensor,
    *,
    weights: Tensor | None,
    balance: Balance,
    images: int,
) -> nn.Linear:
    """The linear layer D → K with the least loss of the task plus an L2 term, by L-BFGS in fp32.

    For classification it is multinomial logistic regression. Embeddings are standardised for the fit, and the layer
    takes them as they are. The loss is the task's own, the rows weighted (N) and the logits shifted by the balance.
    ``images`` is how many images the rows are views of: the L2 term is that of so many.
    """
    mean, deviation = embeddings_nd.mean(0), embeddings_nd.std(0, correction=0).clamp_min(1e-6)
    scaled = (embeddings_nd - mean) / deviation
    rows = torch.arange(len(scaled))
    batch: Batch[Any] = Batch(inputs={"images": scaled}, targets=targets_nk, rows=rows, weights=weights)
    layer = nn.Linear(embeddings_nd.shape[1], targets_nk.shape[1])
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    model = balance.shifted(_Named(layer))
    penalty = 1 / (2 * _STRENGTH * images)
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


def logits_left_out(task: Task[Any, Any], embeddings_nd: Tensor, targets_nk: Tensor) -> Tensor:
    """For each of N images the logits (N×K) of a head that was fitted without it, in 5 folds."""
    balance = Balance("none", targets_nk)
    rows = torch.arange(len(targets_nk))
    # by class, then dealt out like cards: every fold gets its share of each
    folds = torch.empty_like(rows)
    folds[torch.argsort(targets_nk.argmax(1), stable=True)] = rows % _FOLDS
    logits = torch.zeros_like(targets_nk)
    for fold in range(_FOLDS):
        inside, outside = rows[folds != fold], rows[folds == fold]
        if len(inside) and len(outside):
            layer = fit_head(
                task, embeddings_nd[inside], targets_nk[inside], weights=None, balance=balance, images=len(inside)
            )
            with torch.no_grad():
                logits[outside] = layer(embeddings_nd[outside])
    return logits


def errors_left_out(task: Task[Any, Any], embeddings_nd: Tensor, targets_nk: Tensor, truth: Sequence[Any]) -> int:
    """On how many of N images the head answers wrongly that was fitted without them."""
    logits = logits_left_out(task, embeddings_nd, targets_nk)
    answers = task.answers(task.head({"logits": logits}), ())
    return sum(a.value.classes != target.classes for a, target in zip(answers, truth, strict=True))


def losses_left_out(task: Task[Any, Any], embeddings_nd: Tensor, targets_nk: Tensor) -> Tensor:
    """The task's loss on each of N images (N) by the head that was fitted without it."""
    batch: Batch[Any] = Batch(
        inputs={"images": logits_left_out(task, embeddings_nd, targets_nk)},
        targets=targets_nk,
        rows=torch.arange(len(targets_nk)),
    )
    each = task.loss(_Named(nn.Identity()), batch).each
    assert each is not None  # noqa: S101  (both tasks give it)
    return each


class _Named(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, embeddings_nd: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(embeddings_nd)}
