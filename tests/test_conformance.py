"""Every entry of every table passes the public checks."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from tests.data.clips import write_clip, write_film
from tests.scenes import make_scenes
from visto import testing
from visto.data import read
from visto.data.augment import AUGMENTATIONS
from visto.data.augment_boxes import BOX_AUGMENTATIONS
from visto.learn.schedule import SCHEDULES
from visto.models import CLIPS_ONLY, DETECTORS, FORECASTERS, MODELS, SEQUENTIAL
from visto.tasks import TASKS

SMALLER = {"rcnn": {"proposals": 20, "side": 32}}  # 300 regions of 96 pixels are minutes
NARROWER = {"rcnn": ((3, 32, 32), (1, 32, 64), (3, 64, 32))}  # the search for regions goes through every pixel


@pytest.mark.parametrize("name", [name for name in MODELS if name not in (*CLIPS_ONLY, *FORECASTERS)])
def test_model(name: str) -> None:
    builder = partial(MODELS[name], **SMALLER.get(name, {}))
    if name in DETECTORS:
        testing.check_detector(builder, NARROWER.get(name, testing.DETECTOR_SHAPES))
    else:
        testing.check_model(builder)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequence_model(name: str) -> None:
    over = ("frames",) if name in CLIPS_ONLY else tuple(testing.SEQUENCES)
    testing.check_sequence_model(MODELS[name], over)


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


def test_the_check_of_box_augmentations_can_fail() -> None:
    def moved(images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return images, torch.cat([targets[..., :1], targets[..., 1:5] + 1, targets[..., 5:]], -1)

    with pytest.raises(AssertionError, match="past its image"):
        testing.check_box_augmentation(moved)
