"""What a detector that looks twice proposes, before it says what is there: shown as if it were its answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visto.errors import UsageError
from visto.models.faster_rcnn import FasterRCNN
from visto.models.rcnn import RCNN
from visto.prediction.recogniser import Recogniser, TorchRecogniser
from visto.tasks.detection import Detection
from visto.types import Answer, Boxes, Task, View


class Proposing:
    """A Recogniser whose answers are the ``most`` best regions that the model of another looks at.

    Their one class is "region". Their score is what the model gives them; that of selective search's is their place in
    its order. Raises UsageError where the model proposes none.
    """

    def __init__(self, recogniser: Recogniser, most: int) -> None:
        if not isinstance(recogniser, TorchRecogniser):
            raise UsageError("--proposals with an exported file", expected="the bundle that it was made from")
        model = recogniser.model
        if not isinstance(model, FasterRCNN | RCNN):
            raise UsageError(
                f"--proposals with the model {recogniser.bundle.manifest.model.name}, which proposes none",
                expected="one of the models faster_rcnn, rcnn",
            )
        self.classes: tuple[str, ...] = ("region",)
        self.task: Task[Any, Any] = Detection(classes=self.classes, threshold=0)
        self.fit = recogniser.fit
        self.seen = recogniser.seen
        self._normalise, self._model, self._most = recogniser.normalise, model, most

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        with torch.inference_mode():
            ready = self._normalise(images_nchw.contiguous(memory_format=torch.channels_last))
            boxes, scores = self._model.proposed(ready)
        boxes, scores = boxes[:, : self._most], scores[:, : self._most]
        return {"boxes": boxes, "scores": scores, "labels": torch.zeros_like(scores, dtype=torch.int64)}

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Boxes]]:
        return self.task.answers(self.tensors(images_nchw), views)
