"""What reads a sequence step by step and says what it is: a recurrent net or causal attention, then a dense layer.

``Reader`` takes the features of each step, N×T×D, whatever gives them; ``Reading`` takes rows, frames or numbers as
they come. A causal one also takes one step after the other (``start``, ``step``), with a state of fixed shapes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.causal_attention import CausalAttention
from visto.models.recurrence import GATES, Recurrence

OVER = ("rows", "frames", "steps")
POOLS = ("last", "mean")
BLIND = "mean"  # the cell that has no order


class Unordered(nn.Module):
    """Steps as they are: with their mean, a reader to which all orders are one. What order is worth is judged by it."""

    causal = True

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features

    def forward(self, x_ntd: Tensor, lengths_n: Tensor | None = None) -> Tensor:
        return x_ntd

    def start(self, n: int) -> tuple[Tensor, ...]:
        return ()

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return x_nd, state


class Reader(nn.Module):
    """Features of the steps N×T×D to logits N×K; ``cell`` is rnn, lstm, gru, attention, or mean (blind to order).

    ``pool`` says what is judged: what the ``last`` step left, or the ``mean`` over all. Attention has ``heads`` and
    looks ``window`` steps back. Raises UsageError for arguments out of range.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        cell: str,
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pool: str = "last",
        heads: int = 4,
        window: int = 128,
    ) -> None:
        super().__init__()
        _check(cell, hidden, layers, bidirectional, pool, heads, window)
        self.pool = "mean" if cell == BLIND else pool
        self.body: Recurrence | CausalAttention | Unordered
        if cell == BLIND:
            self.body = Unordered(features)
        elif cell == "attention":
            self.body = CausalAttention(
                features, width=hidden, layers=layers, heads=heads, window=window, dropout=dropout
            )
        else:
            self.body = Recurrence(
                cell, features, hidden=hidden, layers=layers, bidirectional=bidirectional, dropout=dropout
            )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.body.width, classes)

    @property
    def causal(self) -> bool:
        return self.body.causal

    def forward(self, x_ntd: Tensor, lengths_n: Tensor | None = None) -> Tensor:
        """``lengths_n`` says how many steps of each sequence count, the first ones (None: all T); none is NaN."""
        found = self.body(x_ntd, lengths_n)
        pooled = _last(found, lengths_n, self.causal) if self.pool == "last" else _mean(found, lengths_n)
        return self.classifier(self.dropout(pooled))  # type: ignore[no-any-return]

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of ``n`` sequences before their first step. Raises UsageError where the end is read first."""
        if not self.causal:
            raise UsageError(
                "this model looks at the whole sequence, both ways", hint="train it with --set bidirectional=false"
            )
        state = self.body.start(n)
        if self.pool == "last":
            return state
        like = self.classifier.weight
        return (*state, like.new_zeros(n, self.body.width), like.new_zeros(n, 1))

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step of each sequence: the logits after it, N×K, and the next state."""
        if self.pool == "last":
            found, state = self.body.step(x_nd, state)
            return self.classifier(self.dropout(found)), state
        found, after = self.body.step(x_nd, state[:-2])
        total, count = state[-2] + found, state[-1] + 1
        return self.classifier(self.dropout(total / count)), (*after, total, count)


class Reading(nn.Module):
    """A reader over the rows of images N×C×H×W, over frames N×T×C×H×W or over steps N×T×F.

    Of frames and steps, those missing at the end of shorter sequences are NaN.
    """

    def __init__(self, reader: Reader, over: str) -> None:
        super().__init__()
        self.reader, self.over = reader, over

    @property
    def causal(self) -> bool:
        return self.reader.causal

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        if self.over == "rows":
            return {"logits": self.reader(inputs.transpose(1, 2).flatten(2))}
        return {"logits": self.reader(*unpadded(inputs.flatten(2)))}

    def start(self, n: int) -> tuple[Tensor, ...]:
        return self.reader.start(n)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """One row N×C×W, one frame N×C×H×W or one step N×F."""
        logits, state = self.reader.step(x.flatten(1), state)
        return {"logits": logits}, state


def features_of(over: str, channels: int, size: Sequence[int]) -> int:
    """How many numbers a step has. Raises UsageError for an ``over`` that is none.

    >>> features_of("rows", 3, [20, 10]), features_of("frames", 3, [20, 10]), features_of("steps", 6, [])
    (30, 600, 6)
    """
    if over not in OVER:
        raise UsageError(f"a sequence over {over!r}", expected=f"one of {', '.join(OVER)}")
    return channels * math.prod(size[1:] if over == "rows" else size)


def unpadded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sequences N×T×… with 0 in place of NaN, and how many steps each has.

    >>> unpadded(torch.tensor([[[1.0], [torch.nan]], [[2.0], [3.0]]]))[1].tolist()
    [1, 2]
    """
    there = ~x.flatten(2)[..., 0].isnan()
    shape = (*there.shape, *(1 for _ in x.shape[2:]))
    return torch.where(there.view(shape), x, 0.0), there.sum(1)


def _last(found_ntw: Tensor, lengths_n: Tensor | None, causal: bool) -> Tensor:
    """What each direction read last: of the one that reads against time, the first step."""
    if lengths_n is None:
        last = found_ntw[:, -1]
    else:
        places = (lengths_n - 1).clamp_min(0)[:, None, None].expand(-1, 1, found_ntw.shape[2])
        last = found_ntw.gather(1, places)[:, 0]
    if causal:
        return last
    half = found_ntw.shape[2] // 2
    return torch.cat([last[:, :half], found_ntw[:, 0, half:]], 1)


def _mean(found_ntw: Tensor, lengths_n: Tensor | None) -> Tensor:
    if lengths_n is None:
        return found_ntw.mean(1)
    there = torch.arange(found_ntw.shape[1], device=found_ntw.device) < lengths_n[:, None]
    total: Tensor = (found_ntw * there[..., None]).sum(1) / lengths_n.clamp_min(1)[:, None]
    return total


def _check(cell: str, hidden: int, layers: int, bidirectional: bool, pool: str, heads: int, window: int) -> None:
    known = (*GATES, "attention", BLIND)
    if cell not in known:
        raise UsageError(f"no cell {cell!r}", expected=f"one of {', '.join(known)}")
    if pool not in POOLS:
        raise UsageError(f"no pool {pool!r}", expected=f"one of {', '.join(POOLS)}")
    if not (1 <= hidden <= 4096 and 1 <= layers <= 16):
        raise UsageError(f"{layers} layers of {hidden} units", expected="layers 1 to 16, hidden 1 to 4096")
    if cell == BLIND and bidirectional:
        raise UsageError("a mean that looks both ways", hint="it knows no order: leave bidirectional out")
    if cell != "attention":
        return
    if bidirectional:
        raise UsageError("attention that looks both ways", hint="it is causal: leave bidirectional out")
    if heads < 1 or hidden % heads:
        raise UsageError(f"{heads} heads of {hidden} units", expected="a number of heads that divides hidden")
    if not 1 <= window <= 65_536:
        raise UsageError(f"a window of {window} steps", expected="1 to 65536")
