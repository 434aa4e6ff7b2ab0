"""What a body in other numbers costs: the deciding figure on held-out images, beside that of the bundle."""

from collections.abc import Sequence

import torch
from onnx import ModelProto
from torch import Tensor

from visto.bundle import seen_before
from visto.data.cache import materialise, take
from visto.data.dataset import Dataset, Item
from visto.data.loader import gather
from visto.errors import DataError
from visto.evaluation.judge import filled
from visto.evaluation.run import answer_all
from visto.exporting.evenly import evenly
from visto.prediction import GraphRecogniser, TorchRecogniser
from visto.types import Answer, Silent, Voice

_CALIBRATED = 64  # images: with more the ranges hardly grow
_BATCH = 16


class Loss:
    """By how many points the deciding figure of a body differs from the bundle's, either way.

    On those of ``items`` that the bundle has not learnt from. Raises DataError where there is none.
    """

    def __init__(self, recogniser: TorchRecogniser, items: Sequence[Item], voice: Voice) -> None:
        pixels = materialise(items, recogniser.fit, threads=torch.get_num_threads(), progress=voice.progress)
        new = (~seen_before(pixels.digests, recogniser.seen["train"])).nonzero().flatten()
        self.pixels = take(pixels, new)
        if not len(self.pixels):
            raise DataError("no image to measure int8 on that is new to the model", hint="name others with --data")
        self.task, self.bundle, self.rows = recogniser.task, recogniser.bundle, torch.arange(len(self.pixels))
        self.ours = self._figure(answer_all(recogniser, self.pixels, self.rows, voice))

    def __call__(self, body: ModelProto) -> float:
        made = self.bundle
        other = GraphRecogniser(made.manifest, made.path, made.seen, body.SerializeToString())
        return 100 * abs(self.ours - self._figure(answer_all(other, self.pixels, self.rows, Silent())))

    def _figure(self, answers: Sequence[Answer[object]]) -> float:
        found: dict[str, float] = {}
        for metric in filled(self.task, answers, [item.target for item in self.pixels.items]):
            found |= metric.compute()
        return found.get(self.task.decisive, 0.0)


def calibration(dataset: Dataset, recogniser: TorchRecogniser, voice: Voice) -> list[Tensor]:
    """Images that the model was trained on, fitted: uint8 batches. Raises DataError where the data has none."""
    items = [item for item in dataset.items if item.split == "train" and item.target is not None]
    some = evenly(items, _CALIBRATED)
    pixels = materialise(some, recogniser.fit, threads=torch.get_num_threads(), progress=voice.progress)
    if not len(pixels):
        raise DataError(
            f"no training image in {dataset.name} to find the ranges of int8 from",
            expected="the data that it was trained from",
        )
    return list(torch.split(gather(pixels, torch.arange(len(pixels))), _BATCH))
