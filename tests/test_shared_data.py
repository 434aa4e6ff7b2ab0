"""The real data sets, as published: read whole, and one of photos trained end to end."""

import os
from pathlib import Path

import pytest

import visto
from visto.testing import check_dataset
from visto.types import Split

pytestmark = [
    pytest.mark.shared_data,
]

SETS: dict[str, tuple[str, int, set[Split], int]] = {
    # name: (format, classes, declared splits, images)
    "mnist": ("idx", 10, {"train", "test"}, 70_000),
    "fashion-mnist": ("idx", 10, {"train", "test"}, 70_000),
    "cifar-10-batches-bin": ("cifar", 10, {"train", "test"}, 60_000),
    "clothing": ("class-folders", 10, {"train", "validation", "test"}, 3_781),
    "hymenoptera": ("class-folders", 2, {"train", "validation"}, 398),
    "pneumoniamnist": ("npz", 2, {"train", "validation", "test"}, 3_882 + 524 + 624),
}


@pytest.mark.parametrize("name", SETS)
def test_read(name: str) -> None:
    format, classes, declared, images = SETS[name]
    data = visto.read(Path(os.environ["VISTO_DATA"]) / name)
    check_dataset(data)
    assert (data.format, len(data.classes), data.declared, len(data)) == (format, classes, frozenset(declared), images)
    assert all(len(part) for part in (data.train, data.validation, data.test))


def test_photos_from_folder_to_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))
    path = Path(os.environ["VISTO_DATA"]) / "hymenoptera"
    model = visto.train(path, tmp_path / "h.visto", epochs=2, size=32, threads=1)
    found = visto.evaluate(model, path)
    assert found.split == "validation"
    assert found.n == 153
    assert found.left_out == 0
    assert 0.3 < found.figures["accuracy"].value < 1
    assert model.predict(path / "val" / "bees" / sorted(p.name for p in (path / "val" / "bees").iterdir())[0])
