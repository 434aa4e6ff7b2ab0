"""Which colours an image has, and where: histograms and moments of the whole and of its four quarters.

Swain and Ballard, "Color indexing", IJCV 1991 (histograms); Stricker and Orengo, "Similarity of color images", SPIE
1995 (moments: mean, deviation, skewness).
"""

import torch
from torch import Tensor

from visto.ops.cells import cell_counts, grid_cells, shares
from visto.ops.levels import whole_levels

HUES, SATURATIONS, VALUES = 8, 3, 3
GREYS = 32
QUARTERS = 2  # along each side
REGIONS = 1 + QUARTERS**2


def hsv_bins(images_nchw: Tensor) -> Tensor:
    """The bin of each pixel's hue, saturation and value, of 8×3×3 of equal width: int64 N×H×W, 0 … 71.

    ``images_nchw`` are float colour images in 0–1. Grey pixels have hue and saturation 0. All quotients are of whole
    numbers, so that a colour on the border of two bins falls into the upper one, everywhere.

    >>> red, green, black = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]
    >>> hsv_bins(torch.tensor([red, green, black]).T.view(1, 3, 1, 3)).tolist()
    [[[8, 26, 0]]]
    """
    red, green, blue = whole_levels(images_nchw).unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    spread = high - torch.minimum(torch.minimum(red, green), blue)
    # the hue times the spread, in sixths of the circle: from −1 (magenta) over 0 (red) to 5 (magenta)
    turn = torch.where(high == green, blue - red + 2 * spread, red - green + 4 * spread)
    turn = torch.where(high == red, green - blue, turn)
    hue = (turn * HUES / (6 * spread).clamp(min=1)).floor()
    hue = torch.where(hue < 0, hue + HUES, hue)
    saturation = (spread * SATURATIONS / high.clamp(min=1)).floor().clamp(max=SATURATIONS - 1)
    value = (high * VALUES / 255).floor().clamp(max=VALUES - 1)
    return ((hue * SATURATIONS + saturation) * VALUES + value).long()


def grey_bins(images_nchw: Tensor) -> Tensor:
    """The bin of each pixel of grey images (float N×1×H×W in 0–1), of 32 of equal width: int64 N×H×W."""
    return (whole_levels(images_nchw)[:, 0] / (256 / GREYS)).long()


def moments(images_nchw: Tensor) -> Tensor:
    """Mean, deviation and skewness of each channel: N×3C, the means first, all in the unit of the channel.

    The skewness is the cube root of the third central moment, as in Stricker and Orengo; of the channels as they are,
    for hue is a circle and has no mean.
    """
    pixels = images_nchw.flatten(2).double()  # a cube root makes 0.001 of a rounding error of 1e-9
    mean = pixels.mean(2, keepdim=True)
    away = pixels - mean
    square = away.square()
    third = (square * away).mean(2)
    skewness = third.sign() * third.abs() ** (1 / 3)
    return torch.cat([mean[..., 0], square.mean(2).sqrt(), skewness], dim=1).float()


def colour_histogram(images_nchw: Tensor) -> Tensor:
    """Float images in 0–1, to float32 N×405 for colour, N×175 for grey: histograms of the regions, then their moments.

    The regions are the whole, then its four quarters in reading order (an odd row or column goes to the upper or left
    ones). Histograms, each with the sum 1, are of 72 bins of hue, saturation and value, or of 32 of grey.
    """
    channels, height, width = images_nchw.shape[1:]
    codes = hsv_bins(images_nchw) if channels == 3 else grey_bins(images_nchw)
    bins = HUES * SATURATIONS * VALUES if channels == 3 else GREYS
    counts = cell_counts(codes, bins, grid_cells(height, width, QUARTERS), QUARTERS)
    regions = torch.cat([counts.sum(1, keepdim=True), counts], dim=1)
    middle, centre = (height + 1) // 2, (width + 1) // 2
    upper, lower = images_nchw[:, :, :middle], images_nchw[:, :, middle:]
    halves = [half[..., part] for half in (upper, lower) for part in (slice(centre), slice(centre, None))]
    told = [moments(region) for region in (images_nchw, *halves)]
    return torch.cat([shares(regions).flatten(1), *told], dim=1)
