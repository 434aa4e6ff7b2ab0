"""A recogniser without a net: it finds what ``tests.scenes`` paints by its colour, and the paler, the less sure."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from scipy.ndimage import find_objects, label
from tests.scenes import CLASSES
from torch import Tensor

from visto.preprocess import Fit
from visto.tasks.detection import Detection
from visto.types import Answer, Boxes, Size, Task, View

_MOST = 20
_COLOURED = 64  # how much more red than blue, or blue than red: beyond noise, and the grey of a letterbox


class Eye:
    """Sees ``size`` × ``size`` pixels, letterboxed; its threshold is 0.5. A full colour scores 0.9."""

    def __init__(self, size: int = 96) -> None:
        self.task: Task[Any, Any] = Detection(classes=CLASSES, threshold=0.5)
        self.classes: tuple[str, ...] = CLASSES
        self.fit = Fit(size=Size(height=size, width=size), channels=3, crop="letterbox")
        self.seen: Mapping[str, Tensor] = {}
        self.batches: list[int] = []

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        n = len(images_nchw)
        self.batches.append(n)
        boxes, scores = torch.zeros(n, _MOST, 4), torch.zeros(n, _MOST)
        labels = torch.zeros(n, _MOST, dtype=torch.int64)
        for row, image in enumerate(images_nchw.int()):
            found = []
            for kind, (this, other) in enumerate(((0, 2), (2, 0))):
                mask = (image[this] - image[other] > _COLOURED).numpy()
                marked, _ = label(mask)
                for number, (down, across) in enumerate(find_objects(marked), 1):
                    strength = image[this].numpy()[marked == number].max() / 255
                    found.append((strength, kind, (across.start, down.start, across.stop, down.stop)))
            for place, (score, kind, box) in enumerate(sorted(found, reverse=True)):
                boxes[row, place], scores[row, place] = torch.tensor(box).float(), float(score)
                labels[row, place] = kind
        return {"boxes": boxes, "scores": scores, "labels": labels}

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Boxes]]:
        return self.task.answers(self.tensors(images_nchw), views)


def as_model(eye: Eye) -> SimpleNamespace:
    """What ``visto.load`` gives, as far as predicting needs it."""
    return SimpleNamespace(recogniser=eye, source=None)
