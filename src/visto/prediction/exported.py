"""A graph as a recogniser: images are fitted as for a bundle, all that follows is done by the graph's body.

The first part of an exported graph makes of any image the pixels that ``Fit`` makes; that is what the file was compared
on before it was kept. Here ``Fit`` does it, faster and for the same cache.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from visto.bundle import FITTED, FITTED_BOXES, Exported, Manifest
from visto.prediction.parts import preprocess_of, task_of
from visto.prediction.runtime import RUNNERS, Run, between, parsed
from visto.types import Answer, View


class GraphRecogniser:
    """``body`` is an ONNX graph from fitted images to the head's tensors; ``runner`` names what runs it.

    It takes as many threads as torch has when it first answers. Raises ModelError, UsageError where the runner is not
    installed.
    """

    def __init__(
        self, manifest: Manifest, path: Path, seen: Mapping[str, Tensor], body: bytes, runner: str = "onnxruntime"
    ) -> None:
        self.classes = manifest.classes
        self.task = task_of(manifest)
        self.fit = preprocess_of(manifest, path).fit
        self.seen = seen
        self._body, self._runner = body, runner
        self._run: Run | None = None

    def start(self) -> Run:
        """Make the runner ready, if it is not. Raises ModelError, UsageError."""
        if self._run is None:
            self._run = RUNNERS[self._runner](self._body)
        return self._run

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        """What the graph gives for a batch of fitted images: named tensors of fixed shape."""
        found = self.start()(images_nchw)
        return {"boxes" if name == FITTED_BOXES else name: value for name, value in found.items()}

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)


def exported_recogniser(exported: Exported) -> GraphRecogniser:
    """What answers with an exported file. Raises ModelError, UsageError where onnxruntime is not installed."""
    outputs = [FITTED_BOXES if name == "boxes" else name for name in exported.own.outputs]
    body = between(parsed(exported.content), [FITTED], outputs).SerializeToString()
    return GraphRecogniser(exported.manifest, exported.path, exported.seen, body)
