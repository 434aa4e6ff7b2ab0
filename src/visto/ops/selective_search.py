"""Selective search: boxes that may hold a thing of any class, from regions that are grouped from the smallest upwards.

Uijlings, van de Sande, Gevers and Smeulders, "Selective search for object recognition", IJCV 104(2), 2013. The regions
at the start are those of Felzenszwalb and Huttenlocher, "Efficient graph-based image segmentation", IJCV 59(2), 2004,
by scikit-image: an extra, imported when needed.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PIXELS = 1 << 16  # worked on at most: 416×312 halved took 0.2 s for 0.6 s and met no fewer boxes (IoU 0.5)
_SMALLEST = 12  # pixels: of a region at the start
_COLOURS, _WAYS, _LENGTHS = 25, 8, 10  # bins: of a channel's values; of its gradients, the ways they point and lengths
_STEEP = 0.25  # the length of a gradient, of values in 0–1, from which on all are in the last bin
_THIN = 50  # boxes thinner than this part of the longer side are left out: 8 of 416 pixels
_PLACE, _LONG = 0.1, 0.2  # what a factor e in the place, and one in the shape of its box, costs a region's promise
_ALIKE = 0.7  # intersection over union above which two boxes are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each likeness of two regions counts."""

    colour: float = 0
    texture: float = 0
    size: float = 0
    fill: float = 0


# Whether the colours are turned to grey first, the segmentation's threshold k (higher: larger regions), and what the
# groupings of those regions go by.
_FILL, _SIZE = Weights(fill=1), Weights(size=1)
_STRATEGIES: tuple[tuple[bool, float, tuple[Weights, ...]], ...] = (
    (False, 30, (_FILL, _SIZE, Weights(colour=1, size=1, fill=1))),
    (True, 15, (_FILL, _SIZE, Weights(colour=1, texture=1, size=1, fill=1))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """N regions of an image: what their likeness is told by. Histograms have the sum 1 each; sizes are in pixels."""

    sizes_n: Floats
    boxes_n4: Floats
    colours_nb: Floats
    textures_nb: Floats
    area: int  # of the image, in pixels


def selective_search(image_chw: Tensor, *, most: int = 300) -> Tensor:
    """At most ``most`` boxes M×4 of a uint8 image C×H×W (C is 1 or 3), the most promising first: float32, as edges.

    The same image has the same boxes. No two are alike (an IoU above 0.7), and none is thinner than a fiftieth of the
    image's longer side. An image of one flat region has one box, its own. An image of 416×312 takes 0.2 s of a
    core; all are worked on at 65,536 pixels at most, and their boxes are as coarse as that. Raises ValueError for any
    other image, and UsageError where scikit-image is not installed.
    """
    if image_chw.dtype != torch.uint8 or image_chw.ndim != 3 or image_chw.shape[0] not in (1, 3):
        raise ValueError(f"an image {image_chw.dtype} {tuple(image_chw.shape)}, expected uint8 C×H×W, C 1 or 3")
    if most < 1 or 0 in image_chw.shape:
        raise ValueError(f"{most} boxes of an image {tuple(image_chw.shape)}, expected 1 or more of 1 pixel or more")
    felzenszwalb = _felzenszwalb()
    height, width = image_chw.shape[1:]
    pixels, times = _reduced(image_chw)
    boxes, scores = [], []
    for greyed, k, groupings in _STRATEGIES:
        seen = _grey(pixels) if greyed else pixels
        # no blur, which puts a rim around each shape: on blood cells one of 0.5 pixels met as many boxes at IoU 0.5
        # (at 0.7 more: 0.70 for 0.66)
        segments = felzenszwalb(seen, scale=k, sigma=0, min_size=_SMALLEST).astype(np.int64)
        start, pairs = regions(seen, segments), neighbours(segments)
        for weights in groupings:
            grouped = group(start, pairs, weights)
            boxes.append(grouped.boxes_n4)
            scores.append(promise(grouped))
    found = np.minimum(np.concatenate(boxes) * times, [width, height, width, height])
    wide = (found[:, 2:] - found[:, :2]).min(1) >= min(max(height, width) / _THIN, height, width)
    found = found[wide][np.argsort(-np.concatenate(scores)[wide], kind="stable")]
    return torch.from_numpy(found[_distinct(found, most)].astype(np.float32))


def regions(pixels_hwc: Floats, segments_hw: Ints) -> Regions:
    """What each segment (0 … N - 1, all there) is like, from pixels in 0–1.

    Colours: 25 bins a channel. Textures: of each channel's gradient, 8 ways to point with 10 lengths each (the paper
    has derivatives of Gaussians along 8 directions with 10 bins each).
    """
    height, width = segments_hw.shape
    of, n = segments_hw.ravel(), int(segments_hw.max()) + 1
    y, x = np.divmod(np.arange(of.size), width)
    boxes = np.empty((n, 4), np.int64)
    boxes[:] = (width, height, 0, 0)
    for side, (least, at) in enumerate(((True, x), (True, y), (False, x + 1), (False, y + 1))):
        (np.minimum if least else np.maximum).at(boxes[:, side], of, at)
    padded = np.pad(pixels_hwc, ((1, 1), (1, 1), (0, 0)), mode="edge")
    down, right = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    ways = np.floor((np.arctan2(down, right) / np.pi + 1) * (_WAYS / 2)).astype(np.int64) % _WAYS
    lengths = _bins(np.hypot(down, right) / _STEEP, _LENGTHS)
    return Regions(
        sizes_n=np.bincount(of, minlength=n).astype(np.float64),
        boxes_n4=boxes.astype(np.float64),
        colours_nb=_histograms(_bins(pixels_hwc, _COLOURS), _COLOURS, segments_hw, n),
        textures_nb=_histograms(ways * _LENGTHS + lengths, _WAYS * _LENGTHS, segments_hw, n),
        area=of.size,
    )


def neighbours(segments_hw: Ints) -> Ints:
    """The pairs P×2 of segments that share an edge of a pixel, the smaller number first, each pair once, sorted."""
    across = np.stack([segments_hw[:, 1:].ravel(), segments_hw[:, :-1].ravel()], 1)
    down = np.stack([segments_hw[1:].ravel(), segments_hw[:-1].ravel()], 1)
    pairs = np.concatenate([across, down])
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1)
    n = int(segments_hw.max()) + 1
    return np.stack(np.divmod(np.unique(pairs[:, 0] * n + pairs[:, 1]), n), 1)


def likeness(of: Regions, first: Ints, second: Ints, weights: Weights) -> Floats:
    """How alike regions ``first`` are to ``second``, pair by pair (or one to many): the paper's four, weighted.

    Each is 1 at most: what the histograms of colour and of texture share; how little of the image both cover; and how
    well they fill the box around both.
    """
    both = of.sizes_n[first] + of.sizes_n[second]
    box = _around(of.boxes_n4[first], of.boxes_n4[second])
    gap = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) - both
    found = weights.size * (1 - both / of.area) + weights.fill * (1 - gap / of.area)
    for weight, histograms in ((weights.colour, of.colours_nb), (weights.texture, of.textures_nb)):
        if weight:
            found = found + weight * np.minimum(histograms[first], histograms[second]).sum(-1)
    return found


def group(start: Regions, pairs_p2: Ints, weights: Weights) -> Regions:
    """The N regions of the ``start``, then N - 1, each of the two neighbours most alike; the last is the whole."""
    n = len(start.sizes_n)
    whole = 2 * n - 2
    of = _with_room(start, n - 1)
    near: list[set[int]] = [set() for _ in range(whole + 1)]
    for a, b in pairs_p2.tolist():
        near[a].add(b)
        near[b].add(a)
    alike = likeness(of, pairs_p2[:, 0], pairs_p2[:, 1], weights)
    heap = [(-value, a, b) for value, (a, b) in zip(alike.tolist(), pairs_p2.tolist(), strict=True)]
    heapq.heapify(heap)
    apart = [True] * (whole + 1)  # not yet a part of another
    for new in range(n, whole + 1):
        _, a, b = heapq.heappop(heap)
        while not (apart[a] and apart[b]):
            _, a, b = heapq.heappop(heap)
        apart[a] = apart[b] = False
        _join(of, new, a, b, histograms=weights.colour + weights.texture > 0)
        others = sorted((near[a] | near[b]) - {a, b})
        near[new].update(others)
        for other in others:
            near[other] -= {a, b}
            near[other].add(new)
        if others:
            values = likeness(of, np.array(others), np.array(new), weights)
            for value, other in zip(values.tolist(), others, strict=True):
                heapq.heappush(heap, (-value, other, new))
    return of


def promise(of: Regions) -> Floats:
    """How likely each region of a grouping is a thing: the fuller its box, the squarer, and the later it was made.

    The paper has a number drawn by chance times the place in the hierarchy, from the whole downwards. On 35 images of
    blood cells (BCCD, of the split to train) the first 100 meet 0.60 of the true boxes by that and 0.82 by this order
    (IoU 0.5), the first 300 0.93 and 0.97.
    """
    wide, high = (of.boxes_n4[:, 2:] - of.boxes_n4[:, :2]).T
    place = np.arange(len(wide), 0, -1)
    found: Floats = of.sizes_n / (wide * high) - _PLACE * np.log(place) - _LONG * np.abs(np.log(wide / high))
    return found


def _felzenszwalb() -> Callable[..., NDArray[Any]]:
    try:
        from skimage.segmentation import felzenszwalb  # noqa: PLC0415  (an extra: asked for when it is needed)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "skimage":
            raise
        raise UsageError(
            "selective search needs scikit-image, which is not installed", hint='install it: pip install "visto[rcnn]"'
        ) from error
    found: Callable[..., NDArray[Any]] = felzenszwalb
    return found


def _reduced(image_chw: Tensor) -> tuple[Floats, int]:
    """The means of squares of pixels, H×W×C in 0–1, and how many pixels wide a square is (1: the pixels themselves)."""
    pixels = image_chw.permute(1, 2, 0).cpu().numpy()
    height, width, channels = pixels.shape
    times = next(n for n in count(1) if -(-height // n) * -(-width // n) <= _PIXELS)
    pixels = np.pad(pixels, ((0, -height % times), (0, -width % times), (0, 0)), mode="edge")
    squares = pixels.reshape(len(pixels) // times, times, -1, times, channels)
    return squares.mean((1, 3)) / 255, times


def _grey(pixels_hwc: Floats) -> Floats:
    """Luminance (ITU-R BT.601), H×W×1."""
    return pixels_hwc @ np.array([[0.299], [0.587], [0.114]]) if pixels_hwc.shape[2] == 3 else pixels_hwc


def _bins(values: Floats, bins: int) -> Ints:
    """The bin of each value, of that many of equal width in 0–1; what is above is in the last."""
    return np.minimum((values * bins).astype(np.int64), bins - 1)


def _histograms(codes_hwc: Ints, bins: int, segments_hw: Ints, n: int) -> Floats:
    """How often each code 0 … ``bins`` - 1 of each channel is in each of ``n`` segments: shares, n×(C · bins)."""
    channels = codes_hwc.shape[2]
    rows = (segments_hw[..., None] * channels + np.arange(channels)) * bins + codes_hwc
    counts = np.bincount(rows.ravel(), minlength=n * channels * bins).reshape(n, -1)
    found: Floats = counts / counts.sum(1, keepdims=True)
    return found


def _around(first: Floats, second: Floats) -> Floats:
    """The smallest boxes …×4 that hold both."""
    low, high = np.minimum(first[..., :2], second[..., :2]), np.maximum(first[..., 2:], second[..., 2:])
    return np.concatenate([low, high], -1)


def _with_room(start: Regions, more: int) -> Regions:
    """A copy with rows of zeros after it for that many ``more`` regions."""

    def longer(rows: Floats) -> Floats:
        return np.concatenate([rows, np.zeros((more, *rows.shape[1:]))])

    return Regions(
        sizes_n=longer(start.sizes_n),
        boxes_n4=longer(start.boxes_n4),
        colours_nb=longer(start.colours_nb),
        textures_nb=longer(start.textures_nb),
        area=start.area,
    )


def _join(of: Regions, new: int, a: int, b: int, *, histograms: bool) -> None:
    """Make region ``new`` of ``a`` and ``b``; a histogram of both is the mean of theirs, weighted by their sizes."""
    of.sizes_n[new] = of.sizes_n[a] + of.sizes_n[b]
    of.boxes_n4[new] = _around(of.boxes_n4[a], of.boxes_n4[b])
    if histograms:
        share = of.sizes_n[a] / of.sizes_n[new]
        for rows in (of.colours_nb, of.textures_nb):
            rows[new] = share * rows[a] + (1 - share) * rows[b]


def _distinct(boxes_n4: Floats, most: int) -> Ints:
    """The rows of at most ``most`` boxes, in their order, without those that are like one before them."""
    x0, y0, x1, y1 = np.ascontiguousarray(boxes_n4.T, dtype=np.float32)
    areas = (x1 - x0) * (y1 - y0)
    kept: list[int] = []
    left = np.arange(len(boxes_n4))
    while len(left) and len(kept) < most:
        one, left = int(left[0]), left[1:]
        kept.append(one)
        wide = np.minimum(x1[one], x1[left]) - np.maximum(x0[one], x0[left])
        high = np.minimum(y1[one], y1[left]) - np.maximum(y0[one], y0[left])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        left = left[shared <= _ALIKE * (areas[one] + areas[left] - shared)]
    return np.array(kept)
