"""Images smaller than the model's input lie in the cache as they are: whatever reads them gets what fitting gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from visto import native
from visto.data.augment import augment, half_of, zoom_boxes
from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Item
from visto.data.decode import decode
from visto.data.loader import gather, gather_augmented
from visto.data.stored import cache_summary
from visto.preprocess import Fit
from visto.types import Size

# height and width: smaller in both directions, in one, as large, larger; one pixel; a strip
SIZES = ((20, 30), (30, 20), (40, 40), (20, 60), (64, 48), (100, 90), (1, 1), (2, 40), (40, 39))


@pytest.fixture(params=["RGB", "L"])
def items(tmp_path: Path, request: pytest.FixtureRequest) -> list[Item]:
    random = np.random.default_rng(0)
    found = []
    for k, (height, width) in enumerate(SIZES):
        shape = (height, width, 3) if request.param == "RGB" else (height, width)
        image = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
        exif = Image.Exif()
        if k % 3 == 1:
            exif[0x0112] = 6  # lies on its side
        image.save(tmp_path / f"{k}.png", exif=exif)
        found.append(Item(id=f"{k}.png", source=tmp_path / f"{k}.png"))
    return found


def fitted(items: list[Item], fit: Fit) -> Tensor:
    """By the fit itself, image by image."""
    out = []
    for item in items:
        assert isinstance(item.source, Path)
        decoded = decode(item.source.read_bytes(), at_least=fit.at_least)
        out.append(fit(decoded.batch, decoded.original))
    return torch.cat(out)


@pytest.mark.parametrize("by", ["loops", "torch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", ["whole", "middle", "letterbox"])
def test_it_is_what_fitting_gives(
    items: list[Item], crop: str, channels: int, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "torch":
        monkeypatch.setattr(native, "zoomed_records", lambda *_: None)
    else:
        monkeypatch.setattr("visto.native.pixels._WORTH_IT", 0)
    fit = Fit(size=Size(height=40, width=40), channels=channels, crop=crop)
    wanted = fitted(items, fit)
    first, again = (materialise(items, fit, threads=2) for _ in range(2))
    rows = torch.tensor([8, 0, 0, 5, 2])
    for pixels in (first, again):
        assert pixels.stored is not None and len(pixels) == len(SIZES)
        assert torch.equal(gather(pixels, torch.arange(len(SIZES))), wanted)
        assert torch.equal(gather(take(pixels, rows), torch.tensor([1, 3, 4])), wanted[rows[[1, 3, 4]]])
    assert gather(first, rows).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("by", ["loops", "torch"])
@pytest.mark.parametrize("names", [("zoom",), ("flip", "zoom"), ["flip", "zoom", "erase"]])
def test_a_zoom_takes_its_part_from_what_is_stored(
    items: list[Item], names: tuple[str, ...], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "torch":
        monkeypatch.setattr(native, "zoomed_records", lambda *_: None)
    else:
        monkeypatch.setattr("visto.native.pixels._WORTH_IT", 0)
    pixels = materialise(items, Fit(size=Size(height=40, width=40), channels=3, crop="middle"), threads=2)
    assert pixels.stored is not None
    rows = torch.arange(len(SIZES)).flip(0).repeat(3)
    found = gather_augmented(pixels, rows, names, torch.Generator().manual_seed(5))
    random = torch.Generator().manual_seed(5)
    turned = half_of(len(rows), random) if "flip" in names else torch.zeros(len(rows), dtype=torch.bool)
    boxes = zoom_boxes(pixels.stored[rows], random).tolist()
    parts = []
    for row, turn, (top, bottom, left, right) in zip(rows.tolist(), turned.tolist(), boxes, strict=True):
        tall, wide = pixels.stored[row].tolist()
        assert 0 <= top < bottom <= tall and 0 <= left < right <= wide
        record = pixels.storage[pixels.rows[row]].permute(1, 2, 0).flatten()
        image = record[: tall * wide * 3].view(1, tall, wide, 3).permute(0, 3, 1, 2)
        image = image.flip(3) if turn else image
        parts.append(F.interpolate(image[:, :, top:bottom, left:right], size=(40, 40), mode="bilinear"))
    expected = torch.cat(parts)
    assert torch.equal(found, augment(expected, names[names.index("zoom") + 1 :], random))


@pytest.mark.parametrize("names", [(), ("flip",), ("crop", "zoom"), ("flip", "colour", "zoom")])
def test_other_changes_are_made_to_the_enlarged_image(items: list[Item], names: tuple[str, ...]) -> None:
    pixels = materialise(items, Fit(size=Size(height=40, width=40), channels=3), threads=2)
    rows = torch.arange(len(SIZES))
    found = gather_augmented(pixels, rows, names, torch.Generator().manual_seed(5))
    assert torch.equal(found, augment(gather(pixels, rows), names, torch.Generator().manual_seed(5)))


def test_it_takes_less_room_and_its_damage_is_seen(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for k in range(20):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    items = [Item(id=f"{k}.png", source=tmp_path / f"{k}.png") for k in range(20)]
    fit = Fit(size=Size(height=256, width=256), channels=3)
    wanted = fitted(items, fit)
    assert torch.equal(gather(materialise(items, fit, threads=2), torch.arange(20)), wanted)
    (summary,) = cache_summary()
    assert summary.images == 20 and summary.bytes < 20 * (32 * 32 * 3 + 3 * 4096)
    record = 256 * 256 * 3
    with (summary.folder / "pixels.bin").open("r+b") as file:
        assert file.seek(0, 2) == 20 * record
        file.seek(3 * record + 32 * 32 * 3 - 1)  # the last byte in use
        last = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([last[0] ^ 1]))
    assert torch.equal(gather(materialise(items, fit, threads=2), torch.arange(20)), wanted)
    assert cache_summary()[0].images == 21


def test_where_none_is_small(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    item = Item(id="a.png", source=tmp_path / "a.png")
    found: list[Pixels] = [
        materialise([item], Fit(size=Size(height=side, width=side), channels=3, prepare=steps), threads=1)
        for side, steps in ((40, ()), (50, ()), (60, ("gray",)))
    ]
    assert [pixels.stored for pixels in found] == [None] * 3
