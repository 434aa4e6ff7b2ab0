"""The first part of an exported graph: any image brought to the model's size, to the same pixels as ``Fit``."""

import torch
from torch import Tensor, nn

from visto.errors import GateError
from visto.preprocess import Fit
from visto.preprocess.standard import LUMA, PADDING
from visto.preprocess.steps import apply

_FINEST = 22  # bits behind the point that a weight may have, as in torch and Pillow
_WHOLE = 2**15  # a weight in whole numbers stays below it


class Entry(nn.Module):
    """uint8 N×H×W×3 (RGB, any one size) to ``fitted`` uint8 N×C×h×w and ``place`` (6 float32).

    ``place`` says where fitted pixels lie in the image: x = place[0] · x' + place[2], y = place[1] · y' + place[3]; the
    last two are the image's width and height. Torch resizes bytes in whole numbers; here the same numbers are the
    entries of two matrices, made from the size in the graph itself, because the runtimes' own resizing with
    antialiasing differs from it by up to 18 levels at some pixels. Raises GateError for steps on letterboxed images.
    """

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit
        if fit.steps and fit.crop == "letterbox":
            raise GateError(
                f"the step {str(fit.steps[0])!r} has no ONNX form on images that keep their proportions",
                hint="train it with --prepare left out, or with another crop",
            )

    def forward(self, images_nhwc: Tensor) -> dict[str, Tensor]:
        fit, size = self.fit, self.fit.size
        # numbers of the graph, not of Python: the size is known only when it runs
        height, width = (_number(side) for side in images_nhwc.shape[1:3])
        top, left, tall, wide = self._taken(height, width)
        rows, columns = self._filled(height, width)
        down = _weights(images_nhwc.shape[1], size.height, rows, top, tall)
        right = _weights(images_nhwc.shape[2], size.width, columns, left, wide, axis=0)
        images = images_nhwc.permute(0, 3, 1, 2)
        if fit.steps:  # they are taken in colour, and what they give is brought to the channels that are wanted
            # exact, in float64: what float32 rounds otherwise is one level at one pixel of ten thousand or fewer, but
            # steps make more of it
            images = _resized(images.double(), down.double(), right.double())
            images = apply(images.to(torch.uint8), fit.steps).float()
            images = images if images.shape[1] == fit.channels else _grey(images) if fit.channels == 1 else images
        else:
            images = images.float()
            images = _resized(_grey(images) if fit.channels == 1 else images, down, right)
        images = images if images.shape[1] == fit.channels else images.expand(-1, fit.channels, -1, -1)
        if fit.crop == "letterbox":
            beyond_x = torch.arange(size.width, dtype=torch.float64) >= columns
            beyond_y = torch.arange(size.height, dtype=torch.float64) >= rows
            images = torch.where(beyond_y[:, None] | beyond_x, float(PADDING), images)
        place = torch.stack([wide / columns, tall / rows, left, top, width, height]).float()
        return {"fitted": images.to(torch.uint8), "place": place}

    def _taken(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As ``Fit`` says it in Python: top, left, height and width of the part that is looked at."""
        zero = torch.zeros((), dtype=torch.float64)
        if self.fit.crop != "middle":
            return zero, zero, height, width
        size = self.fit.size
        tall = torch.minimum(height, (width * size.height / size.width).round().clamp_min(1))
        wide = torch.minimum(width, (height * size.width / size.height).round().clamp_min(1))
        return ((height - tall) / 2).floor(), ((width - wide) / 2).floor(), tall, wide

    def _filled(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        size = self.fit.size
        rows, columns = torch.full_like(height, size.height), torch.full_like(width, size.width)
        if self.fit.crop != "letterbox":
            return rows, columns
        scale = torch.minimum(rows / height, columns / width)
        return (height * scale).round().clamp_min(1), (width * scale).round().clamp_min(1)


class Exit(nn.Module):
    """Boxes N×M×4 of the fitted image to those of the image that was given, cut off at its border."""

    def forward(self, boxes_nm4: Tensor, place_6: Tensor) -> Tensor:
        x_scale, y_scale, left, top, width, height = place_6.unbind(0)
        x0, y0, x1, y1 = boxes_nm4.unbind(2)
        across = [(x * x_scale + left).clamp_min(0).minimum(width) for x in (x0, x1)]
        along = [(y * y_scale + top).clamp_min(0).minimum(height) for y in (y0, y1)]
        return torch.stack([across[0], along[0], across[1], along[1]], 2)


def _number(side: int) -> Tensor:
    return torch.scalar_tensor(side, dtype=torch.float64)


def _grey(images_n3hw: Tensor) -> Tensor:
    return (images_n3hw * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True).round().clamp(0, 255)


def _weights(source: int, out: int, filled: Tensor, start: Tensor, taken: Tensor, *, axis: int = 1) -> Tensor:
    """How much each of ``source`` pixels counts for each of ``out``, float32 out×source, with ``axis`` 0 source×out.

    Bilinear with antialiasing as in torch's ``upsample_bilinear2d_aa`` on bytes: of the ``taken`` pixels from ``start``
    on, for the first ``filled`` of ``out``; each weight is a whole number over a power of two. None is transposed
    later: onnxruntime 1.20 would merge that into a product which it does not have in float64.
    """
    scale = taken / filled
    reach = scale.clamp_min(1)
    centre = (scale * (torch.arange(out, dtype=torch.float64) + 0.5)).unsqueeze(axis)
    first = (centre - reach + 0.5).floor().clamp_min(0)
    last = torch.minimum((centre + reach + 0.5).floor(), taken)
    at = (torch.arange(source, dtype=torch.float64) - start).unsqueeze(1 - axis)
    weights = (1 - ((at - centre + 0.5) / reach).abs()).clamp_min(0)
    inside = (at >= first) & (at < last) & (torch.arange(out, dtype=torch.float64).unsqueeze(axis) < filled)
    weights = torch.where(inside, weights, 0.0)
    total = weights.sum(axis, keepdim=True)  # 0 beyond ``filled``
    weights = weights / torch.where(total > 0, total, 1.0)
    units = 2.0 ** torch.arange(1, _FINEST + 1, dtype=torch.float64)
    unit = torch.where((0.5 + weights.max() * units).floor() < _WHOLE, units, 1.0).max()
    return ((weights * unit + 0.5).floor() / unit).float()


def _resized(images_nchw: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Whole numbers 0–255, rounded after each direction as torch does."""
    across = (images_nchw @ right + 0.5).floor().clamp(0, 255)
    return (down @ across + 0.5).floor().clamp(0, 255)
