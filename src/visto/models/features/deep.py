"""What a backbone pretrained on photos makes of an image, before its classifier: frozen, ready for a classic model."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from visto.models.efficientnet_lite import efficientnet_lite0
from visto.models.weights import WEIGHTS

BACKBONE = "efficientnet_lite0"


class Deep(nn.Module):
    """Images N×C×H×W in 0–1 to the 1,280 numbers of EfficientNet-Lite0; grey ones are taken as colour."""

    mean: Tensor
    std: Tensor
    dimensions = 1280

    def __init__(self) -> None:
        super().__init__()
        self.stages: nn.Module = efficientnet_lite0(classes=2, channels=3, size=(224, 224)).stages  # type: ignore[assignment]
        self.stages.requires_grad_(False).eval()
        known = WEIGHTS[BACKBONE]
        for name, values in (("mean", known.mean), ("std", known.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Deep":
        return super().train(False)  # its batch norm keeps the statistics of pretraining

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Take the published weights, whose stages are named ``stages.…``."""
        own = {n.removeprefix("stages."): v for n, v in weights.items() if n.startswith("stages.")}
        missing = self.stages.load_state_dict(own, strict=False).missing_keys
        assert all("num_batches_tracked" in name for name in missing)  # noqa: S101  (published files have all others)

    def forward(self, images_nchw: Tensor) -> Tensor:
        images = images_nchw.expand(-1, 3, -1, -1) if images_nchw.shape[1] == 1 else images_nchw
        ready = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        out: Tensor = self.stages(ready)
        return out


def deep(*, channels: int, size: Sequence[int]) -> nn.Module:
    """Any size: the backbone learnt at 224 pixels, and is at its best near that."""
    return Deep()
