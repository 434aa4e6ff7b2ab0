"""The first part of an exported graph: any image brought to the model's size, to the same pixels as ``Fit``."""

import torch
from torch import Tensor, nn

from visto.errors import GateError
from visto.preprocess import Fit
from visto.preprocess.standard import LUMA, PADDING
from visto.preprocess.steps import apply

_FINEST = 22  # bits behind the point that a weight may have, as in torch and Pillow
_WHOLE = 2**15  # a weight in whole numbers stays below it
_BLOCK = 16  # pixels next to each other are made together, from a window of those given


class Entry(nn.Module):
    """uint8 N×H×W×3 (RGB, any one size) to ``fitted`` uint8 N×C×h×w and ``place`` (6 float32).

    ``place`` says where fitted pixels lie in the image: x = place[0] · x' + place[2], y = place[1] · y' + place[3]; the
    last two are the image's width and height. Torch resizes bytes in whole numbers; here the same numbers are the
    entries of small matrices, one for each block of pixels, made from the size in the graph itself, because the
    runtimes' own resizing with antialiasing differs from it by up to 18 levels at some pixels. Raises GateError for
    steps on letterboxed images.
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
        # pixels that a block may need: as many times its own as the image is larger, and half of two on either side
        spans = [(_BLOCK + 2) * images_nhwc.shape[at] // side + 4 for at, side in ((1, size.height), (2, size.width))]
        if fit.crop == "letterbox":
            spans = [torch.sym_max(*spans)] * 2  # type: ignore[no-untyped-call]
        down = _Windows(images_nhwc.shape[1], size.height, rows, top, tall, spans[0])
        right = _Windows(images_nhwc.shape[2], size.width, columns, left, wide, spans[1])
        if fit.steps:  # they are taken in colour, and what they give is brought to the channels that are wanted
            # exact, in float64: what float32 rounds otherwise is one level at one pixel of ten thousand or fewer, but
            # steps make more of it
            images = apply(_resized(images_nhwc, down, right, torch.float64), fit.steps)
            images = images if images.shape[1] == fit.channels else _grey(images, 1) if fit.channels == 1 else images
        else:
            images = _grey(images_nhwc, 3) if fit.channels == 1 else images_nhwc
            images = _resized(images, down, right, torch.float32)
        images = images if images.shape[1] == fit.channels else images.expand(-1, fit.channels, -1, -1)
        if fit.crop == "letterbox":
            beyond_x = torch.arange(size.width, dtype=torch.float64) >= columns
            beyond_y = torch.arange(size.height, dtype=torch.float64) >= rows
            images = torch.where(beyond_y[:, None] | beyond_x, torch.tensor(PADDING, dtype=torch.uint8), images)
        place = torch.stack([wide / columns, tall / rows, left, top, width, height]).float()
        return {"fitted": images, "place": place}

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


def _grey(images: Tensor, axis: int) -> Tensor:
    luma = torch.tensor(LUMA).view([3 if at == axis else 1 for at in range(4)])
    return (images.float() * luma).sum(axis, keepdim=True).round().clamp(0, 255).to(torch.uint8)


class _Windows:
    """Which of ``source`` pixels count for each of ``out``, and how much.

    Bilinear with antialiasing as in torch's ``upsample_bilinear2d_aa`` on bytes: of the ``taken`` pixels from ``start``
    on, for the first ``filled`` of ``out``; each weight is a whole number over a power of two. A block of pixels needs
    a window of no more than ``span`` of those given; one matrix for all of them took a dozen times the products.
    """

    def __init__(self, source: int, out: int, filled: Tensor, start: Tensor, taken: Tensor, span: int) -> None:
        self.out = out
        blocks = -(-out // _BLOCK)
        number = torch.arange(blocks * _BLOCK, dtype=torch.float64).view(blocks, _BLOCK, 1)
        scale = taken / filled
        reach = scale.clamp_min(1)
        centre = scale * (number + 0.5)
        first = (centre - reach + 0.5).floor().clamp_min(0)
        last = torch.minimum((centre + reach + 0.5).floor(), taken)
        at = first[:, :1] + torch.arange(span, dtype=torch.float64)
        weights = (1 - ((at - centre + 0.5) / reach).abs()).clamp_min(0)
        weights = torch.where((at >= first) & (at < last) & (number < filled), weights, 0.0)
        total = weights.sum(2, keepdim=True)  # 0 beyond ``filled``
        weights = weights / torch.where(total > 0, total, 1.0)
        units = 2.0 ** torch.arange(1, _FINEST + 1, dtype=torch.float64)
        unit = torch.where((0.5 + weights.max() * units).floor() < _WHOLE, units, 1.0).max()
        self.weights_bks = (weights * unit + 0.5).floor() / unit
        self.places_bs = (at[:, 0] + start).clamp_max(source - 1).long()


def _resized(images_nhwc: Tensor, down: _Windows, right: _Windows, kind: torch.dtype) -> Tensor:
    """uint8 N×H×W×C to N×C×h×w, across and then down, rounded after each as torch does; products in ``kind``.

    Pixels move by whole windows: a product that keeps their colours apart (nine times the weights) costs less than
    transposing the images.
    """
    n, height, _, c = images_nhwc.shape
    blocks, span = right.places_bs.shape
    windows = images_nhwc.index_select(2, right.places_bs.flatten()).reshape(n, height, blocks, span * c)
    weights = right.weights_bks.transpose(1, 2)[:, :, None, :, None] * torch.eye(c)[:, None]
    weights = weights.reshape(blocks, 1, span * c, _BLOCK * c)
    across = _rounded(windows.permute(2, 0, 1, 3).to(kind) @ weights.to(kind))
    across = across.permute(1, 2, 0, 3).flatten(2)[:, :, : right.out * c]
    blocks, span = down.places_bs.shape
    windows = across.index_select(1, down.places_bs.flatten()).reshape(n, blocks, span, right.out * c)
    made = _rounded(down.weights_bks.to(kind) @ windows.to(kind)).flatten(1, 2)[:, : down.out]
    return made.reshape(n, down.out, right.out, c).permute(0, 3, 1, 2)


def _rounded(levels: Tensor) -> Tensor:
    return (levels + 0.5).to(torch.uint8)  # a mean of levels never is above 255.5
