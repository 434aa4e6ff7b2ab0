"""A recogniser: fitted images in, answers out. The graph is preprocess ∘ model ∘ head, the same everywhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from visto.bundle import Bundle, Exported
from visto.errors import ModelError
from visto.models import build_model
from visto.models.folded import for_answers
from visto.prediction.exported import GraphRecogniser, exported_recogniser
from visto.prediction.parts import preprocess_of, task_of
from visto.preprocess import Fit
from visto.types import Answer, Task, View


class Recogniser(Protocol):
    """``fit`` brings decoded images to one size; ``answers`` takes a batch of them, uint8 N×C×H×W.

    Of clips a batch is uint8 N×T×C×H×W, of series float32 N×T×F.
    """

    task: Task[Any, Any]
    classes: tuple[str, ...]
    fit: Fit
    seen: Mapping[str, Tensor]

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]: ...

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]: ...


class TorchRecogniser:
    """A bundle, run by torch. ``seen`` holds the content digests of the images that it was made from.

    ``precision`` is that of the large sums, float32 or bfloat16.
    """

    def __init__(self, bundle: Bundle, precision: torch.dtype = torch.float32) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.precision = precision
        self.classes = manifest.classes
        self.task = task_of(manifest)
        preprocess = preprocess_of(manifest, bundle.path)
        self.fit = preprocess.fit
        self.seen = bundle.seen
        model = build_model(manifest.model)
        try:
            model.load_state_dict(dict(bundle.weights))
        except RuntimeError as error:
            raise ModelError(f"the weights of {bundle.path} do not fit its model: {error}") from error
        self.normalise, self.model = preprocess.normalise, for_answers(model).eval()
        self._graph = nn.Sequential(self.normalise, self.model, self.task.head).eval()

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        """What the graph gives for a batch of fitted images: named tensors of fixed shape."""
        rounded = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", self.precision if rounded else torch.bfloat16, rounded):
            if images_nchw.ndim == 4:
                images_nchw = images_nchw.contiguous(memory_format=torch.channels_last)
            out: Mapping[str, Tensor] = self._graph(images_nchw)
            return out

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)


def recogniser_of(source: Bundle | Exported) -> "TorchRecogniser | GraphRecogniser":
    """What answers with a bundle, or with an exported file. Raises ModelError, UsageError without onnxruntime."""
    return exported_recogniser(source) if isinstance(source, Exported) else TorchRecogniser(source)
