"""Every entry of every table passes the public checks."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

import visto
from tests.data.clips import write_clip, write_film
from tests.scenes import make_scenes
from visto import testing
from visto.data import read
from visto.data.augment import AUGMENTATIONS
from visto.data.augment_boxes import BOX_AUGMENTATIONS
from visto.data.dataset import Dataset, Item, PixelRow
from visto.errors import UsageError
from visto.learn.schedule import SCHEDULES
from visto.models import CLASSIC, CLIPS_ONLY, DETECTORS, FORECASTERS, MODELS, SEQUENTIAL
from visto.models.features import FEATURES
from visto.tasks import TASKS
from visto.types import Label

SMALLER = {"rcnn": {"proposals": 20, "side": 32}}  # 300 regions of 96 pixels are minutes
# to export: what is fitted, on which features, and the rest as small as they come, for the exporter walks each layer
FITTED_ON: dict[str, Sequence[str]] = {
    "majority": (),
    "logistic": ("raw", "co-occurrence"),
    "svm": ("hog", "deep"),
    "knn": ("lbp",),
    "tree": ("colour",),
    "forest": ("edges",),
}
SMALLEST: dict[str, dict[str, Any]] = {
    **SMALLER,
    "mlp": {"hidden": [8]},
    "cnn": {"depth": 2, "width": 4},
    "resnet": {"width": 4},
    "speedrun": {"widths": [8, 8, 8]},
    **{name: {"hidden": 8} for name in SEQUENTIAL},
    "faster_rcnn": {"width": 8, "hidden": 16, "proposals": 10},
    "second_look": {"margin": 0.3},  # some are looked at again
}


@pytest.mark.parametrize("name", [name for name in MODELS if name not in (*CLIPS_ONLY, *FORECASTERS)])
def test_model(name: str) -> None:
    check = testing.check_detector if name in DETECTORS else testing.check_model
    check(partial(MODELS[name], **SMALLER.get(name, {})))


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequence_model(name: str) -> None:
    over = ("frames",) if name in CLIPS_ONLY else tuple(testing.SEQUENCES)
    testing.check_sequence_model(MODELS[name], over)


def patches(n: int = 60) -> Dataset:
    """Images of 8×4 patches of all colours, of which one is missing: that is their class."""
    random = np.random.default_rng(0)
    array = random.integers(0, 256, (n, 4, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(4, 2)
    for k in range(n):
        array[k, ..., k % 3] //= 4
    items = tuple(
        Item(
            id=f"{k}",
            source=PixelRow(array, k),
            target=Label(index=k % 3),
            split="train" if k < n // 2 else "validation",
        )
        for k in range(n)
    )
    return Dataset(name="patches", format="made", task="classification", classes=("r", "g", "b"), items=items)


def fitted(name: str, path: Path) -> Callable[..., nn.Module]:
    """A builder of the classic model as it is once it is fitted to patches, whatever it is asked for."""
    features = FITTED_ON[name] or None
    made = visto.train(patches(), path, model=name, features=features, size=32).bundle

    def builder(*, classes: int, channels: int, size: Sequence[int]) -> nn.Module:
        model: nn.Module = made.manifest.model.build(MODELS)
        model.load_state_dict(dict(made.weights))
        return model

    return builder


def test_every_feature_is_exported() -> None:
    assert set(FITTED_ON) == set(CLASSIC)
    assert {name for some in FITTED_ON.values() for name in some} == set(FEATURES)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("rcnn", *CLIPS_ONLY, *FORECASTERS)])
def test_model_exported(name: str, tmp_path: Path) -> None:
    if name in CLASSIC:
        testing.check_export(fitted(name, tmp_path / "fitted.visto"), shape=(3, 32, 32))
    else:
        testing.check_export(partial(MODELS[name], **SMALLEST.get(name, {})))


def test_the_one_model_without_an_export_says_so() -> None:
    """Selective search is no tensor function: R-CNN has no ONNX form."""
    with pytest.raises(AssertionError, match="has no ONNX form"):
        testing.check_export(partial(MODELS["rcnn"], **SMALLER["rcnn"]))


def test_series(tmp_path: Path) -> None:
    rows = "\n".join(f"{k},{k % 7}" for k in range(60))
    (tmp_path / "sales.csv").write_text(f"day,sales\n{rows}\n")
    data = read(tmp_path / "sales.csv")
    assert data.task == "forecast"
    testing.check_dataset(data)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation(name: str) -> None:
    testing.check_augmentation(AUGMENTATIONS[name])


@pytest.mark.parametrize("name", BOX_AUGMENTATIONS)
def test_box_augmentation(name: str) -> None:
    testing.check_box_augmentation(BOX_AUGMENTATIONS[name])


@pytest.mark.parametrize("name", TASKS)
def test_task(name: str) -> None:
    testing.check_task(TASKS[name])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    factors = [SCHEDULES[name](k / 100) for k in range(101)]
    assert all(0 <= f <= 1 for f in factors)
    assert max(factors) > 0.99


def test_embedded_data() -> None:
    testing.check_dataset(read("digits"))


def test_data_with_boxes(tmp_path: Path) -> None:
    data = read(make_scenes(tmp_path / "data", 15))
    assert data.task == "detection"
    testing.check_dataset(data)


def test_data_of_clips(tmp_path: Path) -> None:
    for label in ("walk", "run"):
        for k in range(4):
            write_clip(tmp_path / label / f"{k}")
            write_film(tmp_path / label / f"{k}.gif")
    data = read(tmp_path)
    assert (data.format, data.task, len(data)) == ("clip-folders", "sequence", 16)
    testing.check_dataset(data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.jsonl",
            '{"series": [[1, 2], [3, null], [5, 6]], "label": "x"}\n{"series": [[1, 2], [3, 4]], "label": "y"}',
        ),
        ("a.csv", "id,label,x\n1,a,0\n1,a,\n2,b,1\n2,b,2\n2,b,3\n"),
    ],
)
def test_data_of_series(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    data = read(tmp_path / name)
    assert data.task == "sequence"
    testing.check_dataset(data)


def test_series_in_arrays(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", series=np.ones((4, 5, 2)), labels=np.array([0, 1, 0, 1]), lengths=np.array([5, 3, 2, 5])
    )
    testing.check_dataset(read(tmp_path))


def test_the_checks_can_fail() -> None:
    class Broken(nn.Module):
        def __init__(self, classes: int, inputs: int) -> None:
            super().__init__()
            self.dense = nn.Linear(inputs, classes)
            self.unused = nn.Linear(2, 2)

        def forward(self, images: object) -> dict[str, object]:
            return {"logits": self.dense(images.flatten(1))}  # type: ignore[attr-defined]

    def builder(*, classes: int, channels: int, size: list[int]) -> nn.Module:
        return Broken(classes, channels * size[0] * size[1])

    with pytest.raises(AssertionError, match="no gradient reaches unused"):
        testing.check_model(builder)


def test_the_check_of_detectors_can_fail() -> None:
    class Turned(nn.Module):
        def __init__(self, whole: nn.Module) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            out: dict[str, Tensor] = self.whole(images)
            return {**out, "boxes": out["boxes"].flip(-1)}

    with pytest.raises(AssertionError, match="ends before it begins"):
        testing.check_detector(lambda **arguments: Turned(MODELS["yolo"](**arguments)))


def test_the_check_of_exports_can_fail() -> None:
    class Otherwise(nn.Module):
        """Asked for its graph, it gives another."""

        def __init__(self, whole: nn.Module, by: float) -> None:
            super().__init__()
            self.whole, self.by = whole, by

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            logits: Tensor = self.whole(images)["logits"]
            off = torch.tensor([self.by, 0.0, 0.0])
            return {"logits": logits + off if torch.compiler.is_exporting() else logits}

    def builder(*, classes: int, channels: int, size: Sequence[int], by: float) -> nn.Module:
        return Otherwise(MODELS["mlp"](classes=classes, channels=channels, size=size, hidden=[8]), by)

    testing.check_export(partial(builder, by=1e-5))
    with pytest.raises(AssertionError, match="answers otherwise"):
        testing.check_export(partial(builder, by=0.02))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_the_check_of_exports_names_what_it_needs(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=rf"(?s)needs? {missing}.*visto\[export\]"):
        testing.check_export(MODELS["mlp"])


def test_the_check_of_box_augmentations_can_fail() -> None:
    def moved(images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return images, torch.cat([targets[..., :1], targets[..., 1:5] + 1, targets[..., 5:]], -1)

    with pytest.raises(AssertionError, match="past its image"):
        testing.check_box_augmentation(moved)
