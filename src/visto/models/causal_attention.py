"""Causal attention: each step looks back at a window of steps before it (Vaswani et al. 2017), the nearer the more.

Positions are told by distance alone, as a slope off each head's scores (ALiBi: Press et al. 2022): a stream may be
longer than anything that was learnt from, and what is kept of it is the window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention, then a dense layer four times as wide, each on what is normalised, each added to what came in."""

    slopes: Tensor

    def __init__(self, width: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.look_norm, self.look = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.gather, self.dropout = nn.Linear(width, width), nn.Dropout(dropout)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
        self.register_buffer("slopes", slopes[:, None, None], persistent=False)

    def forward(self, x_ntd: Tensor) -> Tensor:
        steps = torch.arange(x_ntd.shape[1], device=x_ntd.device)
        distance = steps[:, None] - steps
        unseen = (distance < 0) | (distance >= self.window)
        bias = (-self.slopes * distance).masked_fill(unseen, -torch.inf)
        query, keys, values = self._asked(x_ntd)
        return self._after(x_ntd, query, keys, values, bias[None])

    def start(self, n: int) -> tuple[Tensor, ...]:
        """Keys and values of the last steps, N×window×D each, oldest first, and which of them there were, N×window."""
        width, like = self.gather.in_features, self.gather.weight
        kept = like.new_zeros(n, self.window, width)
        return kept, kept, like.new_zeros(n, self.window)

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        x_n1d = x_nd[:, None]
        query, *new = self._asked(x_n1d)
        new.append(torch.ones_like(state[2][:, :1]))
        keys, values, were = (torch.cat([kept[:, 1:], late], 1) for kept, late in zip(state, new, strict=True))
        distance = torch.arange(self.window - 1, -1, -1, device=x_nd.device)
        bias = (-self.slopes * distance)[None] + torch.where(were > 0, 0.0, -torch.inf)[:, None, None]
        return self._after(x_n1d, query, keys, values, bias)[:, 0], (keys, values, were)

    def _asked(self, x_ntd: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of each step."""
        return self.look(self.look_norm(x_ntd)).chunk(3, 2)  # type: ignore[no-any-return]

    def _after(self, x_ntd: Tensor, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (query, keys, values))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x_ntd = x_ntd + self.dropout(self.gather(seen.transpose(1, 2).flatten(2)))
        return x_ntd + self.dropout(self.think(x_ntd))  # type: ignore[no-any-return]


class CausalAttention(nn.Module):
    """Steps N×T×D to N×T×``width``: a dense layer, then ``layers`` blocks that look ``window`` steps back each."""

    causal = True

    def __init__(self, features: int, *, width: int, layers: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width, heads, window, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x_ntd: Tensor, lengths_n: Tensor | None) -> Tensor:
        """What comes after a sequence's length is seen by none of its steps."""
        x_ntd = self.enter(x_ntd)
        for block in self.blocks:
            x_ntd = block(x_ntd)
        return self.norm(x_ntd)  # type: ignore[no-any-return]

    def _blocks(self) -> list[Block]:
        return list(self.blocks)  # type: ignore[arg-type]

    def start(self, n: int) -> tuple[Tensor, ...]:
        return tuple(value for block in self._blocks() for value in block.start(n))

    def step(self, x_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        x_nd = self.enter(x_nd)
        after: list[Tensor] = []
        for level, block in enumerate(self._blocks()):
            x_nd, found = block.step(x_nd, state[3 * level : 3 * level + 3])
            after += found
        return self.norm(x_nd), tuple(after)
