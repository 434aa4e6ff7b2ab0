"""A net that looks at each frame of a clip, and another that reads what it saw in order (Donahue et al. 2015)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.cnn import CNN, cnn
from visto.models.efficientnet_lite import efficientnet_lite0
from visto.models.reader import Reader, unpadded

ENCODERS = ("cnn", "efficientnet_lite0")
_TOGETHER = 128  # images that go through the encoder at once, where nothing is learnt
_CHANGE = 2.0  # what a difference of two frames is multiplied by: it spreads less than a frame


class OverFeatures(nn.Module):
    """What the frames of a clip came to, N×T×D with NaN after the last one, to logits N×K.

    The features are brought to one scale and to ``hidden`` numbers before they are read in order.
    """

    def __init__(self, features: int, hidden: int, dropout: float, reader: Reader) -> None:
        super().__init__()
        self.narrow = nn.Sequential(
            nn.LayerNorm(features), nn.Dropout(dropout), nn.Linear(features, hidden), nn.ReLU(inplace=True)
        )
        self.reader = reader

    def forward(self, features_ntd: Tensor) -> dict[str, Tensor]:
        features, lengths = unpadded(features_ntd)
        return {"logits": self.reader(self.narrow(features), lengths)}

    def step(self, features_nd: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The features of one frame of each clip: the logits after it, and the next state."""
        return self.reader.step(self.narrow(features_nd), state)


class CnnLstm(nn.Module):
    """``encoder`` takes frames N×C×H×W to N×D; with ``motion`` it sees each frame's change from the one before too."""

    def __init__(self, encoder: nn.Module, upper: OverFeatures, motion: bool, frame: tuple[int, int, int]) -> None:
        super().__init__()
        self.encoder, self.upper, self.motion = encoder, upper, motion
        self._frame = frame

    @property
    def causal(self) -> bool:
        return self.upper.reader.causal

    def forward(self, clips_ntchw: Tensor) -> dict[str, Tensor]:
        there = ~clips_ntchw[:, :, 0, 0, 0].isnan()
        if bool(there.all()):
            return self.upper(self.describe(clips_ntchw))  # type: ignore[no-any-return]
        # a frame that is missing is not looked at: it would count in the encoder's batch norm
        clips, _ = unpadded(clips_ntchw)
        described = self._seen(self._views(clips)[there])
        features = described.new_full((*there.shape, described.shape[1]), torch.nan)
        features[there] = described
        return self.upper(features)  # type: ignore[no-any-return]

    def describe(self, clips_ntchw: Tensor) -> Tensor:
        """What each frame comes to: N×T×D."""
        n, t = clips_ntchw.shape[:2]
        return self._seen(self._views(clips_ntchw).flatten(0, 1)).view(n, t, -1)

    def look(self, frames_nchw: Tensor, before_nchw: Tensor) -> Tensor:
        """What each of N frames comes to when it follows the other (itself: nothing has changed): N×D."""
        if not self.motion:
            return self._seen(frames_nchw[:, None])
        return self._seen(torch.stack([frames_nchw, (frames_nchw - before_nchw) * _CHANGE], 1))

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of ``n`` clips before their first frame. Raises UsageError where the end is read first."""
        state = self.upper.reader.start(n)
        if not self.motion:
            return state
        like = self.upper.reader.classifier.weight
        return (*state, like.new_zeros(n, *self._frame), like.new_zeros(n, 1, 1, 1))

    def step(self, frames_nchw: Tensor, state: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """One frame of each clip: logits after it, and the next state."""
        if not self.motion:
            logits, state = self.upper.step(self.encoder(frames_nchw), state)
            return {"logits": logits}, state
        *inner, before, seen = state
        change = (frames_nchw - before) * (seen * _CHANGE)  # nothing has changed at the first frame
        features = self._seen(torch.stack([frames_nchw, change], 1))
        logits, after = self.upper.step(features, tuple(inner))
        return {"logits": logits}, (*after, frames_nchw, torch.ones_like(seen))

    def _views(self, clips_ntchw: Tensor) -> Tensor:
        """What is looked at of each frame: N×T×1×C×H×W, with its change N×T×2×C×H×W."""
        if not self.motion:
            return clips_ntchw[:, :, None]
        change = torch.zeros_like(clips_ntchw)
        change[:, 1:] = (clips_ntchw[:, 1:] - clips_ntchw[:, :-1]) * _CHANGE
        return torch.stack([clips_ntchw, change], 2)

    def _seen(self, views_mvchw: Tensor) -> Tensor:
        """The views of M frames to what the encoder makes of all of one frame's, side by side: M×(V·D)."""
        images = views_mvchw.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        # a long clip at once would fill the memory: 10 MB a frame of 128 pixels, with EfficientNet-Lite0
        parts = torch.split(images, _TOGETHER) if len(images) > _TOGETHER and not self.training else [images]
        described = torch.cat([self.encoder(part) for part in parts]) if len(parts) > 1 else self.encoder(images)
        return described.view(len(views_mvchw), -1)


class _Found(nn.Module):
    """The convolutions of a cnn: what they find the strongest anywhere, and what they find where. N×C×H×W to N×D."""

    def __init__(self, net: CNN) -> None:
        super().__init__()
        self.features = net.features

    def forward(self, images_nchw: Tensor) -> Tensor:
        found: Tensor = self.features(images_nchw)
        return torch.cat([found.amax((2, 3)), found.flatten(1)], 1)


def cnn_lstm(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    over: str = "frames",
    encoder: str = "cnn",
    depth: int = 3,
    width: int = 16,
    motion: bool = False,
    cell: str = "lstm",
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    pool: str = "last",
) -> CnnLstm:
    """Each frame through ``encoder``, then an LSTM over what it gives; or another ``cell``: rnn, gru, attention, or
    mean, which is blind to order.

    The encoder cnn (of ``depth`` and ``width``) learns with the rest; efficientnet_lite0 brings what it learnt on
    photos. ``motion`` lets it see each frame's change from the one before as well; ``pool`` last or mean. Raises
    UsageError for arguments out of range, and for anything but clips.
    """
    if over != "frames":
        raise UsageError(f"the model cnn_lstm over {over}", hint="it takes clips: lstm reads rows and series")
    if encoder not in ENCODERS:
        raise UsageError(f"no encoder {encoder!r}", expected=f"one of {', '.join(ENCODERS)}")
    net: nn.Module
    if encoder == "cnn":
        small = cnn(classes=classes, channels=channels, size=size, depth=depth, width=width)
        assert isinstance(small, CNN)  # noqa: S101  (tells mypy)
        net = _Found(small)
        with torch.no_grad():
            features = net.eval()(torch.zeros(1, channels, *size)).shape[1]
    else:
        large = efficientnet_lite0(classes=classes, channels=channels, size=size)
        net, features = large.stages, large.classifier.in_features  # type: ignore[assignment, union-attr]
    reader = Reader(
        hidden,
        classes,
        cell=cell,
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
        pool=pool,
    )
    upper = OverFeatures(int(features) * (1 + motion), hidden, dropout, reader)
    return CnnLstm(net, upper, motion, (channels, size[0], size[1]))
