"""A recogniser: fitted images in, answers out. The graph is preprocess ∘ model ∘ head, the same everywhere."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from visto.bundle import Bundle, Exported
from visto.errors import ModelError, UsageError
from visto.models import build_model
from visto.models.folded import for_answers
from visto.prediction.exported import GraphRecogniser, exported_recogniser
from visto.prediction.one_step import OneStepGraph, one_step_recogniser
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
        with self._inference():
            if images_nchw.ndim == 4:
                images_nchw = images_nchw.contiguous(memory_format=torch.channels_last)
            out: Mapping[str, Tensor] = self._graph(images_nchw)
            return out

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)

    @property
    def causal(self) -> bool:
        """Whether it can answer while a sequence is seen, step after step."""
        return self.task.sequences and bool(getattr(self.model, "causal", False))

    def begin(self) -> tuple[Tensor, ...]:
        """The state before the first step of a sequence. Raises UsageError for a model that reads the end first."""
        start = getattr(self.model, "start", None)
        if start is None:
            raise UsageError("this model does not read step by step")
        with torch.inference_mode():
            state: tuple[Tensor, ...] = start(1)
            return state

    def step(self, fitted: Tensor, state: tuple[Tensor, ...]) -> tuple[Mapping[str, Tensor], tuple[Tensor, ...]]:
        """The head's tensors after one step more (a frame uint8 1×C×H×W, numbers float32 1×F), and the next state."""
        with self._inference():
            if fitted.ndim == 4:
                fitted = fitted.contiguous(memory_format=torch.channels_last)
            found, state = self.model.step(self.normalise(fitted), state)  # type: ignore[operator]
            out: Mapping[str, Tensor] = self.task.head(found)
            return out, state

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        rounded = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", self.precision if rounded else torch.bfloat16, rounded):
            yield


def recogniser_of(source: Bundle | Exported) -> TorchRecogniser | GraphRecogniser | OneStepGraph:
    """What answers with a bundle, or with an exported file. Raises ModelError, UsageError without onnxruntime."""
    if not isinstance(source, Exported):
        return TorchRecogniser(source)
    return exported_recogniser(source) if source.own.stream is None else one_step_recogniser(source)
