"""Histogram equalisation."""

import torch
from torch import Tensor

from visto.ops.colour import luma, with_luma
from visto.ops.histogram import histograms, looked_up


def equalize(images: Tensor) -> Tensor:
    """Equalise the luminance of uint8 images N×C×H×W: every level becomes about as frequent as any other.

    Colour is kept. A luminance goes to 255 · (share of pixels not above it − share of the darkest) / (1 − share of the
    darkest), so the darkest pixels become 0 and the brightest 255; an image of a single luminance stays as it is. This
    is how OpenCV does it, and scikit-image after a rescaling: without that, a picture on black comes out on light grey.

    >>> equalize(torch.tensor([[[[10, 10, 11, 200]]]], dtype=torch.uint8)).tolist()
    [[[[0, 0, 128, 255]]]]
    """
    grey = luma(images)
    below = histograms(grey)[:, 0].cumsum(1)
    darkest = below.masked_fill(below == 0, torch.iinfo(torch.int64).max).amin(1, keepdim=True)
    rest = below[:, -1:] - darkest
    tables = ((below - darkest).clamp(min=0).double() * 255 / rest.clamp(min=1)).round().to(torch.uint8)
    unchanged = torch.arange(256, dtype=torch.uint8, device=images.device)
    return with_luma(images, grey, looked_up(grey, torch.where(rest > 0, tables, unchanged)))
