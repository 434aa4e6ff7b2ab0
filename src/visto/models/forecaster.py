"""What foretells a series: the last value again, a linear way, or what a reader of the steps adds to the linear one.

All three see N×T×F numbers, normalised, and give for the h steps after them three tensors N×h×F: ``forecast``,
``linear`` and ``naive``. So the two plain ways are always there to be compared with. A causal reader also takes one
step after the other (``start``, ``step``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.reader import Reader

READERS = ("rnn", "lstm", "gru", "attention")
_MOST = 4096  # numbers in a window, and in a forecast: the linear way has as many equations
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_HELD_OUT = 5  # the last fifth of the windows says which penalty is best


class Linear(nn.Module):
    """The last value, and what the steps before it, less that value, say of the changes to come.

    What is added to a series so adds to its forecasts (Zeng et al. 2023, *Are Transformers Effective for Time Series
    Forecasting?*: NLinear). ``fit_to`` finds the weights at once, by least squares with a penalty.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, window: int, horizon: int) -> None:
        super().__init__()
        self.window, self.horizon = window, horizon
        self.register_buffer("weight", torch.zeros(window * channels, horizon * channels))
        self.register_buffer("bias", torch.zeros(horizon * channels))

    def forward(self, x_nwf: Tensor) -> Tensor:
        """From exactly ``window`` steps to N×h×F."""
        last = x_nwf[:, -1:]
        changes = (x_nwf - last).flatten(1) @ self.weight + self.bias
        return last + changes.view(-1, self.horizon, x_nwf.shape[2])

    def fit_to(self, x_nwf: Tensor, future_nhf: Tensor) -> float:
        """Fit to N windows in the order of time; gives the penalty a number that served the last fifth of them best.

        The last fifth is then fitted to as well.
        """
        last = x_nwf[:, -1:].double()
        x, y = (x_nwf.double() - last).flatten(1), (future_nhf.double() - last).flatten(1)
        cut = len(x) - len(x) // _HELD_OUT
        best = _PENALTIES[0]
        if cut < len(x):
            errors = [
                float((x[cut:] @ weight + bias - y[cut:]).square().mean())
                for weight, bias in (ridge(x[:cut], y[:cut], penalty) for penalty in _PENALTIES)
            ]
            best = _PENALTIES[errors.index(min(errors))]
        weight, bias = ridge(x, y, best)
        self.weight, self.bias = weight.to(self.weight), bias.to(self.bias)
        return best


def ridge(x_nd: Tensor, y_nk: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights D×K and bias K with the least squared error plus ``penalty`` · N times the squared weights.

    >>> weight, bias = ridge(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]]), 0.0)
    >>> round(float(weight), 4), round(float(bias), 4)
    (2.0, 1.0)
    """
    centre, level = x_nd.mean(0), y_nk.mean(0)
    x, y = x_nd - centre, y_nk - level
    # without spread in some direction there are many solutions: the least one
    least = max(penalty, 1e-12) * len(x)
    weight = torch.linalg.solve(x.T @ x + least * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    return weight, level - centre @ weight


class Forecaster(nn.Module):
    """``reader`` reads each step and how it differs from the one before, and says what the linear way lacks.

    What it says is in units of the linear way's own error, and nothing before it has learnt. Without a reader the
    forecast is the linear one, or (``plain``) the last value.
    """

    spread: Tensor

    def __init__(self, channels: int, window: int, horizon: int, reader: Reader | None, *, plain: bool = False) -> None:
        super().__init__()
        self.channels, self.window, self.horizon, self.plain = channels, window, horizon, plain
        self.linear = Linear(channels, window, horizon)
        self.register_buffer("spread", torch.ones(horizon, channels))
        self.reader = reader
        if reader is not None:
            nn.init.zeros_(reader.classifier.weight)
            nn.init.zeros_(reader.classifier.bias)

    @property
    def causal(self) -> bool:
        return self.reader is None or self.reader.causal

    def fit_to(self, x_ntf: Tensor, future_nhf: Tensor) -> float:
        """Fit the linear way to N windows in the order of time; gives its penalty."""
        seen = self._window(x_ntf)
        penalty = self.linear.fit_to(seen, future_nhf)
        error = (future_nhf - self.linear(seen)).square().mean(0).sqrt()
        self.spread = error.clamp_min(1e-4)
        return penalty

    def forward(self, x_ntf: Tensor) -> dict[str, Tensor]:
        """T may be anything: the plain ways look at the last steps, and where there are too few the first is repeated.

        The reader reads all of them.
        """
        added = None
        if self.reader is not None:
            before = torch.cat([x_ntf[:, :1], x_ntf[:, :-1]], 1)
            added = self.reader(torch.cat([x_ntf, x_ntf - before], 2))
        return self._given(self._window(x_ntf), added)

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of ``n`` series before their first step: the last steps, whether there were any, the reader's."""
        like = self.linear.bias
        own = (like.new_zeros(n, self.window, self.channels), like.new_zeros(n, 1))
        return own if self.reader is None else (*own, *self.reader.start(n))

    def step(self, x_nf: Tensor, state: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """One step of each series: the forecasts after it, and the next state."""
        kept, begun, *rest = state
        now, new = x_nf[:, None], begun[..., None] == 0
        before = torch.where(new, now, kept[:, -1:])
        kept = torch.where(new, now, torch.cat([kept[:, 1:], now], 1))
        added, after = None, tuple(rest)
        if self.reader is not None:
            added, after = self.reader.step(torch.cat([now, now - before], 2)[:, 0], tuple(rest))
        return self._given(kept, added), (kept, torch.ones_like(begun), *after)

    def _window(self, x_ntf: Tensor) -> Tensor:
        """The last ``window`` steps."""
        lacking = self.window - x_ntf.shape[1]
        return torch.cat([x_ntf[:, :1].expand(-1, lacking, -1), x_ntf], 1) if lacking > 0 else x_ntf[:, -self.window :]

    def _given(self, seen_nwf: Tensor, added: Tensor | None) -> dict[str, Tensor]:
        naive = seen_nwf[:, -1:].expand(-1, self.horizon, -1)
        linear = self.linear(seen_nwf)
        forecast = naive if self.plain else linear
        if added is not None:
            forecast = linear + added.view(-1, self.horizon, self.channels) * self.spread
        return {"forecast": forecast, "linear": linear, "naive": naive}


def naive(*, classes: int, channels: int, size: Sequence[int], window: int = 32, horizon: int = 1) -> Forecaster:
    """Foretells the last value again: what every forecast has to beat.

    Raises UsageError for arguments out of range.
    """
    _check(channels, size, window, horizon)
    return Forecaster(channels, window, horizon, None, plain=True)


def linear(*, classes: int, channels: int, size: Sequence[int], window: int = 32, horizon: int = 1) -> Forecaster:
    """Foretells a linear function of the last ``window`` steps, fitted at once.

    Raises UsageError for arguments out of range.
    """
    _check(channels, size, window, horizon)
    return Forecaster(channels, window, horizon, None)


def forecaster(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    window: int = 32,
    horizon: int = 1,
    reader: str = "lstm",
    hidden: int = 32,
    layers: int = 1,
    dropout: float = 0.0,
) -> Forecaster:
    """Foretells the next ``horizon`` steps of a series: the linear forecast from the last ``window`` steps, and what
    an rnn, lstm, gru or attention (``reader``) adds to it.

    Raises UsageError for arguments out of range.
    """
    _check(channels, size, window, horizon)
    if reader not in READERS:
        raise UsageError(f"no reader {reader!r}", expected=f"one of {', '.join(READERS)}")
    body = Reader(
        2 * channels,
        horizon * channels,
        cell=reader,
        hidden=hidden,
        layers=layers,
        dropout=dropout,
        heads=4 if hidden % 4 == 0 else 1,
        window=window,
    )
    return Forecaster(channels, window, horizon, body)


def _check(channels: int, size: Sequence[int], window: int, horizon: int) -> None:
    if size:
        raise UsageError("images to foretell", expected="a series of numbers")
    if not (window >= 1 and horizon >= 1 and window * channels <= _MOST and horizon * channels <= _MOST):
        raise UsageError(
            f"a window of {window} and a horizon of {horizon} steps of {channels} columns",
            expected=f"1 or more, and at most {_MOST} numbers in each",
        )
