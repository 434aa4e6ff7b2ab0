"""Descriptors of images small or plain enough to be worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from visto.ops.cells import binned, cell_counts, grid_cells, shares
from visto.ops.colour_histogram import colour_histogram, grey_bins, hsv_bins, moments
from visto.ops.cooccurrence import ANGLES, PROPERTIES, cooccurrences, properties, texture
from visto.ops.edge_histogram import KINDS, block_side, edge_histogram, edge_kinds, steepness
from visto.ops.hog import hog, orientations
from visto.ops.lbp import lbp, patterns

_HARALICK = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]])  # figure 3 of the paper


def _step(height: int, width: int, at: int) -> Tensor:
    """Black at the left, white from column ``at`` on: 1×1×height×width in 0–1."""
    return (torch.arange(width) >= at).float().expand(1, 1, height, width)


def test_cells_of_a_side_that_does_not_divide() -> None:
    assert grid_cells(1, 10, 4)[0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert grid_cells(9, 1, 4)[:, 0].tolist() == [0, 0, 0, 4, 4, 8, 8, 12, 12]
    assert grid_cells(10, 11, 2, step=5).tolist() == [[0, 0], [2, 2]]


def test_counts_of_each_cell() -> None:
    codes = torch.tensor([[[0, 1], [1, 1], [2, 2], [2, 0]]])
    counts = cell_counts(codes, 3, torch.tensor([[0, 0], [0, 0], [1, 1], [1, 1]]), 2)
    assert counts[0].tolist() == [[1, 3, 0], [1, 0, 3], [0, 0, 0], [0, 0, 0]]
    assert shares(counts)[0].tolist() == [[0.25, 0.75, 0], [0.25, 0, 0.75], [0, 0, 0], [0, 0, 0]]


def test_binned_rows_are_apart() -> None:
    assert binned(torch.tensor([[0, 0], [1, 0]]), 2).tolist() == [[2, 0], [1, 1]]


@pytest.mark.parametrize(
    ("down", "right", "orientation"),
    [(0, 1, 0), (0, -1, 0), (1, 0, 4), (-1, 0, 4), (1, 1, 2), (-1, -1, 2), (1, -1, 6), (-1, 1, 6), (-1, 10, 8)],
)
def test_orientation_of_a_slope(down: int, right: int, orientation: int) -> None:
    """A plane that rises by so many levels a pixel: every pixel of an inner cell has twice that as its gradient."""
    rows, columns = torch.arange(12.0)[:, None], torch.arange(12.0)
    images = ((128 + down * rows + right * columns) / 255)[None, None]
    middle = orientations(images, 4)[0, 1, 1]
    assert middle[orientation] == pytest.approx(16 * 2 * math.hypot(down, right), rel=1e-5)
    assert middle.count_nonzero() == 1


@pytest.mark.parametrize(("down", "right", "orientation"), [(2, 1, 4), (1, 2, 0), (1, 1, 4)])
def test_hog_takes_the_steeper_channel(down: int, right: int, orientation: int) -> None:
    """One channel rises downwards, the next to the right; the first of equals counts."""
    rows, columns = torch.arange(12.0)[:, None], torch.arange(12.0)
    flat = torch.zeros(12, 12)
    images = torch.stack([flat + down * rows, flat + right * columns, flat])[None] / 255
    middle = orientations(images, 4)[0, 1, 1]
    assert middle[orientation] == 16 * 2 * max(down, right)
    assert middle.count_nonzero() == 1


def test_hog_of_one_orientation() -> None:
    """Of an upright step two cells of a block see as much: 1/√2, clipped to 0.2, and 1/√2 again."""
    block = hog(_step(16, 16, 5), 4)[0].view(3, 3, 4, 9)[1, 0]
    assert block[:, 0].tolist() == pytest.approx([0, math.sqrt(0.5)] * 2)  # columns 4 and 5 rise: the second cell's
    assert not block[:, 1:].any()


def test_hog_of_nothing_is_nothing() -> None:
    for value in (0.0, 0.3, 1.0):
        assert not hog(torch.full((1, 3, 16, 16), value), 4).any()


def _reference_code(levels: list[list[int]], row: int, column: int) -> int:
    """A pixel's code from its definition, in whole numbers: a neighbour at 0.70711 along both axes, black outside."""
    side, far = len(levels), 70711

    def level(down: int, right: int) -> int:
        inside = 0 <= row + down < side and 0 <= column + right < side
        return levels[row + down][column + right] if inside else 0

    bits = []
    for down, right in [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]:
        near = 100000 - far
        if down and right:
            value = near * near * level(0, 0) + far * near * (level(down, 0) + level(0, right))
            bits.append(value + far * far * level(down, right) >= 10**10 * level(0, 0))
        else:
            bits.append(level(down, right) >= level(0, 0))
    if sum(bits[k] != bits[k - 1] for k in range(8)) > 2:
        return 58
    if len(set(bits)) == 1:
        return 57 * bits[0]
    first = next(k for k in range(8) if bits[k] and not bits[k - 1])
    return 1 + 8 * (sum(bits) - 1) + (8 - first) % 8


@pytest.mark.parametrize("high", [1, 3, 255])
def test_patterns_by_definition(high: int) -> None:
    """Few levels: many exact ties."""
    levels = torch.randint(0, high + 1, (3, 9, 9), generator=torch.Generator().manual_seed(high))
    expected = [[[_reference_code(rows, r, c) for c in range(9)] for r in range(9)] for rows in levels.tolist()]
    assert patterns(levels.float()).tolist() == expected


def test_over_a_flat_ground_all_neighbours_are_as_bright() -> None:
    for level in (0, 1, 77, 255):
        codes = patterns(torch.full((1, 5, 5), float(level)))[0]
        assert bool((codes[1:-1, 1:-1] == 57).all())
    assert torch.equal(lbp(torch.zeros(1, 1, 12, 12)).view(16, 59)[:, 57], torch.ones(16))


def test_the_example_of_haralick() -> None:
    """The four matrices of the paper."""
    level = [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]
    falling = [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]
    upright = [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]
    rising = [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]
    for (down, right), matrix in zip(ANGLES, (level, falling, upright, rising), strict=True):
        assert cooccurrences(_HARALICK, 4, down, right)[0].tolist() == matrix
        assert cooccurrences(_HARALICK, 4, -down, -right)[0].tolist() == matrix


def test_properties_of_two_levels_side_by_side() -> None:
    """Level 0 and level 3 always alternate: two entries of one half each."""
    counts = cooccurrences(torch.tensor([[[0, 3, 0]]]), 4, 0, 1)
    found = dict(zip(PROPERTIES, properties(counts)[0].tolist(), strict=True))
    assert found == pytest.approx(
        {
            "contrast": 9,
            "dissimilarity": 3,
            "homogeneity": 0.1,
            "ASM": 0.5,
            "energy": math.sqrt(0.5),
            "correlation": -1,
            "entropy": math.log(2),
        }
    )


def test_texture_of_one_level() -> None:
    for value in (0.0, 0.5, 1.0):
        found = texture(torch.full((1, 1, 8, 8), value), [1]).view(4, 7)
        assert torch.allclose(found, torch.tensor([[0.0, 0, 1, 1, 1, 1, 0]] * 4), atol=1e-7)


def test_colours_and_their_bins() -> None:
    """Bins are (hue · 3 + saturation) · 3 + value."""
    colours = {
        (255, 0, 0): (0, 2, 2),
        (255, 255, 0): (1, 2, 2),  # 60° of 45° each
        (0, 255, 0): (2, 2, 2),
        (0, 0, 255): (5, 2, 2),
        (255, 0, 255): (6, 2, 2),
        (255, 0, 1): (7, 2, 2),
        (0, 60, 0): (2, 2, 0),
        (200, 150, 150): (0, 0, 2),
        (90, 60, 60): (0, 1, 1),  # saturation just at the border: the upper bin
        (255, 191, 0): (0, 2, 2),  # 44.9°
        (85, 85, 85): (0, 0, 1),
        (84, 84, 84): (0, 0, 0),
    }
    pixels = torch.tensor(list(colours)).T.view(1, 3, 1, -1) / 255
    assert hsv_bins(pixels)[0, 0].tolist() == [(h * 3 + s) * 3 + v for h, s, v in colours.values()]


def test_greys_and_their_bins() -> None:
    assert grey_bins(torch.tensor([[[[0, 7, 8, 255]]]]) / 255).tolist() == [[[0, 0, 1, 31]]]


def test_moments_are_in_the_unit_of_the_channel() -> None:
    """A quarter of the pixels is 0.8, the others 0: mean 0.2, variance 0.12, third moment 0.2³ · 6 = 0.048."""
    image = torch.tensor([0.8, 0, 0, 0]).view(1, 1, 2, 2)
    assert moments(image)[0].tolist() == pytest.approx([0.2, math.sqrt(0.12), 0.048 ** (1 / 3)])
    assert moments(0.8 - image)[0].tolist() == pytest.approx([0.6, math.sqrt(0.12), -(0.048 ** (1 / 3))])


def test_the_regions_of_a_colour_histogram() -> None:
    """Red above, black below, a side that is odd: its middle row is of the upper quarters."""
    images = torch.zeros(1, 3, 5, 4)
    images[0, 0, :3] = 1
    found = colour_histogram(images)[0]
    whole, *quarters = found[: 5 * 72].view(5, 72)
    assert whole[8] == pytest.approx(0.6) and whole[0] == pytest.approx(0.4)
    assert [quarter[8].item() for quarter in quarters] == [1, 1, 0, 0]
    assert [part[0].item() for part in found[360:].view(5, 9)] == pytest.approx([0.6, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ([[90, 0], [90, 0]], "vertical"),
        ([[0, 0], [90, 90]], "horizontal"),
        ([[90, 45], [45, 0]], "45°"),
        ([[45, 0], [90, 45]], "135°"),
        ([[90, 0], [0, 90]], "without direction"),
        ([[90, 0], [0, 0]], "without direction"),  # 2 · 90 against √2 · 90 and 90
        ([[50, 50], [50, 50]], None),
        ([[5, 0], [6, 0]], None),  # 11 is not above 11
        ([[6, 0], [6, 0]], "vertical"),
    ],
)
def test_the_kind_of_an_edge(block: list[list[int]], kind: str | None) -> None:
    expected = len(KINDS) if kind is None else KINDS.index(kind)
    levels = torch.tensor(block).float()[None]
    assert edge_kinds(levels, 2).tolist() == [[[expected]]]
    assert edge_kinds(levels.repeat_interleave(3, 1).repeat_interleave(3, 2), 6).tolist() == [[[expected]]]


def test_edges_of_a_step() -> None:
    """The step is within blocks of the second column of sub-images: half of the blocks there have a vertical edge."""
    found = edge_histogram(_step(16, 16, 5))[0]
    kinds = found[:80].view(4, 4, 5)
    assert kinds[:, 1, 0].tolist() == [0.5] * 4
    assert kinds.sum() == 2
    # columns 4 and 5 are at 4 · 255 of √32 · 255: half the width of the sub-image
    assert found[80:].view(4, 4)[0].tolist() == pytest.approx([0, 0.5 * 4 / math.sqrt(32), 0, 0])


@pytest.mark.parametrize("height", [16, 17, 19, 21, 100, 333])
@pytest.mark.parametrize("width", [16, 18, 23, 97, 4000])
def test_every_sub_image_has_blocks(height: int, width: int) -> None:
    side = block_side(height, width)
    cells = grid_cells(height, width, 4, side)
    assert tuple(cells.shape) == (height // side, width // side)
    assert set(cells.flatten().tolist()) == set(range(16))


def test_steepness_of_a_slope() -> None:
    """One level a pixel to the right: Sobel's gradient is 8 inside, 4 at the borders, of √32 · 255."""
    levels = torch.arange(8.0).expand(1, 8, 8)
    assert steepness(levels)[0, :4].tolist() == pytest.approx([w / math.sqrt(32) / 255 for w in (6, 8, 8, 6)])
