"""Images out of arrays: not cached on disk, not copied where they fit already."""

from pathlib import Path

import numpy as np
import pytest
from tests.data.crops import Crop, values
from torch import Tensor

from visto.data import cache as cache_module
from visto.data import dataset as dataset_module
from visto.data.cache import materialise
from visto.data.dataset import Item, PixelRow, content_digest
from visto.errors import DataError
from visto.types import Size


def rows(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], wanted: list[int]) -> list[Item]:
    return [Item(id=str(k), source=PixelRow(array, k)) for k in wanted]


@pytest.mark.parametrize("writable", [True, False])
def test_arrays_that_fit_are_not_copied(writable: bool, cache: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), dtype=np.uint8).transpose(0, 2, 3, 1)
    array.flags.writeable = writable

    class Identity(Crop):
        def __call__(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
            return images_nchw

    pixels = materialise(rows(array, [7, 2, 2]), Identity(), threads=1)
    assert np.array_equal(pixels.storage[pixels.rows].permute(0, 2, 3, 1).numpy(), array[[7, 2, 2]])
    assert pixels.rows.tolist() == [7, 2, 2] and pixels.sizes.tolist() == [[4, 4]] * 3
    assert pixels.digests[1].equal(pixels.digests[2]) and not pixels.digests[0].equal(pixels.digests[1])
    assert pixels.digests[0].numpy().tobytes() == content_digest(array[7])
    if writable:
        assert pixels.storage.data_ptr() == array.ctypes.data
    assert [entry.status for entry in pixels.entries] == ["kept"] * 3
    assert not any(cache.iterdir())


def test_arrays_are_fitted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_BATCH", 3)
    monkeypatch.setattr(dataset_module, "_DIGESTED_AT_ONCE", 3)
    small = np.repeat(np.arange(8, dtype=np.uint8), 36).reshape(8, 6, 6, 1)
    large = np.repeat(np.arange(100, 105, dtype=np.uint8), 49).reshape(5, 7, 7, 1)
    items = [*rows(small, [5, 1, 0, 7]), *rows(large, [4, 0]), *rows(small, [2])]
    pixels = materialise(items, Crop(), threads=1)
    assert values(pixels) == [5, 1, 0, 7, 104, 100, 2]
    assert pixels.sizes[:, 0].tolist() == [6, 6, 6, 6, 7, 7, 6] and pixels.storage.is_contiguous()
    sources = [item.source for item in items if isinstance(item.source, PixelRow)]
    assert pixels.digests.numpy().tobytes() == b"".join(content_digest(source.pixels) for source in sources)


def test_an_array_that_cannot_be_treated_is_rejected_alone() -> None:
    class NoBlack(Crop):
        def __call__(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
            if not images_nchw.amax((1, 2, 3)).all():
                raise DataError("all black")
            return super().__call__(images_nchw)

    grey = np.repeat(np.arange(5, dtype=np.uint8), 36).reshape(5, 6, 6, 1)
    pixels = materialise(rows(grey, [3, 0, 4, 0, 1]), NoBlack(), threads=1)
    assert values(pixels) == [3, 4, 1] and [item.id for item in pixels.items] == ["3", "4", "1"]
    assert [entry.reason for entry in pixels.entries] == ["", "all black", "", "all black", ""]
    assert pixels.digests.numpy().tobytes() == b"".join(content_digest(grey[k]) for k in (3, 4, 1))
