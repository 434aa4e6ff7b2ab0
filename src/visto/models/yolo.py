"""YOLOX (Ge et al. 2021, arXiv 2107.08430): a detector that looks once, without anchors, at three strides.

A backbone of cross-stage partial blocks (CSPDarknet), a pyramid that passes what it sees down and up again (PAFPN), and
at strides 8, 16 and 32 a head with separate branches for the class and for the box. The layout is that of the published
nets, so that their weights fit (``visto.models.yolox_weights``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError

STRIDES = (8, 16, 32)
_PRIOR = 0.01  # what a fresh net says of every place: an object with this probability, and each class likewise
_LARGEST = 8.0  # of log(side / stride): a box of 95,000 pixels; exp stays finite whatever the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Channels after the stem, and whether 3×3 convolutions are split into a depthwise and a pointwise one."""

    width: int
    depthwise: bool


SCALES = {
    "nano": Scale(width=16, depthwise=True),
    "tiny": Scale(width=24, depthwise=False),
    "small": Scale(width=32, depthwise=False),
}


class Halving(nn.Conv2d):
    """A depthwise convolution with stride 2."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            # it has no fast way back in bf16: up to 9 times as slow as in fp32, a third of the time of a step of nano
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float()).to(input.dtype)
        return super().forward(input)


class Step(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        kind = Halving if groups > 1 and stride > 1 else nn.Conv2d
        self.convolution = kind(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm(self.convolution(x)), inplace=not torch.is_grad_enabled())


def _spread(inputs: int, outputs: int, *, stride: int = 1, depthwise: bool) -> nn.Module:
    """What looks at 3×3 places: one convolution, or each channel by itself and then all channels of each place."""
    if not depthwise:
        return Step(inputs, outputs, 3, stride=stride)
    return nn.Sequential(Step(inputs, inputs, 3, stride=stride, groups=inputs), Step(inputs, outputs, 1))


class Bottleneck(nn.Module):
    """1×1 then 3×3, added to its input where ``residual``."""

    def __init__(self, width: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        self.mix = Step(width, width, 1)
        self.spread = _spread(width, width, depthwise=depthwise)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.spread(self.mix(x))
        return x + out if self.residual else out


class Partial(nn.Module):
    """Cross-stage partial block (Wang et al. 2020): half of the channels go through bottlenecks, half past them."""

    def __init__(self, inputs: int, outputs: int, repeats: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.through = Step(inputs, half, 1)
        self.past = Step(inputs, half, 1)
        self.bottlenecks = nn.Sequential(
            *(Bottleneck(half, residual=residual, depthwise=depthwise) for _ in range(repeats))
        )
        self.merge = Step(2 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        past = self.past(x)
        out: Tensor = self.merge(torch.cat([self.bottlenecks(self.through(x)), past], 1))
        return out


class Pooled(nn.Module):
    """Spatial pyramid pooling (He et al. 2014): each place beside the largest within 5×5, 9×9 and 13×13.

    Two windows of 5 in a row are one of 9, three are one of 13.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = Step(inputs, inputs // 2, 1)
        self.merge = Step(2 * inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        views = [self.narrow(x)]
        for _ in range(3):
            views.append(F.max_pool2d(views[-1], 5, stride=1, padding=2))
        out: Tensor = self.merge(torch.cat(views, 1))
        return out


class Pyramid(nn.Module):
    """Strides 8, 16 and 32 told of each other: first the fine of the coarse, then back (PANet)."""

    def __init__(self, width: int, *, depthwise: bool) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> Partial:
            return Partial(inputs, outputs, 1, residual=False, depthwise=depthwise)

        self.narrow_32 = Step(4 * width, 2 * width, 1)
        self.down_16 = block(4 * width, 2 * width)
        self.narrow_16 = Step(2 * width, width, 1)
        self.down_8 = block(2 * width, width)
        self.halve_8 = _spread(width, width, stride=2, depthwise=depthwise)
        self.up_16 = block(2 * width, 2 * width)
        self.halve_16 = _spread(2 * width, 2 * width, stride=2, depthwise=depthwise)
        self.up_32 = block(4 * width, 4 * width)

    def forward(self, at_8: Tensor, at_16: Tensor, at_32: Tensor) -> list[Tensor]:
        coarse = self.narrow_32(at_32)
        middle = self.narrow_16(self.down_16(torch.cat([_doubled(coarse), at_16], 1)))
        out_8 = self.down_8(torch.cat([_doubled(middle), at_8], 1))
        out_16 = self.up_16(torch.cat([self.halve_8(out_8), middle], 1))
        return [out_8, out_16, self.up_32(torch.cat([self.halve_16(out_16), coarse], 1))]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Branches(nn.Module):
    """The head of one stride: from N×C×h×w to class logits N×K×h×w, box offsets N×4×h×w, objectness N×1×h×w."""

    def __init__(self, inputs: int, width: int, classes: int, *, depthwise: bool) -> None:
        super().__init__()
        self.narrow = Step(inputs, width, 1)
        self.class_branch = nn.Sequential(*(_spread(width, width, depthwise=depthwise) for _ in range(2)))
        self.class_logits = nn.Conv2d(width, classes, 1)
        self.box_branch = nn.Sequential(*(_spread(width, width, depthwise=depthwise) for _ in range(2)))
        self.offsets = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.narrow(x)
        seen = self.box_branch(x)
        return self.class_logits(self.class_branch(x)), self.offsets(seen), self.objectness(seen)


def places(size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Centres A×2 (x, y) in pixels and strides A of the places at which a net for images of (height, width) looks.

    >>> centres, strides = places([32, 64])
    >>> centres[:2].tolist(), strides.bincount().nonzero().flatten().tolist(), len(centres)
    ([[4.0, 4.0], [12.0, 4.0]], [8, 16, 32], 42)
    """
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), stride))
    return torch.cat(centres), torch.cat(strides)


class Yolo(nn.Module):
    """From images N×C×H×W to, for each of the A places, a box, class logits and a logit that anything is there.

    ``boxes`` N×A×4 are corners in pixels of the input, ``logits`` N×A×K, ``objectness`` N×A; all float32, so that boxes
    stay exact under autocast. Sides may differ from those of ``size``, as long as 32 divides them.
    """

    centres: Tensor
    strides: Tensor

    def __init__(self, *, classes: int, channels: int, size: Sequence[int], scale: Scale) -> None:
        super().__init__()
        width, depthwise = scale.width, scale.depthwise
        # the published net looks at blocks of 2×2 pixels, then 3×3 of those: one convolution of 6×6 with stride 2
        self.stem = Step(channels, width, 6, stride=2)
        stages: list[nn.Module] = []
        for level, repeats in enumerate((1, 3, 3, 1)):
            inputs, outputs, last = width << level, width << (level + 1), level == 3
            steps = [_spread(inputs, outputs, stride=2, depthwise=depthwise)]
            steps += [Pooled(outputs, outputs)] if last else []
            steps.append(Partial(outputs, outputs, repeats, residual=not last, depthwise=depthwise))
            stages.append(nn.Sequential(*steps))
        self.stages = nn.ModuleList(stages)
        self.pyramid = Pyramid(4 * width, depthwise=depthwise)
        self.heads = nn.ModuleList(
            Branches(width << level, 4 * width, classes, depthwise=depthwise) for level in (2, 3, 4)
        )
        for head in self.heads:
            assert isinstance(head, Branches)  # noqa: S101  (tells mypy)
            for layer in (head.class_logits, head.objectness):
                nn.init.constant_(layer.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
        self.size = (size[0], size[1])
        centres, strides = places(size)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        x = self.stem(images_nchw)
        features = [x := stage(x) for stage in self.stages]
        found = [head(x) for head, x in zip(self.heads, self.pyramid(*features[1:]), strict=True)]
        # N×c×h×w of three strides → N×A×c
        logits, offsets, objectness = (
            torch.cat([maps.flatten(2) for maps in kind], 2).transpose(1, 2).float()
            for kind in zip(*found, strict=True)
        )
        return {"boxes": self._boxes(offsets, images_nchw), "logits": logits, "objectness": objectness[..., 0]}

    def _boxes(self, offsets_na4: Tensor, images_nchw: Tensor) -> Tensor:
        """Middle and log-size in strides, from the top left of each place's square, to corners in pixels."""
        centres, strides = self.centres, self.strides
        if tuple(images_nchw.shape[2:]) != self.size:
            centres, strides = (tensor.to(centres.device) for tensor in places(images_nchw.shape[2:]))
        strides = strides[:, None]
        middle = (offsets_na4[..., :2] - 0.5) * strides + centres
        half = offsets_na4[..., 2:].clamp(max=_LARGEST).exp() * (strides / 2)
        return torch.cat([middle - half, middle + half], -1)


def yolo(*, classes: int, channels: int, size: Sequence[int], scale: str = "nano") -> nn.Module:
    """YOLOX: finds objects and their boxes in photos of any kind; COCO weights for "nano".

    ``size`` is (height, width), multiples of 32. ``scale``: "nano" (0.9 M weights, 0.54 G multiplications at 416×416,
    25.8 mAP on COCO as published), "tiny" (5.1 M, 3.2 G, 32.8 mAP) or "small" (9.0 M, 5.7 G; 40.5 mAP at 640×640).
    The published weights expect colours (red, green, blue) in 0–1: mean 0, deviation 1.
    """
    if scale not in SCALES:
        raise UsageError(f"no scale {scale!r} of yolo", expected=f"one of {', '.join(SCALES)}")
    if len(size) != 2 or min(size) < 32 or any(side % 32 for side in size):
        near = [max(32, round(side / 32) * 32) for side in size]
        raise UsageError(
            f"images of {'×'.join(map(str, size))} pixels for yolo",
            expected="height and width that 32 divides",
            hint=f"such as {'×'.join(map(str, near))}",
        )
    return Yolo(classes=classes, channels=channels, size=size, scale=SCALES[scale])
