"""One step of a recogniser of sequences as ONNX: a frame of any size, or a step's numbers, and the state so far."""

from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from visto.bundle import FITTED, STEP, StepForm
from visto.errors import GateError
from visto.exporting.graph import as_onnx, whole
from visto.prediction import TorchRecogniser


class _Stepping(nn.Module):
    """What follows the fitted step, in the order of the graph."""

    def __init__(self, normalise: nn.Module, model: nn.Module, head: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.normalise, self.model, self.head, self.names = normalise, model, head, names

    def forward(self, fitted: Tensor, *state: Tensor) -> dict[str, Tensor]:
        found, after = self.model.step(self.normalise(fitted), state)  # type: ignore[operator]
        out: dict[str, Tensor] = {**self.head(found), **dict(zip(self.names, after, strict=True))}
        return out


def form_of(recogniser: TorchRecogniser, name: str) -> StepForm:
    """The state of a model, called ``name``. Raises GateError for one that must see the end first."""
    if not recogniser.causal:
        raise GateError(
            f"the model {name!r} looks at the whole sequence, both ways: it has no form that takes one step",
            expected="a model that reads in one direction",
            hint="nothing was written; train it with --set bidirectional=false",
        )
    shapes = tuple(tuple(value.shape) for value in recogniser.begin())
    features = 0 if recogniser.fit.every else recogniser.fit.shape[0]
    return StepForm(every=recogniser.fit.every or 1, features=features, state=shapes)


def step_body(recogniser: TorchRecogniser, form: StepForm, name: str) -> ModelProto:
    """From ``fitted`` (uint8 1×C×h×w), or ``step`` (float32 1×F), and the state to the head's tensors and the next one.

    Raises GateError, which calls the model ``name``.
    """
    graph = _Stepping(recogniser.normalise, recogniser.model, recogniser.task.head, form.next_names).eval()
    shape = (1, *recogniser.fit.shape)
    example: dict[str, Any] = (
        {STEP: torch.rand(shape)} if form.features else {FITTED: torch.randint(0, 256, shape, dtype=torch.uint8)}
    )
    example |= {key: torch.zeros(size) for key, size in zip(form.names, form.state, strict=True)}
    with torch.no_grad():
        outputs = list(graph(*example.values()))
    return as_onnx(graph, example, {}, outputs, f"the model {name!r}")


def whole_step(recogniser: TorchRecogniser, form: StepForm, body: ModelProto) -> ModelProto:
    """With the way from a frame of any size to the model's; of series the body is all. Raises GateError."""
    return body if form.features else whole(recogniser, body, single=True)
