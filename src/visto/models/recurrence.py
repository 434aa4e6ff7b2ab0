"""Recurrent layers: a state that is carried from step to step (Elman 1990; LSTM: Hochreiter and Schmidhuber 1997,
Gers et al. 2000; GRU: Cho et al. 2014, as cuDNN and torch compute it)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GATES = {"rnn": 1, "lstm": 4, "gru": 3}  # matrices of a cell; LSTM: in, forget, new, out; GRU: reset, keep, new


class Layer(nn.Module):
    """One layer in one direction: from steps N×T×D to N×T×``hidden``.

    What carries the state over begins orthogonal, so that it neither grows nor fades, and an LSTM begins by remembering
    (forget bias 1: Jozefowicz et al. 2015).
    """

    def __init__(self, cell: str, features: int, hidden: int) -> None:
        super().__init__()
        gates = GATES[cell]
        self.cell, self.hidden = cell, hidden
        self.weight_in = nn.Parameter(torch.empty(gates * hidden, features))
        self.weight_back = nn.Parameter(torch.empty(gates * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(gates * hidden))
        if cell == "gru":
            self.bias_new = nn.Parameter(torch.zeros(hidden))  # of what comes back into the new state, before its reset
        with torch.no_grad():
            for weight, back in zip(self.weight_in.chunk(gates), self.weight_back.chunk(gates), strict=True):
                nn.init.xavier_uniform_(weight)
                nn.init.orthogonal_(back)
            if cell == "lstm":
                self.bias[hidden : 2 * hidden] = 1.0

    def forward(self, x_ntd: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self.unrolled(x_ntd)
        back = torch.zeros_like(self.bias)
        if self.cell == "gru":
            back = torch.cat([back[self.hidden :], self.bias_new])
        start = [value[None] for value in self.start(x_ntd.shape[0])]
        weights = [self.weight_in, self.weight_back, self.bias, back]
        # torch's kernels (oneDNN, cuDNN) want to know beforehand whether there will be a way back, and no dropout here
        rest = (weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
        if self.cell == "lstm":
            return torch.lstm(x_ntd, start, *rest)[0]
        return (torch.gru if self.cell == "gru" else torch.rnn_tanh)(x_ntd, start[0], *rest)[0]

    def unrolled(self, x_ntd: Tensor) -> Tensor:
        """The same in plain operations, one step after the other, for as many steps as there are now."""
        given = F.linear(x_ntd, self.weight_in, self.bias)
        state, found = self.start(x_ntd.shape[0]), []
        for step in given.unbind(1):
            state = self.advance(step, state)
            found.append(state[0])
        return torch.stack(found, 1)

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state before the first step: what the layer gives, N×H, and of an LSTM its memory, N×H."""
        zeros = self.bias.new_zeros(n, self.hidden)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.advance(F.linear(x_nd, self.weight_in, self.bias), state)

    def advance(self, given: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state; ``given`` is what the step's input gives the gates, N×(gates·H)."""
        before = state[0]
        if self.cell == "rnn":
            return (torch.tanh(given + F.linear(before, self.weight_back)),)
        if self.cell == "lstm":
            into, keep, new, out = (given + F.linear(before, self.weight_back)).chunk(4, 1)
            memory = keep.sigmoid() * state[1] + into.sigmoid() * new.tanh()
            return out.sigmoid() * memory.tanh(), memory
        reset, keep, new = given.chunk(3, 1)
        back_reset, back_keep, back_new = F.linear(before, self.weight_back).chunk(3, 1)
        reset, keep = (reset + back_reset).sigmoid(), (keep + back_keep).sigmoid()
        new = (new + reset * (back_new + self.bias_new)).tanh()
        return (new + keep * (before - new),)


class Recurrence(nn.Module):
    """``layers`` one above the other, ``dropout`` between them; ``bidirectional`` ones read from the end as well."""

    def __init__(
        self, cell: str, features: int, *, hidden: int, layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        self.causal = not bidirectional
        self.width = hidden * (1 if self.causal else 2)
        self.along = nn.ModuleList(Layer(cell, self.width if k else features, hidden) for k in range(layers))
        self.against = nn.ModuleList(
            Layer(cell, self.width if k else features, hidden) for k in range(layers if bidirectional else 0)
        )
        self.dropout = nn.Dropout(dropout)
        self.states = 2 if cell == "lstm" else 1

    def forward(self, x_ntd: Tensor, lengths_n: Tensor | None) -> Tensor:
        """N×T×``width``. What comes after a sequence's length is read after it, so that it changes nothing before."""
        for level, layer in enumerate(self._layers()):
            x_ntd = self.dropout(x_ntd) if level else x_ntd
            found = [layer(x_ntd)]
            if not self.causal:
                found.append(turned(self.against[level](turned(x_ntd, lengths_n)), lengths_n))
            x_ntd = torch.cat(found, 2) if len(found) > 1 else found[0]
        return x_ntd

    def _layers(self) -> list[Layer]:
        return list(self.along)  # type: ignore[arg-type]

    def start(self, n: int) -> tuple[Tensor, ...]:
        return tuple(value for layer in self._layers() for value in layer.start(n))

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        after: list[Tensor] = []
        for level, layer in enumerate(self._layers()):
            found = layer.step(x_nd, state[level * self.states : (level + 1) * self.states])
            after += found
            x_nd = self.dropout(found[0]) if level + 1 < len(self.along) else found[0]
        return x_nd, tuple(after)


def turned(x_ntd: Tensor, lengths_n: Tensor | None) -> Tensor:
    """Each sequence from its end to its beginning, what follows its length left behind it; twice is none.

    >>> turned(torch.tensor([[[1], [2], [3], [0]]]), torch.tensor([3])).flatten().tolist()
    [3, 2, 1, 0]
    """
    if lengths_n is None:
        return x_ntd.flip(1)
    steps = x_ntd.shape[1]
    places = (lengths_n[:, None] - 1 - torch.arange(steps, device=x_ntd.device)) % steps
    return x_ntd.gather(1, places[..., None].expand_as(x_ntd))
