"""The view knows where each pixel went: what is painted in the original lies where it says, for any size."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.data.decode import decode
from visto.ops.boxes import move_boxes
from visto.ops.picture import png
from visto.preprocess import Fit
from visto.types import Size

sides = st.integers(1, 400)


def fit_of(height: int, width: int, crop: str = "letterbox") -> Fit:
    return Fit(size=Size(height=height, width=width), channels=1, crop=crop)


def bright(image_hw: Tensor) -> tuple[float, float, float, float]:
    """Edges of what is bright, to fractions of a pixel: the sums along each axis are as long as the thing is."""
    share = image_hw.double() / 255
    found = []
    for axis in (0, 1):
        line = share.amax(axis)  # over rows: one value a column
        places = (line > 0.02).nonzero().flatten()
        first, last = int(places[0]), int(places[-1])
        if first == last:
            middle, length = first + 0.5, float(line[first])
            found.append((middle - length / 2, middle + length / 2))
        else:
            found.append((first + 1 - float(line[first]), last + float(line[last])))
    (x0, x1), (y0, y1) = found
    return x0, y0, x1, y1


@settings(max_examples=150, deadline=None)
@given(st.data(), sides, sides, st.sampled_from([32, 64, 96]), st.sampled_from([32, 64, 96]))
def test_a_thing_lands_where_the_view_says(data: st.DataObject, height: int, width: int, tall: int, wide: int) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    image = torch.zeros(1, 1, height, width, dtype=torch.uint8)
    image[..., y0:y1, x0:x1] = 255
    fit = fit_of(tall, wide)
    out = fit(image)[0, 0]
    filled_tall, filled_wide = fit._filled(height, width)
    assert bool((out[filled_tall:] == 114).all()) and bool((out[:, filled_wide:] == 114).all())
    seen = out[:filled_tall, :filled_wide]
    if int(seen.max()) < 128:
        return  # too small a thing to be measured
    view = fit.view(Size(height=height, width=width))
    found = move_boxes(torch.tensor([bright(seen)]), view.to_original)[0]
    blurred = view.to_original.diagonal().repeat(2).clamp_min(1.0)  # a pixel of the coarser of the two
    assert bool(((found - torch.tensor([x0, y0, x1, y1])).abs() <= 1.01 * blurred).all())


@settings(max_examples=200, deadline=None)
@given(
    sides,
    sides,
    st.sampled_from([32, 64, 416]),
    st.sampled_from([32, 64, 416]),
    st.sampled_from(["letterbox", "whole", "middle"]),
)
@example(1, 400, 32, 32, "letterbox")
def test_corners_of_what_is_seen_are_corners_of_the_original(
    height: int, width: int, tall: int, wide: int, crop: str
) -> None:
    fit = fit_of(tall, wide, crop)
    view = fit.view(Size(height=height, width=width))
    filled = fit._filled(height, width)
    top, left, taken_tall, taken_wide = fit._taken(height, width)
    box = move_boxes(torch.tensor([[0.0, 0.0, filled[1], filled[0]]]), view.to_original)[0]
    wanted = torch.tensor([left, top, left + taken_wide, top + taken_tall]).float()
    assert torch.allclose(box, wanted, atol=1e-3)
    assert filled[0] <= tall and filled[1] <= wide
    assert crop != "letterbox" or filled[0] == tall or filled[1] == wide
    assert crop == "middle" or tuple(wanted.tolist()) == (0, 0, width, height)


@pytest.mark.parametrize("size", [(1001, 333), (999, 1333), (640, 427), (77, 2003), (667, 1000)])
def test_a_jpeg_decoded_smaller_is_the_same_place(size: tuple[int, int]) -> None:
    import io

    from PIL import Image

    height, width = size
    pixels = np.zeros((height, width), np.uint8)
    box = (width // 3, height // 5, width * 7 // 8, height * 6 // 7)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=95)
    fit = fit_of(64, 64)
    small = decode(content.getvalue(), at_least=fit.at_least)
    whole = decode(png(torch.from_numpy(pixels)[None]))
    assert small.original == whole.original
    for decoded in (small, whole):
        view = fit.view(decoded.original)
        tall, wide = fit._filled(height, width)
        found = move_boxes(
            torch.tensor([bright(fit(decoded.batch, decoded.original)[0, 0, :tall, :wide])]), view.to_original
        )[0]
        assert bool(((found - torch.tensor(box)).abs() <= 1.01 * view.to_original.diagonal().repeat(2)).all())
